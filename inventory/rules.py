"""How stock is kept, as data: rules by item, place, supplier, class, season and date, and what they come to for each item."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
import polars as pl

from inventory.schema import Method

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime
    from decimal import Decimal

    from forecasting.schema import IntArray

Sourcing = Literal["store_first", "fewest_splits", "lowest_cost"]

# What a rule may set, and its type in a frame; shares lie between 0 and 1, the named ones without the ends.
SETTINGS: Final[dict[str, pl.DataType]] = {
    "service_level": pl.Float64(), "method": pl.String(), "critical_ratio": pl.Float64(), "review_period_days": pl.Int64(),
    "lost_sales_share": pl.Float64(), "min_qty": pl.Int64(), "max_qty": pl.Int64(), "reorder_qty": pl.Int64(), "cover_days": pl.Int64(),
    "min_fill_rate": pl.Float64(), "budget_amount": pl.Decimal(18, 4), "budget_currency_code": pl.String(), "sourcing": pl.String(),
}  # fmt: skip
CHOICES: Final[dict[str, tuple[str, ...]]] = {"method": get_args(Method), "sourcing": get_args(Sourcing)}
_OPEN_SHARES: Final = frozenset({"service_level", "critical_ratio"})
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "min_max": ("min_qty", "max_qty"),
    "reorder_point": ("max_qty",),
    "reorder_quantity": ("reorder_qty",),
    "days_of_cover": ("cover_days",),
}
_LARGEST: Final = 10**12
_MONTH_DAY: Final = re.compile(r"(0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d)")
_CONFLICTS: Final[dict[str, Any]] = {"setting": pl.String, "rule": pl.String, "other_rule": pl.String, "items_count": pl.Int64}


@dataclass(frozen=True, slots=True)
class RuleScope:
    """Which rows a rule is for: those that have every value named here; the narrowest name first. None: any value.

    A row without a column that is named, such as an item without a channel, is not in the scope.
    """

    sku: str | None = None
    location_id: str | None = None
    channel_id: str | None = None
    supplier_id: str | None = None
    category: str | None = None
    abc_class: str | None = None
    xyz_class: str | None = None

    @property
    def named(self) -> dict[str, str]:
        """The names that bind, narrowest first."""
        return {name: value for name in SCOPES if (value := getattr(self, name)) is not None}


SCOPES: Final = tuple(one.name for one in fields(RuleScope))


@dataclass(frozen=True, slots=True)
class RuleValues:
    """What a rule sets; None: nothing.

    Attributes:
        service_level: Chance that stock lasts over lead and review time.
        method: How the order quantity is reckoned.
        critical_ratio: Share at which the path newsvendor orders; else it is tuned.
        review_period_days: Days until an item is looked at again.
        lost_sales_share: Share of demand not met that is lost rather than waits.
        min_qty: Inventory position at or below which is ordered.
        max_qty: Inventory position up to which is ordered.
        reorder_qty: Units that are always ordered together.
        cover_days: Days of demand that days of cover orders up to.
        min_fill_rate: Least share of demand to be met from stock.
        budget_amount: Most that one round may spend on all rows that take this value from one rule, in major units.
        budget_currency_code: Its currency.
        sourcing: What goes first when open order lines are given a place to ship from.
    """

    service_level: float | None = None
    method: Method | None = None
    critical_ratio: float | None = None
    review_period_days: int | None = None
    lost_sales_share: float | None = None
    min_qty: int | None = None
    max_qty: int | None = None
    reorder_qty: int | None = None
    cover_days: int | None = None
    min_fill_rate: float | None = None
    budget_amount: Decimal | None = None
    budget_currency_code: str | None = None
    sourcing: Sourcing | None = None

    @property
    def named(self) -> dict[str, Any]:
        """The settings that are set."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One version of one rule. It holds from `valid_from` to `valid_to`, both days included, and within its season.

    Of one rule, the highest version that has begun counts, even where it has ended: so a later version schedules a change, and one
    that ends the rule ends it.

    Attributes:
        rule_id: Its name, the same for all versions.
        version: Counts from 1.
        scope: Which rows it is for.
        values: What it sets.
        valid_from: First day.
        valid_to: Last day; None: for good.
        season: First and last day of each year, "MM-DD"; a first after the last goes over the turn of the year. None: all year.
        priority: Decides between rules of one scope; the higher wins.
        created_at: When it was written; of equal priority the newest wins.

    Raises:
        ValueError: It sets nothing or something impossible, or holds on no day.
    """

    rule_id: str
    version: int
    scope: RuleScope
    values: RuleValues
    valid_from: date
    created_at: datetime
    valid_to: date | None = None
    season: tuple[str, str] | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        """Refuses what could not be meant."""
        if not self.values.named:
            raise ValueError(f"Rule {self.rule_id} sets nothing; name one of {', '.join(SETTINGS)}.")
        for name, value in self.values.named.items():
            _require_possible(name, value)
        least, most = self.values.min_qty, self.values.max_qty
        if least is not None and most is not None and least > most:
            raise ValueError(f"min_qty {least} is above max_qty {most}.")
        if (self.values.budget_amount is None) != (self.values.budget_currency_code is None):
            raise ValueError("A budget is an amount in a currency: set both or neither.")
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"A rule from {self.valid_from} to {self.valid_to} holds on no day; give a later last day.")
        if self.season is not None and not all(map(_MONTH_DAY.fullmatch, self.season)):
            raise ValueError(f"A season is two days of the year such as 10-01 and 12-31, got {' and '.join(self.season)}.")

    @property
    def name(self) -> str:
        """Rule and version as a recommendation names them: "tea/2"."""
        return f"{self.rule_id}/{self.version}"

    @property
    def is_limited(self) -> bool:
        """Whether it ends, or holds for a season only."""
        return self.valid_to is not None or self.season is not None

    def holds_on(self, day: date) -> bool:
        """Whether the day lies in its dates and its season."""
        if day < self.valid_from or (self.valid_to is not None and day > self.valid_to):
            return False
        if self.season is None:
            return True
        (first, last), today = self.season, f"{day:%m-%d}"
        return first <= today <= last if first <= last else today >= first or today <= last


@dataclass(frozen=True, slots=True)
class EffectivePolicies:
    """What the rules come to.

    Attributes:
        frame: The rows and columns of the items, then per setting of `SETTINGS` its value and `<setting>_rule` ("tea/2"), null where
            no rule sets it, and `policy_rules`: all rules that set something, sorted, by commas; "" where none does.
        conflicts: setting, rule, other_rule, items_count: rules of one scope and priority that want different values for the same
            rows; `rule` is the newest and won.
        problems: sku, location_id, reason: rows whose rules together leave no policy, such as min_max without max_qty.
    """

    frame: pl.DataFrame
    conflicts: pl.DataFrame
    problems: pl.DataFrame


def in_force(rules: Sequence[PolicyRule], *, on: date) -> list[PolicyRule]:
    """The versions that hold on the day, weakest first: by scope, then priority, then age. The order of `rules` has no effect.

    The narrower scope is stronger. Scopes compare name by name in the order of `RuleScope`: one with a sku is narrower than any
    without, of two alike in that one with a location is, and so on; last, of equal scopes one with an end or a season is narrower.
    """
    return sorted((rule for rule in begun(rules, on=on) if rule.holds_on(on)), key=_strength)


def begun(rules: Sequence[PolicyRule], *, on: date) -> list[PolicyRule]:
    """Of each rule the version that counts on the day: the highest that has begun, also where it has ended or is out of season."""
    found: dict[str, PolicyRule] = {}
    for rule in rules:
        known = found.get(rule.rule_id)
        if rule.valid_from <= on and (known is None or rule.version > known.version):
            found[rule.rule_id] = rule
    return list(found.values())


def resolve(items: pl.DataFrame, rules: Sequence[PolicyRule], *, on: date) -> EffectivePolicies:
    """What holds for each item on the day, setting by setting, and which rule says so.

    Args:
        items: sku, location_id, and of the other names of `RuleScope` those that are known; one row per item and location, or per
            order line for sourcing.
        rules: All versions that nobody has reverted.
        on: The day of the decision.

    Raises:
        ValueError: The items lack sku or location_id.
    """
    if missing := {"sku", "location_id"} - set(items.columns):
        raise ValueError(f"items: lack {', '.join(sorted(missing))}.")
    holding = in_force(rules, on=on)
    covers = [_covered(items, rule.scope) for rule in holding]
    columns: list[pl.Series] = []
    winners: dict[str, IntArray] = {}
    for setting, kind in SETTINGS.items():
        winner = np.full(items.height, len(holding), dtype=np.int64)  # past the end: nobody
        for number, rule in enumerate(holding):
            if setting in rule.values.named:
                winner[covers[number]] = number
        winners[setting] = winner
        values = pl.Series(setting, [*(getattr(rule.values, setting) for rule in holding), None], dtype=kind)
        names = pl.Series(f"{setting}_rule", [*(rule.name for rule in holding), None], dtype=pl.String)
        columns += [values.gather(winner), names.gather(winner)]
    named = [pl.col(f"{setting}_rule") for setting in SETTINGS]
    frame = items.with_columns(columns).with_columns(
        pl.concat_list(named).list.drop_nulls().list.unique().list.sort().list.join(", ").alias("policy_rules")
    )
    return EffectivePolicies(frame, _conflicts(holding, winners), _problems(frame))


def _strength(rule: PolicyRule) -> tuple[Any, ...]:
    named = rule.scope.named
    return (*(name in named for name in SCOPES), rule.is_limited, rule.priority, rule.created_at, rule.rule_id)


def _covered(items: pl.DataFrame, scope: RuleScope) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    covered = np.ones(items.height, dtype=np.bool_)
    for name, value in scope.named.items():
        if name not in items.columns:
            return np.zeros(items.height, dtype=np.bool_)
        covered &= (items[name] == value).fill_null(False).to_numpy()
    return covered


def _conflicts(holding: Sequence[PolicyRule], winners: dict[str, IntArray]) -> pl.DataFrame:
    """Only rules of equal scopes can: of two other scopes, one is narrower."""
    rows: list[tuple[str, str, str, int]] = []
    for setting, winner in winners.items():
        alike: dict[tuple[Any, ...], list[tuple[int, PolicyRule]]] = {}
        for number, rule in enumerate(holding):
            if setting in rule.values.named:
                alike.setdefault((rule.scope, rule.is_limited, rule.priority), []).append((number, rule))
        for *others, (number, rule) in alike.values():
            wanted, count = getattr(rule.values, setting), int((winner == number).sum())
            rows += [(setting, rule.name, one.name, count) for _, one in others if getattr(one.values, setting) != wanted and count]
    return pl.DataFrame(rows, schema=_CONFLICTS, orient="row")


def _problems(frame: pl.DataFrame) -> pl.DataFrame:
    reason = pl.lit(None, dtype=pl.String)
    for method, needed in _NEEDED.items():
        lacks = pl.any_horizontal(pl.col(name).is_null() for name in needed)
        reason = (
            pl.when((pl.col("method") == method) & lacks).then(pl.lit(f"Method {method} needs {' and '.join(needed)}.")).otherwise(reason)
        )
    contrary = pl.format("min_qty {} ({}) is above max_qty {} ({}).", "min_qty", "min_qty_rule", "max_qty", "max_qty_rule")
    reason = pl.when(pl.col("min_qty") > pl.col("max_qty")).then(contrary).otherwise(reason)
    return frame.select("sku", "location_id", reason.alias("reason")).filter(pl.col("reason").is_not_null())


def _require_possible(name: str, value: Any) -> None:
    """Raises ValueError where the value is none of this setting."""
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise ValueError(f"There is no {name} {value!r}; there are {', '.join(CHOICES[name])}.")
    elif SETTINGS[name] == pl.Float64() and not (0 < value < 1 or (value in {0, 1} and name not in _OPEN_SHARES)):
        raise ValueError(f"{name} is a share between 0 and 1, got {value:g}.")
    elif name == "budget_currency_code":
        if not re.fullmatch("[A-Z]{3}", value):
            raise ValueError(f"A currency is three capital letters such as EUR, got {value!r}.")
    elif SETTINGS[name] != pl.Float64() and not (0 if name in {"min_qty", "budget_amount"} else 1) <= float(value) <= _LARGEST:
        raise ValueError(f"{name} is too small or too large: {value}.")
