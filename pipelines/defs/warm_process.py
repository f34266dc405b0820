"""Imported by the process that runs are forked from: what every run imports and reads stands in memory."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

from pipelines.quality.runner import import_library
from pipelines.settings import load_settings
from pipelines.steps.transform import read_parsed

import_library()
read_parsed(load_settings())
gc.freeze()  # what a fork shares with others is not searched for garbage, and so not copied

_WHEN_THE_PARENT_DIES = 1  # PR_SET_PDEATHSIG, by linux/prctl.h


def end_with_parent() -> None:
    """This process is killed as soon as the one that started it has ended, however that ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_WHEN_THE_PARENT_DIES, signal.SIGKILL)


# Nobody would see how a run ends that outlives the code server, and the next one would work beside it.
end_with_parent()
os.register_at_fork(after_in_child=end_with_parent)
