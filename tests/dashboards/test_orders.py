"""Open orders, one order's story, and the orders behind a figure, on a release that the whole job published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.components.v2 import manifest_scanner

from dashboards.filters import Filters
from dashboards.queries import fulfilment, metrics, orders, releases
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import access_log
from tests.dashboards.conftest import open_at
from tests.dashboards.real_release import copy_home, published_home
from tests.dashboards.test_pages import words

if TYPE_CHECKING:
    from pathlib import Path

    from dashboards.queries.releases import Served

ORDERS = "views/orders.py"
FILTERS = Filters(days=91)


@pytest.fixture(scope="module")
def small_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small merchant's home."""
    return copy_home(published_home(tmp_path_factory), tmp_path_factory.mktemp("orders") / "home")


@pytest.fixture
def served(small_home: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Its release, read as pages read it."""
    monkeypatch.chdir(small_home)
    monkeypatch.setenv("ORDERCAST_HOME", str(small_home))
    monkeypatch.setattr(manifest_scanner, "scan_component_manifests", list)
    st.cache_data.clear()
    found = releases.served()
    assert found is not None
    return found


def looks(home: Path) -> list[Any]:
    """What the access log says was looked at."""
    with OperationalStore.open(f"sqlite:///{home / 'store.db'}") as store, store.transaction(writes=False) as conn:
        if not sa.inspect(conn).has_table(access_log.name):
            return []
        return list(conn.scalars(sa.select(access_log.c.object_id).where(access_log.c.action == "drill")))


def test_an_order_in_the_address_opens_and_the_look_is_recorded_once(served: Served, small_home: Path) -> None:
    rows, _ = orders.open_orders(served, Filters(), {})
    order_id = rows["order_id"][0]
    app = open_at(ORDERS, order=order_id).run()

    app.run()

    assert not app.exception
    assert f"Order {order_id}" in [heading.value.replace("\\", "") for heading in app.subheader]
    assert "Ordered" in app.get("html")[0].proto.body
    assert looks(small_home).count(order_id) == 1


def test_nothing_of_an_order_is_shown_where_the_look_cannot_be_recorded(
    served: Served, small_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = orders.open_orders(served, Filters(), {})
    monkeypatch.setenv("ORDERCAST_STORE_URL", f"sqlite:///{small_home}/no-such-folder/store.db")

    app = open_at(ORDERS, order=rows["order_id"][1]).run()

    assert ["Not shown" in error.value for error in app.error] == [True]
    assert not app.subheader
    assert not app.get("html")
    assert not app.metric


def test_an_order_that_the_release_does_not_have_says_what_to_check(served: Served, small_home: Path) -> None:
    app = open_at(ORDERS, order="O-none").run()

    assert "as the shop writes it" in app.warning[-1].value
    assert "O-none" not in looks(small_home)


def test_the_list_follows_the_address(served: Served) -> None:
    backlog = orders.backlog(served, Filters())
    stage = backlog.by_stage["stage"][-1]

    app = open_at(ORDERS, stage=stage, promise="Ahead").run()

    counted = backlog.by_stage.row(-1, named=True)
    ahead = counted["orders_count"] - counted["overdue_count"]
    assert not app.exception
    assert f"{ahead:,} row{'' if ahead == 1 else 's'}" in words(app)


def test_the_backlog_and_the_list_hold_the_orders_that_the_metric_counts(served: Served) -> None:
    (kpi,) = metrics.kpis(served, ["open_orders"], Filters())

    backlog, (_, listed) = orders.backlog(served, Filters()), orders.open_orders(served, Filters(), {})

    assert backlog.cells["orders_count"].sum() == kpi.value.value == listed


@pytest.mark.parametrize("by", ["location", "channel", "carrier", "country"])
def test_the_orders_behind_on_time_in_full_are_those_it_counts(served: Served, by: str) -> None:
    found = metrics.breakdown(served, "on_time_in_full", by, FILTERS).rows.drop_nulls("value")

    counted = {
        member: (
            fulfilment.orders_behind(served, FILTERS, by=by, member=member, outcome="missed")[1],
            fulfilment.orders_behind(served, FILTERS, by=by, member=member, outcome="all")[1],
        )
        for member in found["member"]
    }

    whole = {row["member"]: (row["denominator"] - row["numerator"], row["denominator"]) for row in found.iter_rows(named=True)}
    assert counted == whole
    assert len(whole) > 1


def test_arrivals_tell_of_every_order_that_was_due(served: Served) -> None:
    whole = metrics.kpis(served, ["on_time_in_full"], FILTERS)[0].value

    arrivals = fulfilment.arrivals(served, FILTERS)

    in_full = arrivals.filter(arrivals["late_days"] <= 0).select((pl.col("orders_count") - pl.col("cut_count")).sum()).item()
    assert arrivals["orders_count"].sum() == whole.denominator
    assert set(arrivals.filter(pl.col("late_days").is_null())["arrival"]) <= {"not arrived", "closed"}
    assert in_full == whole.numerator


def test_stages_sum_to_the_mean_of_the_orders_whose_timestamps_are_in_order(served: Served) -> None:
    found = fulfilment.stages(served, FILTERS, "location")

    everything = found.means.filter(found.means["member"] == "")["days"].sum()
    assert everything == pytest.approx(found.totals["days"][0])
    assert found.totals["n"][1:].sum() == found.totals["n"][0]
