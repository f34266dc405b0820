"""One command works on a home folder at a time; the lock goes with its process, however it ends."""

from __future__ import annotations

import fcntl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pipelines.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK: Final = "run.lock"
_ATTEMPTS: Final = 3  # somebody may just be looking whether it is held
_PAUSE_SECONDS: Final = 0.05


@contextmanager
def only_run(home: Path) -> Iterator[None]:
    """No other command that runs things works on this home folder meanwhile.

    Raises:
        UnavailableError: One does. Nothing was changed.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / _LOCK).open("w", encoding="utf-8") as lock:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == _ATTEMPTS:
                    raise UnavailableError(f"Another run is at work in {home}; wait for it to end and run again.") from None
                time.sleep(_PAUSE_SECONDS)
        yield


def is_run_locked(home: Path) -> bool:
    """Whether a command works on this home folder now."""
    try:
        with (home / _LOCK).open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
