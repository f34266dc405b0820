"""What a planner weighs suggestions by: how soon, how sure, what they rest on; and what each supplier's come to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.reading import read_frame
from dashboards.queries.suggestions import APPROVED, SECOND_PERSON, TO_DECIDE, at_risk_by_currency
from pipelines.stores.metrics_values import major_units

if TYPE_CHECKING:
    from dashboards.queries.releases import Served
    from dashboards.queries.suggestions import Suggestions
    from pipelines.settings import Settings

OVERDUE, TODAY, THIS_WEEK, LATER = "Overdue", "Today", "This week", "Later"
DUES: Final = (OVERDUE, TODAY, THIS_WEEK, LATER)
SURE, DEARER, NO_MARGIN = "Sure", "Dearer than waiting", "No margin known"
UNDECIDED, NOT_BETTER, NOT_TESTED, SECOND = "Rests on another", "No better than naive", "Forecast not tested", "Needs a second person"
SURENESS: Final = (SURE, DEARER, NO_MARGIN, UNDECIDED, NOT_BETTER, NOT_TESTED, SECOND)
_MOVES: Final = ("transfer", "expedite", "defer", "cancel_po")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one round may spend, and what that cut; amounts in major units of the reporting currency.

    Attributes:
        amount: The setting; None: no limit.
        drafted_amount: What stands on draft orders already.
        cut_count: Orders of the run that are smaller for a budget.
        left_out_count: Items that a budget left without any order.
    """

    amount: float | None
    currency_code: str
    drafted_amount: float
    cut_count: int
    left_out_count: int

    @property
    def left_amount(self) -> float | None:
        """What is left of it after the drafts."""
        return None if self.amount is None else max(0.0, self.amount - self.drafted_amount)


@dataclass(frozen=True, slots=True)
class Pressure:
    """How urgent suggestions are in all.

    Attributes:
        overdue_count: Those that come too late already.
        today_count: Those to do today.
        at_risk_amount: What is at risk with them; None where nothing is, or in several currencies.
        currency_code: Of the amount.
        holding_count: How many of the first hold four fifths of it.
    """

    overdue_count: int
    today_count: int
    at_risk_amount: float | None
    currency_code: str | None
    holding_count: int


def weighed(served: Served, found: Suggestions, *, settings: Settings) -> pl.DataFrame:
    """The suggestions, most at risk first, with what they are weighed by.

    Returns:
        The rows of `found.frame` with `due` (one of `DUES`; overdue is an order or a transfer for today that is needed before it would
        arrive, by `need_by`, which counts deliveries under way), `forecast_gain_rate` (how much less the forecast errs than seasonal naive,
        as a share of naive's error; null where not tested), `rests_on` (other suggestions about the same item that the quantity takes as
        accepted; null where none is open) and `sure` (`SURE`, or the first reason why not; null for what is no order to decide about).
    """
    frame = found.frame.join(_scores(served), on=["sku", "location_id"], how="left", maintain_order="left")
    frame = frame.join(_rests_on(served, frame), on="recommendation_key", how="left", maintain_order="left")
    as_of = served.context.as_of_date
    comes_late = pl.col("kind").is_in(["purchase", "transfer"]) & (pl.col("need_by") < pl.col("expected_receipt"))
    due = (
        pl.when(pl.col("order_by").is_null()).then(None)
        .when((pl.col("order_by") <= as_of) & comes_late).then(pl.lit(OVERDUE))
        .when(pl.col("order_by") <= as_of).then(pl.lit(TODAY))
        .when(pl.col("order_by") <= as_of + timedelta(days=7)).then(pl.lit(THIS_WEEK))
        .otherwise(pl.lit(LATER))
    )  # fmt: skip
    sure = (
        pl.when((pl.col("kind") != "purchase") | (pl.col("state") != TO_DECIDE) | pl.col("rec_id").is_null()).then(None)
        .when("is_dearer_than_waiting").then(pl.lit(DEARER))
        .when(pl.col("at_risk_basis") != "margin").then(pl.lit(NO_MARGIN))
        .when(pl.col("rests_on").is_not_null()).then(pl.lit(UNDECIDED))
        .when(pl.col("forecast_gain_rate").is_null()).then(pl.lit(NOT_TESTED))
        .when(pl.col("forecast_gain_rate") <= 0).then(pl.lit(NOT_BETTER))
        .when((pl.col("cost") > _alone(found, settings)) | (pl.col("currency_code") != served.context.currency_code))
        .then(pl.lit(SECOND))
        .otherwise(pl.lit(SURE))
    )  # fmt: skip
    return frame.with_columns(due=due.cast(pl.String), sure=sure.cast(pl.String)).sort(
        "at_risk", "order_by", "sku", "location_id", descending=[True, False, False, False], nulls_last=True
    )


def narrowed(frame: pl.DataFrame, *, dues: list[str], sureness: list[str], least: float) -> pl.DataFrame:
    """The rows that are due then and that sure, with at least so much at risk; nothing named is all."""
    if dues:
        frame = frame.filter(pl.col("due").is_in(dues))
    if sureness:
        frame = frame.filter(pl.col("sure").is_in(sureness))
    return frame.filter(pl.col("at_risk").fill_null(0) >= least) if least else frame


def pressure(listed: pl.DataFrame) -> Pressure:
    """How urgent rows of `weighed` are in all."""
    due = dict(listed.group_by("due").len().iter_rows())
    risks = at_risk_by_currency(listed)
    code, amount = next(iter(risks.items())) if len(risks) == 1 else (None, None)
    return Pressure(due.get(OVERDUE, 0), due.get(TODAY, 0), amount or None, code, count_holding(listed))


def count_holding(frame: pl.DataFrame, share: float = 0.8) -> int:
    """How many of the first rows hold this share of all that is at risk."""
    sums = frame["at_risk"].fill_null(0.0).cum_sum()
    return int((sums < share * sums[-1]).sum()) + 1 if frame.height else 0


def supplier_groups(served: Served, listed: pl.DataFrame, found: Suggestions) -> pl.DataFrame:
    """What the orders to decide about come to per supplier and currency, most at risk first.

    The supplier's minimum is held against each location's order, as an order goes to one place: what stands on draft there, and what is
    listed.

    Args:
        served: The release, for minima.
        listed: Rows of `weighed`.
        found: For the drafts.

    Returns:
        supplier_id, supplier, currency_code, orders_count, soon_count (overdue or due today), sure_count, cost, at_risk, drafted_amount,
        minimum_amount, missing_amount (summed over the locations that stay below it), below_count (of these).
    """
    orders = listed.filter(kind="purchase", state=TO_DECIDE)
    keys = ["supplier_id", "currency_code"]
    drafts = _drafted(found)
    minima = _minima(served)
    places = (
        orders.group_by(*keys, "location_id").agg(pl.col("cost").sum())
        .join(drafts, on=[*keys, "location_id"], how="left").join(minima, on=keys, how="left")
        .with_columns(pl.col("drafted_amount").fill_null(0.0))
        .with_columns(missing_amount=(pl.col("minimum_amount") - pl.col("cost") - pl.col("drafted_amount")).clip(0.0))
    )  # fmt: skip
    gaps = places.group_by(keys).agg(
        pl.col("minimum_amount").max(), pl.col("drafted_amount").sum(), below_count=(pl.col("missing_amount") > 0).sum(),
        missing_amount=pl.when(pl.col("minimum_amount").is_not_null().any()).then(pl.col("missing_amount").sum()),
    )  # fmt: skip
    sums = orders.group_by(*keys).agg(
        pl.col("supplier").first(), pl.len().cast(pl.Int64).alias("orders_count"),
        pl.col("due").is_in([OVERDUE, TODAY]).sum().cast(pl.Int64).alias("soon_count"),
        (pl.col("sure") == SURE).sum().cast(pl.Int64).alias("sure_count"), pl.col("cost").sum(), pl.col("at_risk").sum(),
    )  # fmt: skip
    return sums.join(gaps, on=keys, how="left").sort("at_risk", descending=True)


def budget(served: Served, found: Suggestions, *, settings: Settings) -> Budget:
    """The run's budget, by the setting as it is now, and what budgets cut in this release."""
    row = read_frame(served.release, _CUT).row(0, named=True)
    currency = served.context.currency_code
    drafted = found.drafts_by_currency.get(currency, 0) if found.standing is not None else 0
    return Budget(settings.budget_amount, currency, float(drafted), row["cut_count"], row["left_out_count"])


def others_about(frame: pl.DataFrame, suggestion: dict[str, Any]) -> pl.DataFrame:
    """The other suggestions about the same item that touch this location, as source or target: what could be done instead or besides."""
    place = suggestion["location_id"]
    touches = (pl.col("location_id") == place) | (pl.col("source_location_id") == place)
    return frame.filter(
        (pl.col("sku") == suggestion["sku"]) & touches & (pl.col("recommendation_key") != suggestion["recommendation_key"])
        & pl.col("state").is_in([TO_DECIDE, SECOND_PERSON, APPROVED])
    )  # fmt: skip


def _alone(found: Suggestions, settings: Settings) -> float:
    """What whoever looks may approve alone, in the reporting currency."""
    operator = None if found.standing is None else found.standing.operator
    own = None if operator is None else operator.approve_limit
    return settings.one_person_amount if own is None else min(settings.one_person_amount, float(own))


def _scores(served: Served) -> pl.DataFrame:
    return read_frame(served.release, _SCORES)


def _rests_on(served: Served, frame: pl.DataFrame) -> pl.DataFrame:
    """recommendation_key, rests_on: orders whose steps count a move or change that nobody has accepted."""
    counting = read_frame(served.release, _COUNTING)
    undecided = frame.filter(pl.col("kind").is_in(_MOVES) & (pl.col("state") != APPROVED))
    sources = undecided.select("sku", location_id="source_location_id").drop_nulls()
    waiting = pl.concat([undecided.select("sku", "location_id"), sources]).unique()
    orders = frame.filter(kind="purchase").select("recommendation_key", "sku", "location_id")
    return (
        orders.join(counting, on="recommendation_key").join(waiting, on=["sku", "location_id"], how="semi")
        .select("recommendation_key", "rests_on")
    )  # fmt: skip


def _minima(served: Served) -> pl.DataFrame:
    """supplier_id, currency_code, minimum_amount in major units."""
    found = read_frame(served.release, _MINIMA)
    amounts = [float(major_units(minor, currency)) for minor, currency in found.select("minor_amount", "currency_code").iter_rows()]
    return found.drop("minor_amount").with_columns(pl.Series("minimum_amount", amounts, dtype=pl.Float64))


def _drafted(found: Suggestions) -> pl.DataFrame:
    schema = {"supplier_id": pl.String, "currency_code": pl.String, "location_id": pl.String, "drafted_amount": pl.Float64}
    if found.standing is None or found.drafts.is_empty():
        return pl.DataFrame(schema=schema)
    amount = pl.col("amount").cast(pl.Float64).sum().alias("drafted_amount")
    return found.drafts.filter(kind="purchase").group_by("supplier_id", "currency_code", "location_id").agg(amount)


_SCORES: Final = """
    select sku, location_id,
        case when fallback_reason is null and naive_wape_rate > 0 then 1 - wape_rate / naive_wape_rate end as forecast_gain_rate
    from planning.backtest_scores
"""

_COUNTING: Final = """
    select recommendation_key, string_agg(note, ' ' order by step_number) as rests_on from planning.recommendation_steps
    where starts_with(step, 'Counted as ')
    group by recommendation_key
"""

_MINIMA: Final = """
    select supplier_id, currency_code, max(order_minimum_amount) as minor_amount from marts.dim_supplier_items
    where order_minimum_amount is not null
    group by all
"""

_CUT: Final = """
    select
        (select count(distinct recommendation_key) from planning.recommendation_steps where step = 'Budget' and qty is null
            and note like '% within the budget%') as cut_count,
        (select count(*) from planning.silent_items where kind = 'budget') as left_out_count
"""
