"""`ordercast exporter`: figures for Prometheus, and whether the platform is well."""

from __future__ import annotations

import hmac
import json
import threading
import time
from datetime import UTC, datetime
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Annotated, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import typer
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from rich.console import Console

from pipelines.cli.answering import EXPORTER_PORT
from pipelines.errors import SettingsError
from pipelines.setting_values import is_this_machine
from pipelines.settings import Settings, load_settings
from pipelines.steps.observe import Standing, observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_KEPT_SECONDS: Final = 10.0  # Prometheus asks less often
_MB: Final = 1024**2
_PLAIN: Final = [("Content-Type", "text/plain; charset=utf-8")]


def register(app: typer.Typer) -> None:
    """The command stands on `app`."""
    app.command("exporter")(exporter)


def exporter(
    port: Annotated[int, typer.Option(help="Port.")] = EXPORTER_PORT,
    address: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine need ORDERCAST_METRICS_TOKEN.")
    ] = "127.0.0.1",
) -> None:
    """Serve figures for Prometheus at /metrics, and at /health whether the platform is well (200 or 503).

    Examples: [b]ordercast exporter[/b] | [b]curl http://127.0.0.1:9464/health[/b]
    """
    settings = load_settings()
    if settings.metrics_token is None and not is_this_machine(address):
        raise SettingsError(
            f"Nothing was started: on {address} everybody could read the figures. Set ORDERCAST_METRICS_TOKEN or leave --address out."
        )
    with make_server(address, port, application(settings), server_class=_Server, handler_class=_Quiet) as server:
        Console(stderr=True).print(f"Figures on http://{address}:{server.server_port}/metrics", highlight=False)
        server.serve_forever()


def application(settings: Settings) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """The WSGI application: /metrics and /health, and nothing else."""
    look = _Look(settings)
    registry = CollectorRegistry()
    registry.register(_Figures(look))
    metrics = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not _is_allowed(settings, environ):
            start_response("401 Unauthorized", [*_PLAIN, ("WWW-Authenticate", "Bearer")])
            return [b"A bearer token is needed.\n"]
        if environ["PATH_INFO"] == "/metrics":
            return list(metrics(environ, start_response))
        if environ["PATH_INFO"] == "/health":
            troubles = look.standing().troubles(datetime.now(UTC))
            start_response("503 Service Unavailable" if troubles else "200 OK", [("Content-Type", "application/json")])
            return [json.dumps({"is_well": not troubles, "troubles": troubles}).encode() + b"\n"]
        start_response("404 Not Found", _PLAIN)
        return [b"There are /metrics and /health.\n"]

    return answer


def _is_allowed(settings: Settings, environ: dict[str, Any]) -> bool:
    if settings.metrics_token is None:
        return True
    wanted = f"Bearer {settings.metrics_token.get_secret_value()}"
    return hmac.compare_digest(environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace"), wanted.encode())


class _Look:
    """What stood at the last look, for ten seconds; whoever asks meanwhile, or while somebody looks, is told the same."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._last: tuple[Standing, float] | None = None

    def standing(self) -> Standing:
        """How the platform stands."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[1] > _KEPT_SECONDS:
                self._last = (observe(self._settings), time.monotonic())
            return self._last[0]


class _Figures:
    """Collects at every scrape what stands then."""

    def __init__(self, look: _Look) -> None:
        self._look = look

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every figure with its value and labels."""
        standing = self._look.standing()
        yield from _of_release(standing)
        yield from _of_runs(standing)
        yield _labelled("ordercast_up", "1 where this part could be looked at.", "part",
                        {part: float(part not in standing.problems) for part in ("store", "release")})  # fmt: skip
        yield _labelled("ordercast_recommendations", "Open recommendations.", "status", standing.recommendations)
        yield _labelled("ordercast_outbox_messages", "Messages that have not arrived.", "state", standing.messages)
        yield _labelled("ordercast_exceptions", "Exceptions that wait for a person.", "severity", standing.exceptions)
        yield GaugeMetricFamily("ordercast_exceptions_overdue", "Those past their due time.", standing.overdue_count)
        if standing.waiting_changes is not None:
            yield GaugeMetricFamily("ordercast_feed_waiting_changes", "Changes of the shop that no run has read.", standing.waiting_changes)
        yield _labelled("ordercast_home_bytes", "Size of a part of the home folder.", "part", standing.bytes_by_part)
        yield GaugeMetricFamily("ordercast_disk_free_bytes", "What is free on the disk of the home folder.", standing.free_bytes)


def _of_release(standing: Standing) -> Iterator[GaugeMetricFamily]:
    yield GaugeMetricFamily("ordercast_releases", "Releases kept.", standing.releases_count)
    release = standing.release
    if release is None:
        return
    as_of = standing.as_of_time
    named = "ordercast_release"
    yield GaugeMetricFamily(
        f"{named}_published_timestamp_seconds", "When the served release was published.", release.published_time.timestamp()
    )
    yield GaugeMetricFamily(f"{named}_as_of_timestamp_seconds", "End of its as-of day.", as_of.timestamp() if as_of else 0)
    yield GaugeMetricFamily(f"{named}_rows", "Rows of all its tables.", sum(release.row_counts.values()))
    yield GaugeMetricFamily(f"{named}_bytes", "Size of its file.", standing.release_bytes)
    failed = release.checks_total - release.checks_passed
    yield _labelled(f"{named}_checks", "Checks of the run that made it.", "result", {"passed": release.checks_passed, "failed": failed})
    yield GaugeMetricFamily("ordercast_quarantined_documents", "Documents it says are held back.", standing.quarantined_count)
    yield GaugeMetricFamily("ordercast_unusual_looks", "Looks at its as-of day that were not as usual.", len(standing.unusual))
    yield _labelled("ordercast_forecast_check_ratio", "What the checks of its forecasts measured.", "check", standing.forecast_rates)


def _of_runs(standing: Standing) -> Iterator[GaugeMetricFamily]:
    ended = standing.steps
    yield _labelled("ordercast_step_seconds", "What the step took the last time it ended well.", "step",
                    {step: one.seconds for step, one in ended.items()})  # fmt: skip
    yield _labelled("ordercast_step_peak_memory_bytes", "Most memory of the process meanwhile.", "step",
                    {step: one.peak_memory_mb * _MB for step, one in ended.items() if one.peak_memory_mb is not None})  # fmt: skip
    yield _labelled("ordercast_step_ended_timestamp_seconds", "When the step last ended well.", "step",
                    {step: one.ended_at.timestamp() for step, one in ended.items()})  # fmt: skip
    yield _labelled("ordercast_step_failed_timestamp_seconds", "When the step last failed.", "step",
                    {step: at.timestamp() for step, at in standing.failed.items()})  # fmt: skip


def _labelled(name: str, says: str, label: str, values: dict[str, float] | dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, says, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


class _Server(ThreadingMixIn, WSGIServer):
    """A slow scrape keeps nobody else waiting."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Says nothing of each request."""

    def log_message(self, *_arguments: object) -> None:
        """Nothing is said."""
