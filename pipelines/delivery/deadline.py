"""An end for a whole exchange over a socket: a timeout of its own bounds one read only, and a slow answer has many."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def deadline(current: Callable[[], socket.socket | None], seconds: float) -> Iterator[None]:
    """The socket is shut down after so many seconds, so that whatever waits for it in the block fails.

    Args:
        current: Gives the socket at that moment: STARTTLS puts another one in its place.
        seconds: From now on.
    """

    def shut() -> None:
        sock = current()
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the method of ssl, which drops its state under the reader

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
