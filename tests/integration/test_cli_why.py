"""`recommendations --why` answers for a suggestion and for an item without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

from pipelines.steps.recommend_rows import SILENT_ITEMS
from pipelines.stores.operational import OperationalStore
from pipelines.stores.recommendations import RecommendationRun, list_recommendations, propose
from pipelines.stores.releases import ReleaseFacts, publish
from tests.integration.decision_shop import AS_OF, open_shop
from tests.integration.test_cli import Terminal

if TYPE_CHECKING:
    from pathlib import Path

STEPS = pl.DataFrame(
    [("key-ITEM-1", 1, "Demand", 90.0, "As forecast."), ("key-ITEM-1", 2, "If ignored", None, "It costs EUR 12.")],
    schema={"recommendation_key": pl.String, "step_number": pl.Int64, "step": pl.String, "qty": pl.Float64, "note": pl.String},
    orient="row",
)


@pytest.fixture
def ordercast(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    """A shop with a suggestion for ITEM-1, and a release that says why TEA@1 has none."""
    home = tmp_path / "home"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "400")
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}", must_exist=False) as store:
        store.migrate()
        open_shop(store, items=1, policy_version="path_newsvendor/3")
        rows = list_recommendations(store).drop("rec_id", "status", "version", "first_run_id", "last_run_id", "snoozed_until")
        run = RecommendationRun("r2", AS_OF, "R1", "0.1.0", "c", 0, "passed")
        propose(store, run, rows, STEPS, pl.DataFrame(schema={"recommendation_key": pl.String, "model": pl.String}))
    silent = [("TEA@1", "DC", None, "enough_stock", 41, "Enough stock: lasts about 41 days.", "path_newsvendor/3"), ("TEA@1", "STORE", "E604", "excluded", None, "No supplier sells this item.", None)]  # fmt: skip
    with duckdb.connect(":memory:") as conn:
        conn.execute("create schema planning")
        conn.register("silent", pl.DataFrame(silent, schema=SILENT_ITEMS, orient="row").to_arrow())
        conn.execute("create table planning.silent_items as from silent")
        publish(conn, home / "releases", facts=ReleaseFacts("r2", "2026-06-30", "2026-07-01T06:00:00+00:00", "0.1.0", "a", 0, 5, 5), catalogue="{}", keep=5)  # fmt: skip
    return Terminal(monkeypatch, capsys)


@pytest.mark.parametrize("by", ["id", "ITEM-1", "ITEM-1@DC"])
def test_a_suggestion_tells_its_whole_story(ordercast: Terminal, by: str) -> None:
    (row,) = ordercast.json("recommendations")

    code, out, _ = ordercast("recommendations", "--why", row["rec_id"][:8] if by == "id" else by)

    assert code == 0
    assert "It runs out." in out
    assert "90  Demand  As forecast." in out
    assert "If ignored  It costs EUR 12." in out
    assert "Policy path_newsvendor/3: with the data of 2026-06-30. Bound by: none." in out
    assert "Of run r2: ordercast rebuild r2 makes it again" in out


def test_an_item_without_a_suggestion_says_why_at_each_place(ordercast: Terminal) -> None:
    _, everywhere, _ = ordercast("recommendations", "--why", "TEA@1")
    told = ordercast.json("recommendations", "--why", "TEA@1@STORE")

    assert "TEA@1 at DC: nothing to order. Enough stock: lasts about 41 days. (policy path_newsvendor/3)" in everywhere
    assert "TEA@1 at STORE: nothing to order. E604 No supplier sells this item." in everywhere
    assert [(one["location_id"], one["kind"]) for one in told["without_suggestion"]] == [("STORE", "excluded")]
    assert told["recommendations"] == []


def test_what_nobody_knows_is_refused(ordercast: Terminal) -> None:
    code, _, err = ordercast("recommendations", "--why", "COFFEE")

    assert code == 2
    assert "nothing is known of 'COFFEE'" in err
