"""Passes the messages of one browser to viser and back."""

from __future__ import annotations

import asyncio

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, web

MOST_MESSAGE_BYTES = 4 << 20
"""Of a message from a browser; cameras and controls are far smaller."""


async def relay(request: web.Request, upstream: str) -> web.WebSocketResponse:
    """Serve a browser's websocket until either side closes.

    A browser that reads slowly is written to slowly: viser then leaves out pictures that a newer
    one has replaced.

    Args:
        request: asks for the websocket.
        upstream: viser's address for it.

    Raises:
        web.HTTPBadGateway: viser does not answer.
    """
    asked = request.headers.get("Sec-WebSocket-Protocol", "")
    protocols = tuple(name.strip() for name in asked.split(",") if name.strip())
    async with ClientSession() as session:
        try:
            inner = await session.ws_connect(upstream, protocols=protocols, max_msg_size=0)
        except ClientError as error:
            raise web.HTTPBadGateway(text="The viewer is closing.") from error
        browser = web.WebSocketResponse(
            protocols=protocols, max_msg_size=MOST_MESSAGE_BYTES, compress=False
        )
        await browser.prepare(request)
        ways = [
            asyncio.create_task(_pass_on(browser, inner)),
            asyncio.create_task(_pass_on(inner, browser)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            await inner.close()
            await browser.close()
    return browser


async def _pass_on(
    source: web.WebSocketResponse | ClientWebSocketResponse,
    target: web.WebSocketResponse | ClientWebSocketResponse,
) -> None:
    async for message in source:
        if message.type == WSMsgType.BINARY:
            await target.send_bytes(message.data)
        elif message.type == WSMsgType.TEXT:
            await target.send_str(message.data)
