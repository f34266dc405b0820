"""What people or like items let expect instead of a series' own past, brought into the simulated demand that orders are reckoned from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from forecasting.like_items import LIKE_ITEMS
from forecasting.overrides import ABSOLUTE, override_paths
from inventory.reorder import median_demand
from inventory.schema import DemandOverride
from pipelines.steps.forecast import read_overrides

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from forecasting.schema import FloatArray, PathArray
    from inventory.reorder_decision import Reorder


@dataclass(frozen=True, slots=True)
class SeriesOverride:
    """One series' overrides: what holds on each coming day (`factor`, `absolute`: NaN where nothing does), and who said so."""

    by_day: pl.DataFrame
    factor: FloatArray
    absolute: FloatArray

    def applied(self, paths: PathArray) -> PathArray:
        """Simulated demand [path, day] with the overrides in it."""
        days = paths.shape[1]
        return override_paths(paths, factor=self.factor[:days], absolute=self.absolute[:days])

    def explained(self, reorder: Reorder, statistical: PathArray, *, seed: int) -> Reorder:
        """The decision with the overrides named that hold within its lead and review time, if any does."""
        until = reorder.lead_time.quantile(0.5) + reorder.policy.review_period_days
        within = self.by_day.filter((pl.col("demand_date") - pl.lit(reorder.as_of)).dt.total_days() <= until)
        if within.is_empty():
            return reorder
        spans = within.group_by("override_id", maintain_order=True).agg(
            pl.col("demand_date").min().alias("since"),
            pl.col("demand_date").max().alias("until"),
            pl.col("kind", "value", "author", "reason").first(),
        )
        override = DemandOverride(
            override_ids=tuple(spans["override_id"]),
            note=" ".join(_said(**row) for row in spans.iter_rows(named=True)),
            statistical_p50_qty=median_demand(statistical, lead_time=reorder.lead_time, policy=reorder.policy, seed=seed),
        )
        return replace(reorder, override=override)


def series_overrides(conn: duckdb.DuckDBPyConnection, *, as_of: date, days: int) -> dict[tuple[str, str], SeriesOverride]:
    """Series with an override that holds on any of the coming days, by sku and location."""
    by_day = read_overrides(conn, as_of=as_of, days=days)
    found: dict[tuple[str, str], SeriesOverride] = {}
    for (sku, location_id), own in by_day.group_by("sku", "location_id", maintain_order=True):
        factor, absolute = np.full(days, np.nan), np.full(days, np.nan)
        for day, kind, value in own.select((pl.col("demand_date") - pl.lit(as_of)).dt.total_days(), "kind", "value").iter_rows():
            (absolute if kind == ABSOLUTE else factor)[day - 1] = value
        found[str(sku), str(location_id)] = SeriesOverride(own, factor, absolute)
    return found


def like_means(conn: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], FloatArray]:
    """Units [day] that young items are forecast by the items like them, by sku and location."""
    daily = conn.execute(
        "SELECT sku, location_id, statistical_mean_qty FROM planning.forecast_daily WHERE model = ? ORDER BY sku, location_id, demand_date",
        [LIKE_ITEMS],
    ).pl()
    own = daily.group_by("sku", "location_id", maintain_order=True).agg("statistical_mean_qty")
    return {(sku, location_id): np.array(means) for sku, location_id, means in own.iter_rows()}


def like_paths(paths: PathArray, means: FloatArray) -> PathArray:
    """Simulated demand [path, day] of a young item moved to what like items let expect; after the last mean [day] to their average."""
    days = paths.shape[1]
    wanted = np.concatenate([means[:days], np.full(max(0, days - len(means)), means.mean())])
    return override_paths(paths, factor=np.full(days, np.nan), absolute=wanted)


def _said(*, override_id: str, since: date, until: date, kind: str, value: float, author: str, reason: str) -> str:
    amount = f"{value:g} a day" if kind == ABSOLUTE else f"{value:g} times the forecast"
    days = f"on {since}" if since == until else f"from {since} to {until}"
    return f"{author} expects {amount} {days} (override {override_id}): {reason.rstrip('.')}."
