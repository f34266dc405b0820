"""Which target holds for a metric, a member and a day: dated ones that people have set, else the default of the YAML."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pipelines.stores.metrics_windows import DEFAULT_PERIOD_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb

    from pipelines.stores.metrics_catalogue import Direction, Metric

TABLE: Final = "metric_targets"
COLUMNS: Final = (
    "metric VARCHAR NOT NULL, dimension VARCHAR, member VARCHAR, valid_from DATE NOT NULL, valid_to DATE, target DOUBLE, "
    "watch_band DOUBLE, direction VARCHAR, author VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL"
)
NOT_NARROWED: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DatedTarget:
    """One line of the history of targets; without `target` it says that from then on the default holds again."""

    metric: str
    dimension: str | None
    member: str | None
    valid_from: date
    valid_to: date | None
    target: float | None
    watch_band: float | None
    direction: Direction | None


@dataclass(frozen=True, slots=True)
class Goal:
    """What a value is held against. Target and band of a sum are for 28 days and grow with the period."""

    target: float | None
    watch_band: float
    better: Direction

    def for_days(self, metric: Metric, days: int) -> float | None:
        """The target for a period of so many days."""
        return None if self.target is None else self.target * _scale(metric, days)

    def band_for_days(self, metric: Metric, days: int) -> float:
        """How far from the target is still "watch"."""
        return self.watch_band * _scale(metric, days)


def read_targets(conn: duckdb.DuckDBPyConnection) -> list[DatedTarget]:
    """The targets that this warehouse or release carries, oldest first; none in a release from before there were any."""
    present = conn.execute(
        "select count(*) from duckdb_tables() where schema_name = 'meta' and table_name = ? and database_name = current_database()", [TABLE]
    ).fetchone()
    if not present or not present[0]:
        return []
    rows = conn.execute(
        f"select metric, dimension, member, valid_from, valid_to, target, watch_band, direction from meta.{TABLE} order by created_at"
    ).fetchall()
    return [DatedTarget(*row) for row in rows]


def write_targets(conn: duckdb.DuckDBPyConnection, lines: Iterable[Mapping[str, Any]]) -> None:
    """The warehouse holds exactly these lines, as `targets.list_targets` gives them. The caller holds the transaction."""
    conn.execute(f"delete from meta.{TABLE}")
    for line in lines:
        conn.execute(f"insert into meta.{TABLE} values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", list(line.values()))


def goal_on(
    metric: Metric,
    targets: Sequence[DatedTarget],
    *,
    day: date,
    by: str | None,
    member: str | None,
    where: Mapping[str, Sequence[str]] = NOT_NARROWED,
) -> Goal:
    """What holds for this metric or member on a day.

    Of the lines valid on the day, the one that begins last decides, and of equals the one written last. A member's own comes
    first. What is set for the whole holds for members too, as long as nobody has set one for any member of that dimension, and
    never for a sum: a channel need not sell what all of them together should. Narrowed to one member is as split by it; of several
    members, or of members of several dimensions, only what is set for the whole can hold.
    """
    ours = [one for one in targets if one.metric == metric.name]
    places = {name: members[0] if len(members) == 1 else None for name, members in where.items()}
    if by is not None:
        places[by] = member
    if places:
        ((by, member),) = places.items() if len(places) == 1 else [(None, None)]
        own = _standing(ours, day, by, member) if by else None
        if own is not None and own.target is not None:
            return _goal(metric, own)
        others = {(one.dimension, one.member) for one in ours if one.dimension in places}
        is_set_for_others = any((line := _standing(ours, day, *other)) and line.target is not None for other in others)
        if is_set_for_others or metric.is_total:
            return Goal(None, 0.0, metric.better)
    whole = _standing(ours, day, None, None)
    if whole is None or whole.target is None:
        return Goal(metric.target, metric.watch_band, metric.better)
    return _goal(metric, whole)


def _goal(metric: Metric, line: DatedTarget) -> Goal:
    band = metric.watch_band if line.watch_band is None else line.watch_band
    return Goal(line.target, band, line.direction or metric.better)


def _standing(targets: Sequence[DatedTarget], day: date, by: str | None, member: str | None) -> DatedTarget | None:
    valid = [
        (one.valid_from, i, one)
        for i, one in enumerate(targets)
        if (one.dimension, one.member) == (by, member) and one.valid_from <= day and (one.valid_to is None or day <= one.valid_to)
    ]
    return max(valid)[2] if valid else None


def _scale(metric: Metric, days: int) -> float:
    return days / DEFAULT_PERIOD_DAYS if metric.is_additive else 1.0
