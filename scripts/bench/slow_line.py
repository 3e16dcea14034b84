"""A TCP proxy that carries so many bits a second and delays them, as a mobile line does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

_PIECE = 4096
_BUFFER = 32 << 10
"""Bytes that the line itself may hold; the rest waits at the sender."""


class SlowLine:
    """Passes connections on to a port of this machine.

    Args:
        port: where to.
        bits: a second, each way and connection.
        round_trip: seconds that are added to every answer.
    """

    def __init__(self, port: int, bits: float, round_trip: float) -> None:
        self._upstream = port
        self._rate, self._delay = bits / 8, round_trip / 2
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def __enter__(self) -> SlowLine:
        self._thread.start()
        starting = asyncio.start_server(self._accept, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _hang_up(self) -> None:
        """End all that is still carried."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = socket.create_connection(("127.0.0.1", self._upstream))
        # Small buffers: what the line does not carry yet must be felt by who sends it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        inner, outer = await asyncio.open_connection(sock=connection, limit=_PIECE)
        # Cut off at the end.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._carry(reader, outer), self._carry(inner, writer))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.create_task(self._deliver(queue, target))
        free = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_PIECE):
                # The line is taken for as long as the bytes need; then they travel.
                free = max(free, time.monotonic()) + len(data) / self._rate
                await asyncio.sleep(max(0.0, free - time.monotonic()))
                queue.put_nowait((free + self._delay, data))
        queue.put_nowait((0.0, b""))
        await sending

    async def _deliver(
        self, queue: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                due, data = await queue.get()
                if not data:
                    break
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                target.write(data)
                await target.drain()
        target.close()
