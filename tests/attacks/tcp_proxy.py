"""A proxy in front of PostgreSQL that cuts connections: before a COMMIT is passed on, after the server did it, or at any byte."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

import psycopg
from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_SIZE: Final = 4  # bytes of a message's length, which counts itself and not the type before it
_LONGEST: Final = 6_000  # a decision is some thousand bytes each way


class CuttingProxy:
    """Passes the PostgreSQL protocol on, message by message, and cuts as it draws; also a context manager.

    Attributes:
        cuts: How many connections were cut, by `before` (the server never saw the COMMIT), `after` (it did it, and the client never
            heard) and `anywhere`.
    """

    def __init__(self, url: str, *, seed: int, before: float = 0.2, after: float = 0.2, anywhere: float = 0.2) -> None:
        """The rates are of COMMITs, and for `anywhere` of connections."""
        self.cuts: Counter[str] = Counter()
        self._url = make_url(url)
        with psycopg.connect(url) as conn:  # where the server listens, whichever way the address says it
            self._server = (conn.info.host, conn.info.port)
        self._draw = random.Random(seed)
        self._before, self._after, self._anywhere = before, after, anywhere
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._is_up, self._stop = threading.Event(), asyncio.Event()
        self._port = 0
        self._is_down = False
        self._open_now: set[asyncio.Task[None]] = set()

    @contextmanager
    def down(self) -> Iterator[None]:
        """In the block every connection is cut, and so is every new one at once."""
        self._is_down = True
        self._loop.call_soon_threadsafe(self._cut_all)
        try:
            yield
        finally:
            self._is_down = False

    def _cut_all(self) -> None:
        for task in self._open_now:
            task.cancel()

    @property
    def url(self) -> str:
        """The address of the database through this proxy."""
        through = self._url.set(host="127.0.0.1", port=self._port, query={"sslmode": "disable", "gssencmode": "disable"})
        return through.render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_up.wait()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._is_down:
                writer.transport.abort()
                return
            task = asyncio.ensure_future(self._connection(reader, writer))
            self._open_now.add(task)
            task.add_done_callback(self._open_now.discard)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        await self._stop.wait()
        server.close()
        self._cut_all()
        await asyncio.gather(*self._open_now, return_exceptions=True)

    async def _connection(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        host, port = self._server
        pair = [to_client]
        try:
            if host.startswith("/"):
                server, to_server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            else:
                server, to_server = await asyncio.open_connection(host, port)
            pair.append(to_server)
            link = _Link(self, self._draw.randrange(_LONGEST) if self._draw.random() < self._anywhere else None)
            ways = [
                asyncio.ensure_future(link.pass_on(client, to_server, is_client=True)),
                asyncio.ensure_future(link.pass_on(server, to_client, is_client=False)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the server restarts
        finally:
            for writer in pair:
                writer.transport.abort()

    def draw_cut(self) -> str | None:
        """What happens to the COMMIT that has come."""
        drawn = self._draw.random()
        return "before" if drawn < self._before else "after" if drawn < self._before + self._after else None


class _Link:
    """One client's connection; `bytes_left` until it is cut anywhere, None where it is not."""

    def __init__(self, proxy: CuttingProxy, bytes_left: int | None) -> None:
        self._proxy = proxy
        self._bytes_left = bytes_left
        self._cut: str | None = None

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_client: bool) -> None:
        """Messages go on until the connection ends, by itself or cut."""
        async for message in _messages(reader, has_startup=is_client):
            if is_client and message.startswith(b"Q") and message[1 + _SIZE :].upper().startswith(b"COMMIT"):
                self._cut = self._proxy.draw_cut()
                if self._cut == "before":
                    return self._count("before")
            elif not is_client and self._cut == "after" and message.startswith(b"C") and message[1 + _SIZE :].startswith(b"COMMIT"):
                return self._count("after")
            if self._bytes_left is not None:
                self._bytes_left -= len(message)
                if self._bytes_left < 0:
                    writer.write(message[: self._bytes_left])
                    await writer.drain()
                    return self._count("anywhere")
            writer.write(message)
            await writer.drain()
        return None

    def _count(self, kind: str) -> None:
        self._proxy.cuts[kind] += 1


async def _messages(reader: asyncio.StreamReader, *, has_startup: bool) -> AsyncIterator[bytes]:
    """Whole messages as they come: a type and a length and a body, but for a client's first, which has no type."""
    try:
        if has_startup:
            head = await reader.readexactly(_SIZE)
            yield head + await reader.readexactly(int.from_bytes(head) - _SIZE)
        while True:
            head = await reader.readexactly(1 + _SIZE)
            yield head + await reader.readexactly(int.from_bytes(head[1:]) - _SIZE)
    except (asyncio.IncompleteReadError, ConnectionError):
        return
