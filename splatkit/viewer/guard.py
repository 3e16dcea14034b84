"""Who may talk to the front: the token, the page's own origin, and the machine's own name."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

COOKIE = "splatkit_token"
COOKIE_SECONDS = 30 * 24 * 3600
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ASK = """<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width">
<title>splatkit</title><link rel=stylesheet href=/static/style.css><main class=ask>
<h1>splatkit</h1><p>This viewer asks for its token. It is printed where the viewer was started.</p>
<form><input name=token type=password placeholder=Token aria-label=Token autofocus>
<button class=primary>Open</button></form></main>"""


def guard(token: str | None, loopback: bool) -> Callable[[web.Request, Handler], Awaitable]:
    """Middleware that lets in who may come in.

    A request must name this machine (against names that a foreign page points here), come from
    the front's own pages where it changes something, and carry the token, from an address once
    and as a cookie from then on.

    Args:
        token: the secret word; None lets everybody in who reaches the port.
        loopback: the port is reached from this machine alone.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if loopback and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            raise web.HTTPForbidden(text="This viewer answers at localhost alone.")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden(text="This came from a page of another site.")
        if token is None or request.path == "/static/style.css":
            return await handler(request)
        if _equal(request.query.get("token"), token):
            return _remember(request, token)
        if _equal(request.cookies.get(COOKIE), token):
            return await handler(request)
        if request.path.startswith(("/api/", "/ws/")):
            raise web.HTTPUnauthorized(text="The token is missing or wrong.")
        return web.Response(text=_ASK, content_type="text/html", status=401)

    return check


def is_loopback(host: str) -> bool:
    """Whether an address reaches this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _equal(given: str | None, token: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), token.encode())


def _remember(request: web.Request, token: str) -> web.Response:
    """Send the browser to the same address without the token, which a cookie holds from now on."""
    url = request.rel_url.without_query_params("token")
    answer = web.Response(status=302, headers={"Location": str(url)})
    answer.set_cookie(COOKIE, token, max_age=COOKIE_SECONDS, httponly=True, samesite="Lax")
    return answer
