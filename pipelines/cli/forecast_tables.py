"""Forecasts and their scores as tables of at most 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl
from rich.markup import escape
from rich.table import Table

from forecasting.schema import PERIOD_NAMES, SEASONAL_NAIVE, SERIES_KEY

if TYPE_CHECKING:
    from rich.console import Console

    from forecasting.schema import Backtest, Frequency
    from pipelines.stores.forecast_evidence import ForecastEvidence

SHOWN: Final = 20
STATISTICAL: Final = "statistical_mean_qty"
_REASONS_SHOWN: Final = 5
_RATES: Final = {
    "wape_rate": "WAPE", "naive_wape_rate": "Naive WAPE", "fva_rate": "FVA", "bias_rate": "Bias", "cumulative_bias_rate": "Cum. bias",
    "mase": "MASE", "rmsse": "RMSSE",
    "weighted_quantile_loss": "WQL", "band_coverage_rate": "p10-90",
}  # fmt: skip
_LEGEND: Final = (
    "WAPE: absolute error over units. FVA: share of seasonal naive's error saved.\n"
    "MASE, RMSSE: error over that of a naive forecast in the past. WQL: weighted\n"
    "quantile loss. p10-90: share of periods in the band; 80 % would be exact."
)
_PLAIN: Final = frozenset({"mase", "rmsse", "weighted_quantile_loss"})


def show_forecast(console: Console, rows: pl.DataFrame, *, title: str, by_period: bool) -> None:
    """A line per series with its mean per period, or one per period; then why models fell back."""
    console.print(escape(title), style="bold", highlight=False)
    if rows.is_empty():
        console.print("Nothing can be forecast: no series has sold enough, long enough and lately.")
        return
    if by_period:
        quantities = [name for name in rows.columns if name.endswith("_qty") and name != STATISTICAL]
        _print(console, rows.select("location_id", "demand_date", *quantities, *_as_forecast(rows, pl.col(STATISTICAL))))
        console.print(f"Model: {', '.join(rows['model'].unique().sort())}", style="dim", highlight=False)
    else:
        series = rows.group_by(SERIES_KEY, maintain_order=True).agg(
            pl.col("demand_mean_qty").mean().alias("per period"),
            pl.col("demand_mean_qty").sum().alias("in all"),
            *_as_forecast(rows, pl.col(STATISTICAL).sum()),
            pl.col("model").first(),
        )
        _print(console, series.sort("in all", descending=True, nulls_last=True), limit=SHOWN)
        console.print("--sku shows one item period by period with its range, --csv FILE has every row.", style="dim", highlight=False)
    _say_reasons(console, rows.unique(SERIES_KEY, keep="first", maintain_order=True))


def _as_forecast(rows: pl.DataFrame, quantity: pl.Expr) -> list[pl.Expr]:
    """The statistical quantity beside what a person expects; nothing where nobody expects anything else."""
    is_overridden = "override_id" in rows.columns and rows["override_id"].null_count() < rows.height
    return [quantity.alias("without override")] if is_overridden else []


def show_backtest(console: Console, result: Backtest, *, title: str, frequency: Frequency) -> None:
    """Models side by side, the best one by class and by step, sums over the horizon, fallbacks."""
    cutoffs = result.frame["cutoff_date"].unique().sort().to_list()
    series_count = result.series_scores.n_unique(SERIES_KEY)
    console.print(escape(title), style="bold", highlight=False)
    console.print(
        f"{series_count:,} series, {len(cutoffs)} cut-offs from {cutoffs[0]} to {cutoffs[-1]}, fitted anew at each", highlight=False
    )
    model = _show_scores(console, result.scores, result.step_scores, period=PERIOD_NAMES[frequency])
    _show_levels(console, result.horizon_scores)
    _say_reasons(console, result.series_scores.filter(pl.col("model") == model))


def show_evidence(console: Console, evidence: ForecastEvidence, *, title: str) -> None:
    """The backtest that a release carries: as `show_backtest` has it, and where errors are largest."""
    console.print(escape(title), style="bold", highlight=False)
    if evidence.classes.is_empty():
        console.print("Forecasts could not be tested: the history is too short, or nothing can be forecast.")
        return
    console.print(
        f"Tested with the data of {evidence.backtest_date}: {evidence.windows_count} cut-offs, {evidence.horizon_days} days ahead, "
        f"{evidence.series.height:,} series",
        highlight=False,
    )
    _show_scores(console, evidence.classes, evidence.steps, period="day")
    _show_levels(console, evidence.levels)
    console.print("\nWhere errors are largest", highlight=False)
    off = (pl.col("wape_rate") * pl.col("actual_qty")).alias("Off by, units")
    worst = evidence.series.select(*SERIES_KEY, "actual_qty", off, "wape_rate", "naive_wape_rate", "bias_rate")
    _print(console, _rates(worst), limit=SHOWN // 2)
    _say_reasons(console, evidence.series)


def _show_scores(console: Console, classes: pl.DataFrame, steps: pl.DataFrame, *, period: str) -> str:
    """Models over all series, least error first, then the best of them by class and by step, or the next to seasonal naive.

    Returns:
        The name of that model.
    """
    overall = classes.filter(pl.col("class_kind") == "all").sort("wape_rate", "model", nulls_last=True)
    model = next((name for name in overall["model"] if name != SEASONAL_NAIVE), SEASONAL_NAIVE)
    _print(console, _rates(overall.select("model", *(name for name in _RATES if name in overall.columns))))
    console.print(_LEGEND, style="dim", highlight=False)
    shown = ["wape_rate", "fva_rate", "bias_rate", "rmsse", "weighted_quantile_loss", "band_coverage_rate"]
    own = classes.filter((pl.col("class_kind") != "all") & (pl.col("model") == model)).unique(
        "class_name", keep="first", maintain_order=True
    )
    console.print(f"\n{model} by class: volume (A is 80 % of units, B 15 %) and pattern of sales", highlight=False)
    _print(console, _rates(own.select("class_name", "series_count", "actual_qty", *shown)))
    ahead = steps.filter((pl.col("model") == model) & pl.col("step").is_in(_some_steps(steps["step"].max())))
    console.print(f"\n{model} by {period}s ahead", highlight=False)
    _print(console, _rates(ahead.select(pl.col("step").alias(period.capitalize()), *shown)))
    return model


def _show_levels(console: Console, levels: pl.DataFrame) -> None:
    if levels.is_empty():
        return
    told = ", ".join(f"{level:.0%} in {covered:.1%}" for level, covered in levels.select("level", "coverage_rate").rows())
    console.print(f"\nDemand summed over the horizon stayed below its quantile: {told}.".replace("%", " %"), highlight=False)


def _say_reasons(console: Console, series: pl.DataFrame) -> None:
    told = series.filter(pl.col("fallback_reason").is_not_null())
    for row in told.head(_REASONS_SHOWN).to_dicts():
        where = " at ".join(str(row[name]) if row[name] is not None else "(no key)" for name in SERIES_KEY)
        console.print(f"{where}: {row['fallback_reason']}", style="yellow", markup=False, highlight=False)
    if told.height > _REASONS_SHOWN:
        console.print(f"{told.height - _REASONS_SHOWN:,} more series have a reason: --json has them all.", style="yellow", highlight=False)


def _some_steps(last: Any) -> list[int]:
    return sorted({1, *(round(share * last) or 1 for share in (0.25, 0.5, 1.0))})


def _rates(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename({name: title for name, title in _RATES.items() if name in frame.columns})


def _print(console: Console, rows: pl.DataFrame, *, limit: int | None = None) -> None:
    originals = {title: name for name, title in _RATES.items()}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, kind in rows.schema.items():
        table.add_column(_heading(name), justify="right" if kind.is_numeric() else "left", overflow="fold", vertical="bottom")
    for row in rows.head(limit or rows.height).iter_rows(named=True):
        table.add_row(*(escape(_cell(originals.get(name, name), value)) for name, value in row.items()))
    console.print(table)
    if limit is not None and rows.height > limit:
        console.print(f"{limit} of {rows.height:,} rows", style="dim", highlight=False)


def _heading(name: str) -> str:
    words = {
        "class_name": "Class",
        "series_count": "Series",
        "actual_qty": "Units",
        "location_id": "Location",
        "demand_date": "Day",
        "sku": "Sku",
    }
    if name in words:
        return words[name]
    if name.startswith("demand_") and name.endswith("_qty"):
        return name.removeprefix("demand_").removesuffix("_qty").capitalize()
    return name if name[0].isupper() or name.startswith("p1") else name.replace("_rate", "").replace("_", " ").capitalize()


def _cell(name: str, value: Any) -> str:
    match value:
        case None:
            return "-"
        case float() if name.endswith("_rate"):
            return f"{value:+.1%}".replace("%", " %") if name in {"bias_rate", "fva_rate"} else f"{value:.1%}".replace("%", " %")
        case float():
            return f"{value:,.2f}" if name in _PLAIN or abs(value) < 100 else f"{value:,.0f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
