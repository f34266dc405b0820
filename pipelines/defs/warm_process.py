"""Imported by the process that runs are forked from: what every run imports and reads stands in memory."""

from __future__ import annotations

import gc

from pipelines.quality.runner import import_library
from pipelines.settings import load_settings
from pipelines.steps.transform import read_parsed

import_library()
read_parsed(load_settings())
gc.freeze()  # what a fork shares with others is not searched for garbage, and so not copied
