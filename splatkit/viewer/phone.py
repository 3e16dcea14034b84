"""The way to the viewer for a phone: an address in this network, as a QR code."""

from __future__ import annotations

import io
import socket

import segno
from aiohttp import web

from splatkit.core import SplatkitError
from splatkit.viewer.guard import is_loopback

_ELSEWHERE = "192.0.2.1"
"""An address that nobody has (RFC 5737): nothing is sent to it, it only chooses the way out."""


class Phone:
    """Answers for a viewer that listens at an address.

    Args:
        host: what the viewer listens at.
        port: and where.
        token: that a browser must bring; the code carries it.
    """

    def __init__(self, host: str, port: int, token: str | None) -> None:
        self._host, self._port, self._token = host, port, token

    def routes(self) -> list[web.RouteDef]:
        """What the front answers."""
        return [web.get("/api/phone", self._tell), web.get("/api/phone.svg", self._code)]

    def url(self) -> str | None:
        """The address for others in this network; None where only this machine is let in."""
        if is_loopback(self._host):
            return None
        host = own_address() if self._host in ("0.0.0.0", "::", "") else self._host
        if host is None:
            return None
        query = "" if self._token is None else f"?token={self._token}"
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/{query}"

    async def _tell(self, _: web.Request) -> web.Response:
        url = self.url()
        return web.json_response({"url": url and url.partition("?")[0]})

    async def _code(self, _: web.Request) -> web.Response:
        url = self.url()
        if url is None:
            raise SplatkitError(
                "phone: expected a viewer that listens in this network; start it with --host "
                "0.0.0.0 --token auto"
            )
        headers = {"Cache-Control": "no-store"}
        return web.Response(body=code(url), content_type="image/svg+xml", headers=headers)


def code(text: str) -> bytes:
    """A QR code as SVG, with its quiet zone, black on white."""
    page = io.BytesIO()
    segno.make(text, error="m").save(page, kind="svg", scale=6, light="white", xmldecl=False)
    return page.getvalue()


def own_address() -> str | None:
    """This machine's address in its network; None without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((_ELSEWHERE, 9))
        except OSError:
            return None
        address = asking.getsockname()[0]
    return None if is_loopback(address) else address
