"""What alert rules there can be: their kinds, and which parameters each kind takes."""

from __future__ import annotations

import difflib
import json
import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from pipelines.errors import AlertError

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["low", "medium", "high", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_WHERE: Final = re.compile(r"([a-z_]+)=(.+)")
_MOST_HOURS: Final = 24.0 * 366


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a kind of rule is told.

    Attributes:
        said: What it means, with its unit.
        default: What holds where it is not said; None: nothing.
        least: Least number; None where it is a text.
        most: Greatest number.
        is_whole: Whether the number has to be whole.
        choices: The only texts it can be.
        is_required: Whether it has to be said.
    """

    said: str
    default: float | str | None = None
    least: float | None = None
    most: float | None = None
    is_whole: bool = False
    choices: tuple[str, ...] = ()
    is_required: bool = False


def _number(said: str, default: float | None, least: float, most: float) -> Parameter:
    return Parameter(said, default, least, most)


def _whole(said: str, default: int, least: int, most: int) -> Parameter:
    return Parameter(said, default, least, most, is_whole=True)


_METRIC: Final = {
    "metric": Parameter("which metric, as in ordercast metrics", is_required=True),
    "where": Parameter("only these rows, as dimension=member"),
}
_SPLIT: Final = {"by": Parameter("a dimension; each of its members is a subject of its own")}
_ROWS: Final = _whole("rows that a value has to rest on", 30, 1, 10**9)

# What each kind looks for, and what it can be told.
KINDS: Final[dict[str, tuple[str, dict[str, Parameter]]]] = {
    "threshold": (
        "a metric is above or below a value; without one, it misses its target by more than its watch band",
        _METRIC | _SPLIT | {
            "days": _whole("days of the period", 28, 1, 366), "above": _number("the most it may be", None, -1e15, 1e15),
            "below": _number("the least it may be", None, -1e15, 1e15), "least_rows": _ROWS,
        },
    ),
    "change": (
        "a metric rose or fell against as many days before",
        _METRIC | _SPLIT | {
            "days": _whole("days of the period", 28, 1, 366), "rise": _number("by how much it may rise", None, 0.0, 1e15),
            "fall": _number("by how much it may fall", None, 0.0, 1e15),
            "measure": Parameter("relative: as a share of the value before; absolute: in the metric's unit", "relative",
                                 choices=("relative", "absolute")),
            "least_rows": _ROWS,
        },
    ),
    "anomaly": (
        "the last day of a metric is unlike the same weekdays before",
        _METRIC | {
            "weeks": _whole("weeks of the same weekday to compare with", 13, 5, 52),
            "score": _number("robust z-score from which a day is unlike", 3.5, 1.0, 100.0),
            "direction": Parameter("which way counts", "both", choices=("both", "up", "down")),
            "least_change": _number("least difference from the usual, as a share of it", 0.1, 0.0, 100.0),
        },
    ),
    "stock_out": (
        "an item will probably run out before anything can arrive, even if what is suggested is ordered today",
        {
            "probability": _number("chance of running out", 0.5, 0.05, 0.99),
            "days": _whole("days to look ahead", 28, 1, 180),
            "least_amount": _number("least value at stake, in the reporting currency", 0.0, 0.0, 1e12),
        },
    ),
    "order_jeopardy": (
        "an open order will probably miss its promise",
        {
            "probability": _number("chance of missing it", 0.5, 0.01, 0.99),
            "least_amount": _number("least value of the order, in the reporting currency", 0.0, 0.0, 1e12),
        },
    ),
    "return_spike": (
        "more of an item comes back than its own rate explains",
        {
            "days": _whole("days looked at", 28, 7, 182),
            "history_days": _whole("days before them that the usual rate is learnt from", 364, 56, 1092),
            "lag_days": _whole("days between shipping and the announced return", 14, 0, 90),
            "false_discovery": _number("share of raised items that may be chance", 0.05, 0.0001, 0.5),
            "least_units": _whole("returned units below which nothing is raised", 5, 1, 10**6),
        },
    ),
    "supplier_late": (
        "a supplier's order lines are past the day they were expected, or fewer of them come on time than before",
        {
            "late_days": _whole("days past the expected day", 3, 0, 180),
            "days": _whole("days whose on-time share is looked at", 28, 7, 182),
            "fall": _number("by how much the share of lines on time may fall", 0.15, 0.01, 1.0),
            "false_discovery": _number("share of raised suppliers that may be chance", 0.05, 0.0001, 0.5),
        },
    ),
    "forecast_drift": (
        "a check of the forecasts failed, or forecasts of a class of items are biased",
        {"bias": _number("bias from which a class is named, as a share of demand", 0.25, 0.01, 10.0),
         "least_units": _whole("demanded units below which a class is not judged", 1_000, 1, 10**9)},
    ),
    "data_late": (
        "the release is old, the source has told nothing new, or the forecasts are behind the data; by the wall clock",
        {
            "release_hours": _number("hours after which a release is late", 26.0, 0.1, _MOST_HOURS),
            "source_hours": _number("hours after which a source that says nothing new is late", 26.0, 0.1, _MOST_HOURS),
            "forecast_days": _whole("days that forecasts may begin behind the data", 2, 0, 366),
        },
    ),
    "run_failed": ("a run or refresh stopped", {}),
}  # fmt: skip
METRIC_KINDS: Final = ("threshold", "change", "anomaly")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One version of a rule.

    Attributes:
        rule_id: Its name.
        version: Number of the version; the highest that stands counts.
        kind: One of `KINDS`.
        parameters: What the kind was told; what is missing has the kind's default.
        owner: Operator or team that exceptions go to, unless the finding names another.
        due_hours: Hours in which somebody has to have settled one.
        quiet_hours: Hours a condition has to be gone before its return is a new exception; until then the same one goes on.
        severity: How bad it is.
        is_told: Whether the channel is told when one is raised and when it is resolved.
        is_enabled: Whether the rule is looked at at all.
        created_at: UTC without zone; None before it is written.
    """

    rule_id: str
    version: int
    kind: str
    parameters: Mapping[str, Any]
    owner: str
    due_hours: float
    quiet_hours: float
    severity: Severity
    is_told: bool
    is_enabled: bool
    created_at: datetime | None = None

    @property
    def name(self) -> str:
        """Rule and version, as in stock-out/2."""
        return f"{self.rule_id}/{self.version}"

    def told(self, parameter: str) -> Any:
        """The parameter's value, or the kind's default."""
        value = self.parameters.get(parameter)
        return KINDS[self.kind][1][parameter].default if value is None else value

    @property
    def narrowed(self) -> dict[str, list[str]] | None:
        """`where` as metrics take it."""
        found = _WHERE.fullmatch(str(self.parameters.get("where") or ""))
        return None if found is None else {found[1]: [found[2]]}


def checked_rule(rule: AlertRule) -> AlertRule:
    """The rule, which can hold; numbers that came as text are numbers.

    Raises:
        AlertError: Its name, kind, severity, times or a parameter cannot be so; the message names the nearest that can.
    """
    if not _NAME.fullmatch(rule.rule_id):
        raise AlertError(f"{rule.rule_id!r} is no name for a rule: take small letters, digits and hyphens, such as returns-of-tea.")
    if rule.kind not in KINDS:
        raise AlertError(f"There is no kind {rule.kind!r}; {_nearest(rule.kind, KINDS)}")
    if rule.severity not in SEVERITIES:
        raise AlertError(f"There is no severity {rule.severity!r}; severities are {', '.join(SEVERITIES)}.")
    if not rule.owner.strip() or not 0 < rule.due_hours <= _MOST_HOURS or not 0 <= rule.quiet_hours <= _MOST_HOURS:
        raise AlertError(f"A rule needs an owner, hours until due above 0, and quiet hours from 0; at most {_MOST_HOURS:,.0f}.")
    known = KINDS[rule.kind][1]
    values = {}
    for name, value in rule.parameters.items():
        if name not in known:
            raise AlertError(f"A rule of kind {rule.kind} cannot be told {name!r}; {_nearest(name, known)}")
        if value is not None:
            values[name] = _checked(name, value, known[name])
    lacking = [name for name, parameter in known.items() if parameter.is_required and name not in values]
    if lacking:
        raise AlertError(f"A rule of kind {rule.kind} needs {', '.join(lacking)}: {known[lacking[0]].said}.")
    if rule.kind == "change" and not {"rise", "fall"} & set(values):
        raise AlertError("A rule of kind change needs rise or fall: by how much the metric may.")
    return AlertRule(
        rule_id=rule.rule_id, version=rule.version, kind=rule.kind, parameters=values, owner=rule.owner.strip(), due_hours=rule.due_hours,
        quiet_hours=rule.quiet_hours, severity=rule.severity, is_told=rule.is_told, is_enabled=rule.is_enabled, created_at=rule.created_at,
    )  # fmt: skip


def _checked(name: str, value: Any, parameter: Parameter) -> float | str:
    if parameter.least is None:
        text = str(value)
        if parameter.choices and text not in parameter.choices:
            raise AlertError(f"{name} is one of {', '.join(parameter.choices)}, got {text[:80]!r}.")
        if name == "where" and not _WHERE.fullmatch(text):
            raise AlertError(f"where is dimension=member, such as channel=web, got {text[:80]!r}.")
        return text
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise AlertError(f"{name} is a number, got {str(value)[:80]!r}.") from None
    least, most = parameter.least, cast("float", parameter.most)
    if not math.isfinite(number) or not least <= number <= most or (parameter.is_whole and number != int(number)):
        kind = "a whole number" if parameter.is_whole else "a number"
        raise AlertError(f"{name} is {kind} from {least:,.6g} to {most:,.6g} ({parameter.said}), got {str(value)[:80]}.")
    return int(number) if parameter.is_whole else number


def row_of(rule: AlertRule) -> dict[str, Any]:
    """The rule as columns of `alert_rule`."""
    names = ("rule_id", "version", "kind", "owner", "due_hours", "quiet_hours", "severity", "is_told", "is_enabled", "created_at")
    return {name: getattr(rule, name) for name in names} | {"parameters": json.dumps(dict(rule.parameters), sort_keys=True)}


def rule_of(row: Mapping[Any, Any]) -> AlertRule:
    """The rule that stands in these columns."""
    names = ("rule_id", "version", "kind", "owner", "due_hours", "quiet_hours", "severity", "is_told", "is_enabled", "created_at")
    return AlertRule(**{name: row[name] for name in names}, parameters=json.loads(row["parameters"]))


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there is {', '.join(known)}." if known else "it takes no parameter."
