"""What pages ask of a scenario and of past weeks, and what the answers of the command line come to."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from dashboards.queries.names import member_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboards.queries.releases import Served

BOUND: Final = "clairvoyant"
CURRENT: Final = "current"
# Policies of a replay by the names that planners use; the order in which they can be chosen.
POLICY_NAMES: Final = {
    CURRENT: "As orders are made now", "ours": "Path newsvendor, tuned", "textbook": "Textbook safety stock",
    "min_max": "Minimum and maximum", "reorder_point": "Reorder point", "fixed_batch": "Fixed batches",
    "days_of_cover": "Days of cover", BOUND: "Perfect foresight (bound)",
}  # fmt: skip
USUAL_POLICIES: Final = (CURRENT, "ours", "textbook", "min_max", BOUND)
# What a policy rule sets so that runs order like it; the others need quantities that differ by item.
RULE_SETTINGS: Final = {"ours": "method=path_newsvendor", "textbook": "method=order_up_to"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is supposed to be otherwise; 0, None and "" are as it is. Changes are in percent."""

    demand: float = 0.0
    lead_time: int = 0
    cost: float = 0.0
    service_level: float | None = None
    supplier_fails: str = ""
    closes: str = ""

    @property
    def is_as_it_is(self) -> bool:
        """Whether nothing is otherwise."""
        return all(getattr(self, field.name) == field.default for field in fields(self))

    @property
    def options(self) -> list[tuple[str, str]]:
        """The same for the command line."""
        said = [
            ("--demand", f"{self.demand:+g}%" if self.demand else ""),
            ("--lead-time", f"{self.lead_time:+d}" if self.lead_time else ""),
            ("--cost", f"{self.cost:+g}%" if self.cost else ""),
            ("--service-level", f"{self.service_level / 100:.5g}" if self.service_level is not None else ""),
            ("--supplier-fails", self.supplier_fails),
            ("--closes", self.closes),
        ]
        return [(name, value) for name, value in said if value]

    def address(self, served: Served) -> dict[str, str]:
        """The same for a page's address, where controls stand with what they show."""
        said = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) != field.default}
        names = {"supplier_fails": member_names(served, "supplier"), "closes": member_names(served, "location")}
        return {
            name: f"{value:g}" if isinstance(value, float) else names.get(name, {}).get(value, str(value)) for name, value in said.items()
        }

    def in_words(self, served: Served) -> str:
        """As in "demand is 20 % higher and every delivery takes 7 days longer"."""
        suppliers, locations = member_names(served, "supplier"), member_names(served, "location")
        said = [
            f"demand is {abs(self.demand):g} % {_higher(self.demand)}" if self.demand else "",
            f"every delivery takes {abs(self.lead_time)} days {'longer' if self.lead_time > 0 else 'less'}" if self.lead_time else "",
            f"suppliers' prices are {abs(self.cost):g} % {_higher(self.cost)}" if self.cost else "",
            f"stock is to last with a chance of {self.service_level:g} %" if self.service_level is not None else "",
            f"{suppliers.get(self.supplier_fails, self.supplier_fails)} delivers nothing" if self.supplier_fails else "",
            f"{locations.get(self.closes, self.closes)} orders nothing" if self.closes else "",
        ]
        named = [one for one in said if one]
        return " and ".join(filter(None, [", ".join(named[:-1]), *named[-1:]])) or "everything stays as it is"


def scenario_of(options: Mapping[str, str]) -> Scenario:
    """The scenario that a question was asked with."""
    level = options.get("--service-level")
    return Scenario(
        demand=float(options.get("--demand", "0").rstrip("%")), lead_time=int(options.get("--lead-time", "0")),
        cost=float(options.get("--cost", "0").rstrip("%")), service_level=None if level is None else round(float(level) * 100, 3),
        supplier_fails=options.get("--supplier-fails", ""), closes=options.get("--closes", ""),
    )  # fmt: skip


def figures(answer: Mapping[str, Any]) -> pl.DataFrame:
    """Both sides, a row per figure: name, unit, currency_code, base, scenario, change.

    Money has a row per currency; amounts of different currencies are never added.
    """
    base, changed = answer["base"], answer["changed"]
    rows: list[tuple[str, str, str | None, float, float]] = [
        (label, "count", None, base[name], changed[name])
        for label, name in (("Items to order", "orders_count"), ("Units to order", "order_qty"))
    ]
    for label, name in (("Cost of orders", "order_amount"), ("Loss expected if ordering waits", "at_risk_amount")):
        sides = [{one["currency_code"]: one[name] for one in side["money"]} for side in (base, changed)]
        rows += [(label, "money", code, sides[0].get(code, 0.0), sides[1].get(code, 0.0)) for code in sorted(sides[0] | sides[1])]
    rows += [
        (label, "count", None, base[name], changed[name])
        for label, name in (("Items likely to run out", "likely_to_run_out_count"), ("Items that cannot be ordered", "excluded_count"))
    ]
    schema = {"name": pl.String, "unit": pl.String, "currency_code": pl.String, "base": pl.Float64, "scenario": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(change=pl.col("scenario") - pl.col("base"))


def differing(served: Served, answer: Mapping[str, Any]) -> pl.DataFrame:
    """Items of which more or less is ordered, most money first: item, sku, location, base_qty, scenario_qty, change_qty."""
    schema = {"sku": pl.String, "location_id": pl.String, "base_qty": pl.Int64, "scenario_qty": pl.Int64}
    lines = _named(served, pl.DataFrame(answer["lines"], schema=schema))
    return lines.with_columns(change_qty=pl.col("scenario_qty") - pl.col("base_qty"), item=pl.format("{} · {}", "sku", "location"))


def newly_excluded(served: Served, answer: Mapping[str, Any]) -> pl.DataFrame:
    """Items that could not be ordered then, though they can now: sku, title, location, reason."""
    schema = {"sku": pl.String, "location_id": pl.String, "reason": pl.String}
    return _named(served, pl.DataFrame(answer["newly_excluded"], schema=schema))


def policies(answer: Mapping[str, Any]) -> pl.DataFrame:
    """A row per policy, the cheapest first and the bound last: name, is_current, is_bound, its figures and those against `current`.

    `is_best` holds of those that no other beats in both cost and fill rate. `cost_change_*` are null where `current` was not replayed.
    """
    rows = pl.DataFrame(answer["results"], schema=_RESULTS, orient="row")
    now = rows.filter(pl.col("policy") == CURRENT)
    cost, rate = (now[name][0] if now.height else None for name in ("cost_amount", "fill_rate"))
    told = rows.with_columns(
        name=pl.col("policy").replace(POLICY_NAMES),
        is_current=pl.col("policy") == CURRENT,
        is_bound=pl.col("policy") == BOUND,
        cost_change_amount=pl.col("cost_amount") - pl.lit(cost, pl.Float64),
        cost_change_rate=pl.col("cost_amount") / pl.lit(cost, pl.Float64) - 1,
        fill_change_rate=pl.col("fill_rate") - pl.lit(rate, pl.Float64),
    ).sort("is_bound", "cost_amount")
    reached = told.filter(~pl.col("is_bound") & pl.col("fill_rate").is_not_null()).sort(
        "cost_amount", "fill_rate", descending=[False, True]
    )
    best = reached.filter(pl.col("fill_rate") > pl.col("fill_rate").cum_max().shift(1).fill_null(-1.0))["policy"]
    return told.with_columns(is_best=pl.col("policy").is_in(best.implode()))


def left_out(answer: Mapping[str, Any]) -> pl.DataFrame:
    """Why items are not in the replay, commonest first: reason, items_count. Numbers and days in a reason do not tell it from others."""
    rows = pl.DataFrame(answer["left_out"], schema={"sku": pl.String, "location_id": pl.String, "reason": pl.String})
    kind = pl.col("reason").str.replace_all(r"\d{4}-\d{2}-\d{2}", "a day").str.replace_all(r"\d[\d,.]*\d|\d", "so many")
    grouped = rows.group_by(kind.alias("kind")).agg(
        pl.len().alias("items_count"), pl.col("reason").n_unique().alias("n"), pl.first("reason")
    )
    said = pl.when(pl.col("n") == 1).then("reason").otherwise(pl.format("{}, such as: {}", pl.col("kind").str.strip_suffix("."), "reason"))
    return grouped.select(said.alias("reason"), "items_count").sort("items_count", "reason", descending=[True, False])


def _named(served: Served, rows: pl.DataFrame) -> pl.DataFrame:
    titles, places = member_names(served, "sku"), member_names(served, "location")
    return rows.with_columns(
        title=pl.col("sku").replace_strict(titles, default=pl.col("sku"), return_dtype=pl.String),
        location=pl.col("location_id").replace_strict(places, default=pl.col("location_id"), return_dtype=pl.String),
    )


def _higher(change: float) -> str:
    return "higher" if change > 0 else "lower"


_AMOUNTS: Final = (
    "cost_amount", "holding_amount", "lost_margin_amount", "stock_value_amount", "cost_at_low_demand_amount", "cost_at_high_demand_amount",
)  # fmt: skip
_RESULTS: Final[dict[str, Any]] = {"policy": pl.String, "fill_rate": pl.Float64, "orders_count": pl.Int64} | dict.fromkeys(
    _AMOUNTS, pl.Float64
)
