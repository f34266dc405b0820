"""How good the probabilities of missed promises were on days held out, beside rules that need no model."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import rankdata

from forecasting.jeopardy import fit_jeopardy
from forecasting.schema import BoolArray, FloatArray

WINDOWS: Final = 4
WINDOW_DAYS: Final = 14
THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BANDS: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)  # of the table of calibration
LEAST_GAIN: Final = 0.01  # by so much of its error the regression has to be better than the plain rates

# A look costs one; a promise that is kept after all is worth five looks, and every second look at one in jeopardy keeps it. These are
# assumptions. By them one look pays from the probability 1 / (0.5 * 5) = 0.4 on; an order is looked at once but judged every evening,
# and on one of several it is over the threshold by chance: what pays best was measured between 0.4 and 0.7 (docs/methods/jeopardy.md).
LOOK_COST: Final = 1.0
KEPT_VALUE: Final = 5.0
KEPT_SHARE: Final = 0.5
DEFAULT_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Holdout:
    """What was said of past snapshots by models that knew only the days before.

    Attributes:
        scored: The snapshots with window_from, window_until, learned, plain and base: three probabilities, the last one the share of
            all snapshots before. Sorted as they came.
        is_learned_better: The regression beat the plain rates.
        brier_learned: Mean squared error of `learned`; None where nothing was scored.
        brier_plain: The same of `plain`.
    """

    scored: pl.DataFrame
    is_learned_better: bool
    brier_learned: float | None
    brier_plain: float | None

    @property
    def chosen(self) -> pl.DataFrame:
        """The snapshots with `probability`: what the method that is used would have said."""
        return self.scored.with_columns(probability=pl.col("learned" if self.is_learned_better else "plain"))


def hold_out(snapshots: pl.DataFrame, *, as_of: date) -> Holdout:
    """The last windows up to `as_of`, each scored by a model of the promises that had come due the day before it began.

    Rolling origin. A promise that came due later is not learned from though its order was already open: nobody knew its end.
    """
    windows = [_scored(snapshots, as_of - timedelta(days=WINDOW_DAYS * back)) for back in range(WINDOWS, 0, -1)]
    found = [one for one in windows if one is not None]
    if not found:
        empty = snapshots.clear().with_columns(
            window_from=pl.col("snapshot_date"), window_until=pl.col("snapshot_date"), learned=0.0, plain=0.0, base=0.0
        )
        return Holdout(empty, is_learned_better=True, brier_learned=None, brier_plain=None)
    scored = pl.concat(found)
    learned, plain = (float(((scored[name] - scored["is_missed"]) ** 2).mean()) for name in ("learned", "plain"))  # type: ignore[arg-type]
    return Holdout(scored, learned <= plain * (1.0 - LEAST_GAIN), learned, plain)


def _scored(snapshots: pl.DataFrame, cutoff: date) -> pl.DataFrame | None:
    """The snapshots of the window after the cut-off; None where nothing could be learned before it."""
    until = cutoff + timedelta(days=WINDOW_DAYS)
    after = snapshots.filter(pl.col("is_missed").is_not_null(), pl.col("snapshot_date").is_between(cutoff, until, closed="right"))
    model = fit_jeopardy(snapshots, as_of=cutoff)
    if model is None or after.is_empty():
        return None
    before = snapshots.filter(pl.col("is_missed").is_not_null(), pl.col("due_date") <= cutoff)
    return after.with_columns(
        pl.Series("learned", model.probability(after)),
        pl.Series("plain", model.rates.probability(after)),
        window_from=pl.lit(cutoff + timedelta(days=1)),
        window_until=pl.lit(until),
        base=pl.lit(before["is_missed"].mean(), dtype=pl.Float64),
    )


def score_rules(holdout: Holdout, first_seen: pl.DataFrame, *, kind: str) -> pl.DataFrame:
    """One row per window (null dates: all together), rule and threshold: what alerts would have come of it, and how right they were.

    An order counts in the window its promise came due in, once, with its first alert. Orders that were already open before the first
    window are left out: their first alert may lie before it. The rules beside `model`: `due_soon`, the promise is due by the end of the
    next day; `due_soon_unreleased`, and it is not released (promises to ship only).

    Args:
        holdout: What was said.
        first_seen: order_id, first_date: the first day at whose end the order stood before this promise.
        kind: `ship` or `delivery`.

    Returns:
        window_from, window_until, rule, threshold (null for rules without), orders_count, missed_orders_count, alerts_count, hits_count,
        precision_rate, recall_rate, lead_p50_hours (from the first alert to the end of the promised day, of hits), value_per_100_orders
        (looks, by the assumptions above), sorted by window, rule and threshold.
    """
    scored = holdout.chosen
    if scored.is_empty():
        return pl.DataFrame(schema=_RULES_SCHEMA)
    begin = scored["window_from"].min()
    seen = scored.join(first_seen.filter(pl.col("first_date") >= begin), on="order_id").with_columns(
        due_from=pl.coalesce(
            *(
                pl.when(pl.col("due_date").is_between(since, until)).then(since)
                for since, until in scored.select("window_from", "window_until").unique().sort("window_from").iter_rows()
            )
        )
    )
    is_due_soon = pl.col("due_date") <= pl.col("snapshot_date") + pl.duration(days=1)
    rules: list[tuple[str, float | None, pl.Expr]] = [("model", threshold, pl.col("probability") >= threshold) for threshold in THRESHOLDS]
    rules.append(("due_soon", None, is_due_soon))
    if kind == "ship":
        rules.append(("due_soon_unreleased", None, is_due_soon & (pl.col("stage") < 3)))
    rows = [_score_rule(part, since, name, threshold, is_alert) for since, part in _parts(seen) for name, threshold, is_alert in rules]
    return pl.DataFrame(rows, schema=_RULES_SCHEMA).sort("window_from", "rule", "threshold", nulls_last=True)


_RULES_SCHEMA: Final = {
    "window_from": pl.Date, "window_until": pl.Date, "rule": pl.String, "threshold": pl.Float64, "orders_count": pl.Int64,
    "missed_orders_count": pl.Int64, "alerts_count": pl.Int64, "hits_count": pl.Int64, "precision_rate": pl.Float64,
    "recall_rate": pl.Float64, "lead_p50_hours": pl.Float64, "value_per_100_orders": pl.Float64,
}  # fmt: skip


def _parts(seen: pl.DataFrame) -> list[tuple[date | None, pl.DataFrame]]:
    by_window = seen.filter(pl.col("due_from").is_not_null()).partition_by("due_from", maintain_order=True)
    return [(part["due_from"][0], part) for part in by_window] + [(None, seen.filter(pl.col("due_from").is_not_null()))]


def _score_rule(part: pl.DataFrame, since: date | None, rule: str, threshold: float | None, is_alert: pl.Expr) -> dict[str, object]:
    first = part.filter(is_alert).group_by("order_id").agg(pl.col("snapshot_date").min(), pl.col("due_date", "is_missed").first())
    orders, missed = part["order_id"].n_unique(), part.filter(pl.col("is_missed"))["order_id"].n_unique()
    hits = first.filter(pl.col("is_missed"))
    value = hits.height * KEPT_SHARE * KEPT_VALUE - first.height * LOOK_COST
    lead = ((hits["due_date"] - hits["snapshot_date"]).dt.total_days() * 24.0).median()
    return {
        "window_from": since,
        "window_until": since + timedelta(days=WINDOW_DAYS - 1) if since else None,
        "rule": rule,
        "threshold": threshold,
        "orders_count": orders,
        "missed_orders_count": missed,
        "alerts_count": first.height,
        "hits_count": hits.height,
        "precision_rate": hits.height / first.height if first.height else None,
        "recall_rate": hits.height / missed if missed else None,
        "lead_p50_hours": lead,
        "value_per_100_orders": 100.0 * value / orders if orders else None,
    }


def score_probabilities(holdout: Holdout) -> pl.DataFrame:
    """One row per window (null dates: all together): error and order of the probabilities over its snapshots.

    Source: Brier (1950), Verification of forecasts expressed in terms of probability, Monthly Weather Review 78; Hanley and McNeil
    (1982), Radiology 143, for the area under the curve by ranks.

    Returns:
        window_from, window_until, snapshots_count, miss_rate, brier_score, plain_brier_score, base_brier_score, auc (null where
        all or none missed).
    """
    scored = holdout.chosen
    rows = []
    parts = scored.partition_by("window_from", maintain_order=True) if scored.height else []
    for part in [*parts, *([scored] if parts else [])]:
        missed = part["is_missed"].to_numpy()
        is_all = part is scored
        rows.append(
            {
                "window_from": None if is_all else part["window_from"][0],
                "window_until": None if is_all else part["window_until"][0],
                "snapshots_count": part.height,
                "miss_rate": float(missed.mean()),
                "brier_score": _brier(part["probability"], missed),
                "plain_brier_score": _brier(part["plain"], missed),
                "base_brier_score": _brier(part["base"], missed),
                "auc": area_under_curve(part["probability"].to_numpy(), missed),
            }
        )
    dates, figures = ("window_from", "window_until"), ("miss_rate", "brier_score", "plain_brier_score", "base_brier_score", "auc")
    schema = dict.fromkeys(dates, pl.Date) | {"snapshots_count": pl.Int64} | dict.fromkeys(figures, pl.Float64)
    return pl.DataFrame(rows, schema=schema)


def calibration(holdout: Holdout) -> pl.DataFrame:
    """One row per band of probability that was said: band_from, band_until, snapshots_count, said_rate (mean), missed_rate (what came)."""
    edges = (0.0, *BANDS, 1.0)
    band = pl.sum_horizontal(pl.col("probability") >= edge for edge in BANDS).cast(pl.Int64)
    return (
        holdout.chosen.group_by(band=band)
        .agg(
            snapshots_count=pl.len().cast(pl.Int64),
            said_rate=pl.col("probability").mean(),
            missed_rate=pl.col("is_missed").cast(pl.Float64).mean(),
        )
        .sort("band")
        .select(
            pl.col("band").replace_strict(dict(enumerate(edges[:-1])), return_dtype=pl.Float64).alias("band_from"),
            pl.col("band").replace_strict(dict(enumerate(edges[1:])), return_dtype=pl.Float64).alias("band_until"),
            "snapshots_count",
            "said_rate",
            "missed_rate",
        )
    )


def area_under_curve(probability: FloatArray, is_hit: BoolArray) -> float | None:
    """The chance that a hit has the higher probability of two, one a hit and one not; None where all are alike."""
    hits = int(is_hit.sum())
    others = len(is_hit) - hits
    if not hits or not others:
        return None
    return float((rankdata(probability)[is_hit].sum() - hits * (hits + 1) / 2) / (hits * others))


def _brier(said: pl.Series, missed: BoolArray) -> float:
    return float(np.mean((said.to_numpy() - missed) ** 2))
