"""How the platform stands, read from its stores: for whoever watches it from outside. Nothing is changed."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from pipelines.alerts.listing import list_exceptions
from pipelines.alerts.rules import SEVERITIES
from pipelines.delivery.settling import count_open
from pipelines.errors import OrdercastError
from pipelines.stores.feed_mark import read_mark, waiting_changes
from pipelines.stores.grants import INGEST, RECOMMENDER, WRITER
from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import recommendation
from pipelines.stores.recommendations import ENDED
from pipelines.stores.releases import Release, current_release, list_releases, open_release
from pipelines.stores.run_logs import read_log

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.settings import Settings
    from pipelines.stores.grants import Role

STALE_AFTER: Final = timedelta(hours=36)  # misses one nightly run
_CONNECT_SECONDS: Final = 2  # who watches waits ten seconds for all figures, and wants them most where the store is away
_LOG_DAYS: Final = 2
_PARTS: Final = ("store.db", "warehouse.duckdb", "releases", "dagster", "logs", "refused")


@dataclass(frozen=True, slots=True)
class StepReading:
    """The newest time a step ended well."""

    ended_at: datetime
    seconds: float
    peak_memory_mb: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How the platform stands.

    Attributes:
        problems: What could not be looked at, by part: store, release.
        release: What is served; None where nothing is.
        releases_count: How many are kept.
        release_bytes: Size of the served file.
        quarantined_count: Documents that the served release says are held back.
        unusual: Looks at the as-of day that were not as usual: (subject, measure).
        forecast_rates: What the checks of the forecasts measured, by check.
        steps: By step, the newest time it ended well, of the last two days that have logs.
        failed: By step, the newest time it failed, of the same days.
        recommendations: Open ones by status.
        messages: Messages that have not arrived, by state.
        exceptions: Those that wait for a person, by severity; `overdue_count` of them are past their due time.
        waiting_changes: Changes of the shop that no run has read; None where the feed cannot tell.
        bytes_by_part: Size of each part of the home folder.
        free_bytes: What is free on its disk.
    """

    problems: dict[str, str] = field(default_factory=dict)
    release: Release | None = None
    releases_count: int = 0
    release_bytes: int = 0
    quarantined_count: int = 0
    unusual: tuple[tuple[str, str], ...] = ()
    forecast_rates: dict[str, float] = field(default_factory=dict)
    steps: dict[str, StepReading] = field(default_factory=dict)
    failed: dict[str, datetime] = field(default_factory=dict)
    recommendations: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    exceptions: dict[str, int] = field(default_factory=dict)
    overdue_count: int = 0
    waiting_changes: int | None = None
    bytes_by_part: dict[str, int] = field(default_factory=dict)
    free_bytes: int = 0

    @property
    def as_of_time(self) -> datetime | None:
        """When the as-of day of the served release ended, in UTC."""
        return None if self.release is None else datetime.combine(date.fromisoformat(self.release.as_of_date), time(), UTC) + timedelta(1)

    def troubles(self, now: datetime) -> list[str]:
        """Why the platform is not well, a sentence each; none where it is."""
        found = [f"{part}: {said}" for part, said in self.problems.items()]
        if self.release is None and "release" not in self.problems:
            found.append("release: nothing is published yet.")
        elif self.release is not None and now - self.release.published_time > STALE_AFTER:
            found.append(f"release: published {self.release.published_at}, more than {STALE_AFTER.total_seconds() / 3600:.0f} hours ago.")
        return found


def observe(settings: Settings) -> Standing:
    """How the platform stands now; what cannot be looked at is named among the problems, and everything else is told."""
    problems: dict[str, str] = {}
    home = settings.resolved_home
    steps, failed = _steps(settings.logs_path)
    return Standing(
        problems=problems,  # filled by what follows
        **_release(settings, problems),
        **_store(settings, problems),
        **({} if "store" in problems else _feed(settings)),  # it would be waited for once more
        steps=steps,
        failed=failed,
        bytes_by_part={part: _size(home / part) for part in _PARTS if (home / part).exists()},
        free_bytes=shutil.disk_usage(next(folder for folder in (home, *home.parents) if folder.exists())).free,
    )


def _release(settings: Settings, problems: dict[str, str]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    try:
        release = current_release(settings.releases_path)
        facts = {"release": release, "releases_count": len(list_releases(settings.releases_path))}
        if release is None:
            return facts
        facts["release_bytes"] = release.path.stat().st_size
        with open_release(release) as conn:
            kept = {row[0] for row in conn.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()}
            if "meta.quarantined_documents" in kept:
                asked = conn.execute("select count(distinct (table_name, document_id)) from meta.quarantined_documents").fetchone()
                facts["quarantined_count"] = int(asked[0]) if asked else 0
            if "meta.day_checks" in kept:
                facts["unusual"] = tuple(conn.execute("select subject, measure from meta.day_checks where not is_usual").fetchall())
            if "planning.forecast_checks" in kept:
                rates = "select check_name, measured_rate from planning.forecast_checks where measured_rate is not null"
                facts["forecast_rates"] = dict(conn.execute(rates).fetchall())
    except (OrdercastError, OSError) as exc:
        problems["release"] = str(exc)
    return facts


def _store(settings: Settings, problems: dict[str, str]) -> dict[str, Any]:
    counted = sa.select(recommendation.c.status, sa.func.count()).where(recommendation.c.status.not_in(ENDED))
    try:
        with _open(settings, WRITER, RECOMMENDER) as store:
            if not store.is_migrated():
                return {}
            messages = {str(state): count for state, count in count_open(store).items()}
            due = list_exceptions(store)
            with store.transaction(writes=False) as conn:
                statuses = {str(row[0]): int(row[1]) for row in conn.execute(counted.group_by(recommendation.c.status))}
    except OrdercastError as exc:
        problems["store"] = str(exc)
        return {}
    by_severity = Counter(one.severity for one in due)
    exceptions: dict[str, int] = {severity: by_severity[severity] for severity in SEVERITIES}
    overdue = sum(one.is_overdue for one in due)
    return {"recommendations": statuses, "messages": messages, "exceptions": exceptions, "overdue_count": overdue}


def _feed(settings: Settings) -> dict[str, Any]:
    position = read_mark(settings.resolved_home)
    if position is None:
        return {}
    with suppress(OrdercastError), _open(settings, INGEST) as store:
        waiting = waiting_changes(store, position)
        return {"waiting_changes": waiting.count if waiting else 0}
    return {}


def _open(settings: Settings, *roles: Role) -> OperationalStore:
    return OperationalStore.open(settings.resolved_store_url, role=roles, is_read_only=True, connect_seconds=_CONNECT_SECONDS)


def _steps(folder: Path) -> tuple[dict[str, StepReading], dict[str, datetime]]:
    ended: dict[str, StepReading] = {}
    failed: dict[str, datetime] = {}
    for record in read_log(folder, days=_LOG_DAYS):
        if record.get("state") == "finished":
            at = datetime.fromisoformat(record["at"])
            ended[record["step"]] = StepReading(at, float(record["seconds"]), record.get("peak_memory_mb"))
        elif record.get("state") == "failed":
            failed[record["step"]] = datetime.fromisoformat(record["at"])
    return ended, failed


def _size(path: Path) -> int:
    """Bytes of a file or of all files below a folder; what vanishes meanwhile counts nothing."""
    files = [path] if path.is_file() else path.rglob("*")
    total = 0
    for file in files:
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total
