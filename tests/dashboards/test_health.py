"""What the page about trust says of the sources, and the figures its cards rest on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import polars as pl
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.components.verdicts import verdicts
from dashboards.queries import health, operations, releases
from tests.dashboards.conftest import open_at
from tests.dashboards.real_release import copy_home, published_home
from tests.dashboards.test_overview import badges, words

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

READ_AT = datetime(2026, 11, 21, 5, 0)  # UTC


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> releases.Served:
    """A run's release: orders had changed three hours before they were read, and when locations did nobody says."""

    def change(conn: duckdb.DuckDBPyConnection) -> None:
        conn.execute("update meta.source_tables set read_at = ?", [READ_AT])
        conn.execute("update meta.source_changes set changed_at = ?", [READ_AT - timedelta(days=30)])
        conn.execute("update meta.source_changes set changed_at = ? where table_name = 'orders'", [READ_AT - timedelta(hours=3)])
        conn.execute("update meta.source_changes set changed_at = null where table_name = 'locations'")

    home = copy_home(published_home(tmp_path_factory), tmp_path / "home", change=change)
    monkeypatch.setenv("ORDERCAST_HOME", str(home))
    st.cache_data.clear()
    found = releases.served()
    assert found is not None
    return found


def test_a_source_is_told_with_when_it_changed_and_when_it_was_read(served: releases.Served) -> None:
    page = open_at("views/health.py").run()

    assert not page.error
    assert "The newest change was 3 h old when read." in words(page)
    (table,) = [one.value for one in page.dataframe if "changed_at" in one.value.columns]
    shown = dict(zip(table["table_name"], table["read_at"] - table["changed_at"], strict=True))
    assert shown["orders"] == timedelta(hours=3)
    assert str(shown["locations"]) == "NaT"


def test_sources_are_late_by_when_they_were_read_and_not_by_when_they_changed(served: releases.Served) -> None:
    now = READ_AT.replace(tzinfo=UTC)

    assert health.trust(served, now=now + timedelta(hours=1)).late_tables == []
    assert "orders" in health.trust(served, now=now + timedelta(hours=40)).late_tables


def nothing_known() -> tuple[health.Trust, operations.Operations]:
    """What is read of a release in which nothing was read, checked, compared or forecast, and of a store that does not answer."""
    nothing = pl.DataFrame()
    counts = pl.DataFrame(schema=dict.fromkeys(
        ("checks_count", "failed_count", "compared_count", "differing_count", "missing_count", "stale_count", "ghost_count", "series_count"),
        pl.Int64,
    ))  # fmt: skip
    sources, forecast_checks = pl.DataFrame(schema={"table_name": pl.String, "is_late": pl.Boolean}), {"is_passed": pl.Boolean}
    trust = health.Trust(sources, None, nothing, nothing, counts, counts, counts, pl.DataFrame(schema=forecast_checks), 0, counts, counts)
    return trust, operations.Operations(nothing, nothing, nothing, nothing, "The store does not answer.")


def test_nothing_is_good_of_which_nothing_is_known() -> None:
    cards = verdicts(*nothing_known())

    assert {card.title: (card.level, card.said) for card in cards} == {
        "Sources": ("unknown", "None read yet"), "Quarantine": ("unknown", "Not in this release"), "Checks": ("unknown", "None made"),
        "Reconciled": ("unknown", "Nothing compared"), "Forecasts": ("unknown", "None made"), "Outbox": ("unknown", "Not reached"),
    }  # fmt: skip


def draw_unknown() -> None:
    """The cards, as a script of its own."""
    from dashboards.components.verdicts import verdict_cards, verdicts
    from tests.dashboards.test_health import nothing_known

    verdict_cards(verdicts(*nothing_known()))


def test_what_is_not_known_says_so_in_grey_with_an_icon_and_a_word() -> None:
    page = AppTest.from_function(draw_unknown, default_timeout=30).run()

    assert badges(page) == ["Unknown"] * 6
    assert ":gray-badge[:material/help: Unknown]" in words(page)
