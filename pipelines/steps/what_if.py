"""What would be ordered if demand, lead times, costs or suppliers were others; the release and the store stay as they are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import polars as pl

from forecasting.schema import SERIES_KEY
from pipelines.errors import ContractError
from pipelines.steps.recommend import recommend
from pipelines.steps.rule_policies import standing_policies
from pipelines.stores.scratch import change_table, open_scratch

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from pipelines.settings import Settings
    from pipelines.stores.releases import Release

LIKELY: Final = 0.5  # chance of running out from which an item counts as running out


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is supposed to be otherwise; what is not named stays.

    Attributes:
        demand_factor: Times the past demand that forecasts are made from.
        lead_time_days: Added to promised and past lead times, which stay at 0 or more; what is on its way keeps its day.
        cost_factor: Times the suppliers' prices.
        service_level: In place of the setting.
        failed_supplier_id: Delivers nothing any more, nor what is on its way from it.
        closed_location_id: Orders nothing; its demand goes nowhere else.
    """

    demand_factor: float = 1.0
    lead_time_days: int = 0
    cost_factor: float = 1.0
    service_level: float | None = None
    failed_supplier_id: str | None = None
    closed_location_id: str | None = None

    @property
    def is_base(self) -> bool:
        """Nothing is supposed to be otherwise."""
        return all(getattr(self, one.name) == one.default for one in fields(self))


@dataclass(frozen=True, slots=True)
class Suggested:
    """What one scenario comes to.

    Attributes:
        orders: sku, location_id, recommended_qty, unit_cost, currency_code, p_stockout_if_ignored, priority_score (expected
            loss of waiting for the next review, major units).
        excluded: sku, location_id, reason: items that cannot be ordered.
        not_available: What the source would have to provide, or why forecasts may not be ordered by; None where orders could be made.
    """

    orders: pl.DataFrame
    excluded: pl.DataFrame
    not_available: str | None

    @property
    def likely_to_run_out_count(self) -> int:
        """Items to order that more likely than not miss a unit before an order of the next review could arrive."""
        return self.orders.filter(pl.col("p_stockout_if_ignored") >= LIKELY).height

    @property
    def money(self) -> pl.DataFrame:
        """currency_code, order_amount and at_risk_amount in major units, sorted; no row where nothing is ordered."""
        return (
            self.orders.group_by("currency_code")
            .agg(
                (pl.col("unit_cost") * pl.col("recommended_qty")).sum().cast(pl.Float64).alias("order_amount"),
                pl.col("priority_score").sum().alias("at_risk_amount"),
            )
            .sort("currency_code")
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The release's own inputs beside the scenario's, both worked out in the same way now."""

    base: Suggested
    changed: Suggested

    @property
    def lines(self) -> pl.DataFrame:
        """sku, location_id, base_qty, scenario_qty of items whose quantity differs, the largest change in money first."""
        first, second = (
            one.orders.select(*SERIES_KEY, pl.col("recommended_qty").alias(name), pl.col("unit_cost").alias(f"{name}_cost"))
            for one, name in ((self.base, "base_qty"), (self.changed, "scenario_qty"))
        )
        both = first.join(second, on=SERIES_KEY, how="full", coalesce=True)
        quantities = both.with_columns(pl.col("base_qty", "scenario_qty").fill_null(0))
        cost = pl.coalesce("scenario_qty_cost", "base_qty_cost").cast(pl.Float64)
        change = ((pl.col("scenario_qty") - pl.col("base_qty")).abs() * cost).alias("change")
        differing = quantities.with_columns(change).filter(pl.col("base_qty") != pl.col("scenario_qty"))
        return differing.sort("change", *SERIES_KEY, descending=[True, False, False]).select(*SERIES_KEY, "base_qty", "scenario_qty")


def what_if(
    release: Release, scenario: Scenario, *, settings: Settings, on_progress: Callable[[str, float], None] = lambda _word, _share: None
) -> Comparison:
    """What this release would have suggested as it is, and if the scenario held.

    Raises:
        ContractError: Nothing differs in the scenario, or it names a supplier or location that is not there.
        ReleaseError: The release is damaged or gone.
    """
    if scenario.is_base:
        raise ContractError("Nothing differs from the base: give at least one option, such as --demand +20%.")
    on_progress("as it is", 0.0)
    with open_scratch(release) as conn:
        _check_names(conn, scenario)
        base = _suggested(conn, settings)
    on_progress("as supposed", 0.5)
    with open_scratch(release) as conn:
        suppose(conn, scenario)
        level = settings.service_level if scenario.service_level is None else scenario.service_level
        changed = _suggested(conn, settings.model_copy(update={"service_level": level}))
    return Comparison(base, changed)


def _suggested(conn: duckdb.DuckDBPyConnection, settings: Settings) -> Suggested:
    summary = recommend(conn, settings=settings, rules=standing_policies(conn, settings=settings))
    orders = conn.sql(
        "SELECT sku, location_id, recommended_qty, unit_cost, currency_code, p_stockout_if_ignored, priority_score "
        "FROM planning.recommendations WHERE kind = 'purchase' ORDER BY sku, location_id"
    ).pl()
    excluded = conn.sql("SELECT sku, location_id, reason FROM planning.recommendation_exclusions ORDER BY sku, location_id").pl()
    return Suggested(orders, excluded, summary.not_available or summary.withheld_reason)


def suppose(conn: duckdb.DuckDBPyConnection, scenario: Scenario) -> None:
    """The marts read as the scenario has them, in the memory of this connection of `open_scratch`."""
    if scenario.demand_factor != 1.0:
        factor = scenario.demand_factor
        change_table(conn, "marts", "fct_demand_daily", "SELECT * REPLACE (demand_qty * ? AS demand_qty) FROM {source}", [factor])
        means = "SELECT * REPLACE (statistical_mean_qty * ? AS statistical_mean_qty) FROM {source}"
        change_table(conn, "planning", "forecast_daily", means, [factor])
    if scenario.lead_time_days:
        longer = "SELECT * REPLACE (greatest(lead_time_days + ?, 0) AS lead_time_days) FROM {source}"
        change_table(conn, "marts", "fct_supplier_lead_times", longer, [scenario.lead_time_days])
    terms = (
        "SELECT * REPLACE (greatest(lead_time_days + ?, least(lead_time_days, 0)) AS lead_time_days, "
        "round(unit_cost_amount * ?)::BIGINT AS unit_cost_amount) FROM {source} WHERE supplier_id IS DISTINCT FROM ?"
    )
    change_table(conn, "marts", "dim_supplier_items", terms, [scenario.lead_time_days, scenario.cost_factor, scenario.failed_supplier_id])
    if scenario.failed_supplier_id is not None:
        lost = "SELECT * FROM {source} WHERE supplier_id IS DISTINCT FROM ?"
        change_table(conn, "marts", "fct_inbound", lost, [scenario.failed_supplier_id])
    if scenario.closed_location_id is not None:
        closed = "SELECT * REPLACE (is_active AND location_id <> ? AS is_active) FROM {source}"
        change_table(conn, "marts", "dim_locations", closed, [scenario.closed_location_id])


def _check_names(conn: duckdb.DuckDBPyConnection, scenario: Scenario) -> None:
    for name, table, column in (
        (scenario.failed_supplier_id, "dim_supplier_items", "supplier_id"),
        (scenario.closed_location_id, "dim_locations", "location_id"),
    ):
        if name is None:
            continue
        known = [one for (one,) in conn.execute(f"SELECT DISTINCT {column} FROM marts.{table} ORDER BY 1").fetchall()]
        if name not in known:
            some = ", ".join(known[:5]) + (f" and {len(known) - 5:,} more" if len(known) > 5 else "")
            raise ContractError(f"There is no {column.removesuffix('_id')} {name!r} in the served release; there are {some or 'none'}.")
