"""A transaction that locks, a deadlock or a broken connection stopped is tried again."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

from pipelines.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

ATTEMPTS: Final = 5
_FIRST_PAUSE_SECONDS: Final = 0.05
_T = TypeVar("_T")


def retried(attempt: Callable[[], _T]) -> _T:
    """The attempt's result, after at most five with a pause that doubles.

    One that failed may have taken effect all the same, so the attempt has to be something that has no second effect.

    Raises:
        StoreUnavailableError: The store did not answer five times, or a retry cannot help.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        except StoreUnavailableError as exc:
            if not exc.is_passing or number == ATTEMPTS:
                raise
        time.sleep(_FIRST_PAUSE_SECONDS * 2 ** (number - 1) * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, no secret
    raise AssertionError  # the last attempt returns or raises
