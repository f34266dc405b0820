"""What leaves the page about trust says what its columns mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import streamlit as st

from dashboards.components import tables
from tests.dashboards.conftest import open_at
from tests.dashboards.real_release import published_home

if TYPE_CHECKING:
    import polars as pl

PLAIN = {"release_id", "title", "read_by"}  # names that say all by themselves


@pytest.mark.parametrize("part", ["Sources", "Quarantine", "Checks", "Reconciliation", "Forecasts", "Releases and runs", "Use"])
def test_every_table_of_trust_goes_out_with_what_its_columns_mean(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setenv("ORDERCAST_HOME", str(published_home(tmp_path_factory)))
    st.cache_data.clear()
    unsaid: dict[str, list[str]] = {}

    def export(frame: pl.DataFrame, *, name: str, definitions: dict[str, str], **_named: Any) -> None:
        unsaid[name] = [column for column in frame.columns if column not in definitions and column not in PLAIN]

    monkeypatch.setattr(tables, "export_button", export)

    page = open_at("views/health.py", about=part).run()

    assert not page.exception
    assert unsaid
    assert not any(unsaid.values()), unsaid
