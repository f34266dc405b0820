"""What metrics there are, as every release carries them in JSON; `metrics_definitions` reads them from dbt's manifest."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.errors import MetricError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Unit = Literal["days", "hours", "minutes", "percent", "money", "count", "number"]
Direction = Literal["higher", "lower"]
_MOST_NAMED: Final = 25  # names in one sentence
_CONDITION: Final = re.compile(r"\bwhen\b.*?\bthen\b", re.IGNORECASE | re.DOTALL)
_FIGURE: Final = re.compile(r"\{figure:([^}]*)\}")
_COMPARISON: Final = re.compile(r"[<>=]|\b(is|not|in|between)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measure:
    """One aggregate over rows: how, of which SQL expression, and for percentiles which."""

    aggregation: str
    expression: str
    percentile: float | None = None

    @property
    def is_money(self) -> bool:
        """Whether it amounts to minor units: `_amount` is what money is called, and counting or comparing it gives none."""
        said = _CONDITION.sub("", self.expression)
        return "_amount" in said and "count" not in self.aggregation and not _COMPARISON.search(said)

    @property
    def formula(self) -> str:
        """The aggregate as a reader writes it: `sum(ordered_qty)`, `p90(cycle_time_days)`."""
        name = "count_if" if self.aggregation == "sum_boolean" else self.aggregation
        if name == "percentile":
            name = f"p{round((0.5 if self.percentile is None else self.percentile) * 100)}"
        return f"{name}({self.expression})"


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where the members of a dimension stand if not in the metric's own table: the row of `table` whose key the fact names."""

    schema: str
    table: str
    key: str
    foreign_key: str


@dataclass(frozen=True, slots=True)
class Dimension:
    """A column a metric can be split by, and the contract fields without which it says nothing.

    The expression speaks of the metric's table, or of the lookup's. With `splits_numerator_only` every member is a share of the
    whole: a reason of cancellation has cancelled orders, but the orders it is compared with are all of them.
    """

    expression: str
    needs: tuple[str, ...] = ()
    lookup: Lookup | None = None
    splits_numerator_only: bool = False


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Rows a metric leaves out, by name, so that they can be counted.

    They are dated by the metric's time column unless `time_column` names another (an open order has no day of delivery),
    and found in the metric's table unless `table` names another.
    """

    name: str
    where: str
    time_column: str | None = None
    table: str | None = None

    @property
    def is_counted_apart(self) -> bool:
        """Whether these rows cannot be met among the metric's own."""
        return self.time_column is not None or self.table is not None


@dataclass(frozen=True, slots=True)
class Caveat:
    """Counted rows a reader should know of: "12 of 340 <text>".

    `{figure:.0%}` in the text, with any format, stands for `figure`, an expression that is the same for all of those rows.
    """

    where: str
    text: str
    figure: str | None = None

    def told(self, figure: float | None) -> str:
        """The text with its figure; a dash where that is unknown."""
        return _FIGURE.sub(lambda match: "-" if figure is None else format(figure, match[1]), self.text)

    @property
    def explained(self) -> str:
        """The text with the expression in its figure's place."""
        return _FIGURE.sub(f"`{self.figure}`", self.text)


@dataclass(frozen=True, slots=True)
class Metric:
    """One KPI as the semantic layer defines it.

    Target and watch band are in the metric's unit (money in major units); those of a sum are for 28 days. `blocked` names rows
    that forbid a value, `assumption` what the value supposes. `counts_only_day` is "max" where only the last day of a period
    that has rows counts, as for stock, and "min" for the first. `grows_with_age` says of what is still growing, such as the worth of
    the customers won in a period, where younger periods can be compared.
    """

    name: str
    label: str
    description: str
    unit: Unit
    better: Direction
    target: float | None
    watch_band: float
    owner: str
    needs: tuple[str, ...]
    schema: str
    table: str
    time_column: str
    where: str
    numerator: Measure
    denominator: Measure | None
    dimensions: Mapping[str, Dimension]
    exclusions: tuple[Exclusion, ...] = ()
    caveats: tuple[Caveat, ...] = ()
    maturity_days: int = 0
    domain: str = ""
    blocked: tuple[Caveat, ...] = ()
    assumption: str | None = None
    counts_only_day: Literal["max", "min"] | None = None
    grows_with_age: str | None = None

    @property
    def formula(self) -> str:
        """Numerator by denominator, each as `sum(ordered_qty)`."""
        return " / ".join(one.formula for one in (self.numerator, self.denominator) if one)

    @property
    def is_additive(self) -> bool:
        """Whether values of days add up to the period's, and a day without a row is a measured zero."""
        return self.is_total and self.numerator.aggregation != "count_distinct" and self.counts_only_day is None

    @property
    def is_bound_to_length(self) -> bool:
        """Whether only equally long periods can be compared: who is counted once a month does not count twice in two."""
        found = {one.aggregation for one in (self.numerator, self.denominator) if one}
        return self.counts_only_day is None and not found.isdisjoint({"count_distinct", "min", "max"})

    @property
    def is_total(self) -> bool:
        """Whether a member has a part of the whole: a sum or a count, and no rate, mean or percentile."""
        return self.denominator is None and self.numerator.aggregation in {"sum", "sum_boolean", "count", "count_distinct"}


def catalogue_to_json(catalogue: Mapping[str, Metric]) -> str:
    """The catalogue as a release carries it."""
    return json.dumps({name: asdict(metric) for name, metric in catalogue.items()}, sort_keys=True)


def catalogue_from_json(text: str) -> dict[str, Metric]:
    """The catalogue that `catalogue_to_json` wrote."""
    return {name: _metric_from_dict(facts) for name, facts in json.loads(text).items()}


def find_metric(catalogue: Mapping[str, Metric], name: str) -> Metric:
    """The metric of this name.

    Raises:
        MetricError: There is none; the message suggests the nearest.
    """
    if name not in catalogue:
        raise MetricError(f"There is no metric {name!r}; {suggestion(name, catalogue, shown_by='ordercast metrics --all')}")
    return catalogue[name]


def suggestion(name: str, known: Iterable[str], *, shown_by: str | None = None) -> str:
    """The end of a message about an unknown name: the nearest, or all where they are few, or what shows them."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    if len(names) <= _MOST_NAMED:
        return f"there are: {', '.join(names) or 'none'}."
    return f"none of the {len(names):,} there are is near" + (f": {shown_by}" if shown_by else ".")


def _metric_from_dict(facts: dict[str, Any]) -> Metric:
    return Metric(
        **facts
        | {
            "needs": tuple(facts["needs"]),
            "numerator": Measure(**facts["numerator"]),
            "denominator": Measure(**facts["denominator"]) if facts["denominator"] else None,
            "dimensions": {name: _dimension_from_dict(one) for name, one in facts["dimensions"].items()},
            "exclusions": tuple(Exclusion(**one) for one in facts["exclusions"]),
            "caveats": tuple(Caveat(**one) for one in facts["caveats"]),
            "blocked": tuple(Caveat(**one) for one in facts.get("blocked", ())),
        }
    )


def _dimension_from_dict(facts: dict[str, Any]) -> Dimension:
    lookup = facts.get("lookup")
    return Dimension(**facts | {"needs": tuple(facts["needs"]), "lookup": Lookup(**lookup) if lookup else None})
