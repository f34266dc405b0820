from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from forecasting import forecast

if TYPE_CHECKING:
    from conftest import PanelOf

DAYS, STARTED = 90, 20


def launched(panel_of: PanelOf, *, young: list[float], others: int = 8, unit: float = 1.0) -> pl.DataFrame:
    """An old item, items that were launched on day 20 and sell about 10, and a young one."""
    generator = np.random.default_rng(3)
    demand = np.vstack([np.full(DAYS, 30.0), generator.poisson(generator.uniform(8, 12, others)[:, None], (others, DAYS)), np.zeros(DAYS)])
    demand[-1, DAYS - len(young) :] = young
    day = np.tile(np.arange(DAYS), len(demand))
    first = np.repeat([0, *[STARTED] * others, DAYS - len(young)], DAYS)
    return panel_of(demand * unit).filter(pl.Series(day >= first))


def attributes(count: int) -> pl.DataFrame:
    return pl.DataFrame({"sku": [f"s{number:03d}" for number in range(count)], "category": "shoes"})


def of_young(panel: pl.DataFrame, **options: Any) -> dict[str, Any]:
    frame = forecast(panel, horizon=7, frequency="daily", attributes=attributes(panel.n_unique("sku")), **options).frame
    young = frame.filter(pl.col("sku") == frame["sku"].max())
    return {"mean": young["demand_mean_qty"].mean(), "p90": young["demand_p90_qty"].mean(), **young.row(0, named=True)}


def test_a_new_item_without_sales_starts_near_the_items_like_it_and_says_so(panel_of: PanelOf) -> None:
    young = of_young(launched(panel_of, young=[0.0, 0.0]))

    assert 6 < young["mean"] < 11
    assert young["p90"] > young["mean"]
    assert young["model"] == "like_items"
    assert "only 2 days in stock, 14 are needed" in young["fallback_reason"]
    assert "8 items of category 'shoes' sold at that age" in young["fallback_reason"]


def test_its_own_sales_count_the_more_the_longer_it_sells(panel_of: PanelOf) -> None:
    means = [of_young(launched(panel_of, young=[40.0] * days))["mean"] for days in (1, 5, 12)]

    assert 6 < means[0] < means[1] < means[2] < 41


def test_items_that_never_sold_are_like_no_other(panel_of: PanelOf) -> None:
    panel = launched(panel_of, young=[40.0] * 5)
    silent = panel_of(np.zeros((20, DAYS))).with_columns(pl.format("q{}", "sku").alias("sku"))
    first, long = (pl.col("demand_date") >= panel["demand_date"].min() + pl.duration(days=STARTED), pl.lit(True))

    known = {"horizon": 7, "frequency": "daily", "attributes": attributes(10)}
    alone, young, old = (
        forecast(rows, **known).frame.filter(pl.col("sku") == "s009")  # type: ignore[arg-type]
        for rows in (panel, pl.concat([panel, silent.filter(first)]), pl.concat([panel, silent.filter(long)]))
    )

    for others in (young, old):  # sums over more series round differently, on some processors
        assert_frame_equal(others, alone, rel_tol=1e-12, abs_tol=1e-12)


def test_too_few_like_items_leave_it_its_own_mean(panel_of: PanelOf) -> None:
    young = of_young(launched(panel_of, young=[40.0] * 5, others=3))

    assert young["model"] == "history_mean"


def test_the_start_scales_with_demand(panel_of: PanelOf) -> None:
    one, dozens = (of_young(launched(panel_of, young=[20.0] * 4, unit=unit)) for unit in (1.0, 12.0))

    assert dozens["mean"] == pytest.approx(12 * one["mean"], rel=1e-6)


def test_seasonal_naive_stays_what_it_is(panel_of: PanelOf) -> None:
    assert of_young(launched(panel_of, young=[40.0] * 5), model="seasonal_naive")["model"] == "seasonal_naive"
