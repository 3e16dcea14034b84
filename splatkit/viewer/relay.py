"""Passes the messages of one browser to viser and back."""

from __future__ import annotations

import asyncio
import socket

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, web

from splatkit.viewer.line import Line

MOST_UNSENT_BYTES = 16 << 10
MOST_MESSAGE_BYTES = 4 << 20
"""Of a message from a browser; cameras and controls are far smaller."""


async def relay(request: web.Request, upstream: str, line: Line) -> web.WebSocketResponse:
    """Serve a browser's websocket until either side closes.

    A browser that reads slowly is written to slowly: viser then leaves out pictures that a newer
    one has replaced.

    Args:
        request: asks for the websocket.
        upstream: viser's address for it.
        line: is told what the browser's line carries.

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
        _keep_buffers_small(request)
        ways = [
            asyncio.create_task(_pass_on(browser, inner)),
            asyncio.create_task(_pass_on(inner, browser, line)),
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


def _keep_buffers_small(request: web.Request) -> None:
    """Let pictures wait where a newer one can still replace them, not in the system's buffers."""
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=MOST_UNSENT_BYTES, low=MOST_UNSENT_BYTES // 2)
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)


async def _pass_on(
    source: web.WebSocketResponse | ClientWebSocketResponse,
    target: web.WebSocketResponse | ClientWebSocketResponse,
    line: Line | None = None,
) -> None:
    async for message in source:
        if message.type == WSMsgType.BINARY:
            if line is not None:
                line.begins()
            await target.send_bytes(message.data)
            if line is not None:
                line.ends(len(message.data))
        elif message.type == WSMsgType.TEXT:
            await target.send_str(message.data)
