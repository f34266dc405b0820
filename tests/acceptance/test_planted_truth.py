"""What the simulator planted, found again in the release: a merchant whose books differ on purpose, from the command line to the reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipelines.simulator.merchant import SimulatedMerchant, simulate
from pipelines.simulator.scenarios import SCENARIOS
from pipelines.stores.warehouse import open_warehouse
from tests.acceptance.conftest import CommandLine

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 3  # with this seed some orders are for retired items
RULES: dict[str, tuple[str, Callable[[str], str]]] = {
    "order_total": ("order_total_vs_lines", str),
    "missing_movement": ("shipped_units_vs_movements", lambda shipment_id: f"O-{shipment_id.split('-')[1]}"),
    "invoice_amount": ("invoices_vs_order_total", str),
    "double_payment": ("payments_vs_invoice", lambda invoice_id: f"O-{invoice_id.split('-')[1]}"),
}


@pytest.fixture(scope="module")
def planted() -> SimulatedMerchant:
    return simulate(SCENARIOS["dirty"], seed=SEED)


@pytest.fixture(scope="module")
def ordercast(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The same merchant after one run."""
    ordercast = CommandLine(tmp_path_factory.mktemp("dirty") / "home")
    ordercast("simulate", "--scenario", "dirty", "--seed", str(SEED))
    ordercast("run")
    return ordercast


def test_reconciliation_finds_every_planted_difference_by_its_order_and_no_other(
    ordercast: CommandLine, planted: SimulatedMerchant
) -> None:
    differences = planted.truth.planted_differences
    rows: list[dict[str, Any]] = ordercast.json("report", "reconciliation")["rows"]

    # A parcel without its movement shows in the stock of its items too, which is one difference more for each of them.
    assert {row["rule"] for row in rows} == {rule for rule, _ in RULES.values()} | {"stock_level_vs_movements"}
    for kind, (rule, order_of) in RULES.items():
        found = {order_of(row["document_id"]) for row in rows if row["rule"] == rule}
        assert found == set(differences.filter(pl.col("kind") == kind)["order_id"]), kind


def test_review_scores_fall_with_lateness_as_is_true(ordercast: CommandLine, planted: SimulatedMerchant) -> None:
    truth = dict(planted.truth.review_scores.rows())

    start = SCENARIOS["dirty"].start.isoformat()
    rows = ordercast.json("metrics", "satisfaction_mean_score", "--by", "lateness", "--from", start)
    values = {row["lateness"]: row for row in rows}

    for lateness, name in (("on time", "on_time"), ("1-3 days late", "late"), ("4 days late or more", "very_late")):
        assert values[lateness]["value"] == pytest.approx(truth[name], abs=4 / values[lateness]["n"] ** 0.5), lateness


def test_contracts_end_at_the_true_rate(ordercast: CommandLine, planted: SimulatedMerchant) -> None:
    hazard = planted.truth.subscription_monthly_hazard

    (churn,) = ordercast.json("metrics", "contractual_churn_28_days_rate", "--from", SCENARIOS["dirty"].start.isoformat())

    in_28_days = 1 - (1 - hazard) ** (28 * 12 / 365.25)
    assert churn["n"] > 100
    assert churn["value"] == pytest.approx(in_28_days, abs=3 * (hazard / churn["n"]) ** 0.5)


def test_orders_for_retired_items_are_blocked_for_want_of_a_product(ordercast: CommandLine, planted: SimulatedMerchant) -> None:
    (release,) = (ordercast.home / "releases").glob("*.duckdb")
    with open_warehouse(release, read_only=True) as conn:
        blocked = conn.execute("select order_id from marts.fct_blocked_orders where cause = 'no_product'").fetchall()

    assert {order_id for (order_id,) in blocked} == set(planted.truth.retired_item_orders) != set()
