"""Figures for Prometheus and the health of the platform, over HTTP as they are asked for."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.exporter import _Quiet, _Server, application
from pipelines.errors import SettingsError
from pipelines.settings import Settings
from pipelines.steps.observe import Standing, observe
from pipelines.steps.watch_runs import RunFailure, note_failure
from pipelines.stores.change_feed import install_feed, read_changes
from pipelines.stores.feed_mark import write_mark
from pipelines.stores.feed_reading import FeedPosition
from pipelines.stores.operational import OperationalStore
from pipelines.stores.releases import current_release
from tests.integration.small_release import publish_small_release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "f3Zk9QwLr7Vx2TnB8sHd5JmC1yGp6KaE"  # pragma: allowlist secret


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    with make_server("127.0.0.1", 0, application(settings), server_class=_Server, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def _silent_server() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port that takes connections and never says a word, as behind a wall that drops packets; and every connection it took."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def take() -> None:
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield listening.getsockname()[1], taken
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in taken:
                one.close()


def _figures(address: str, *, patience_seconds: float | None = None) -> dict[tuple[str, str], float]:
    with urllib.request.urlopen(f"{address}/metrics", timeout=patience_seconds) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(sample.name, "".join(sample.labels.values())): sample.value for family in families for sample in family.samples}


def _health(address: str) -> tuple[int, list[str]]:
    try:
        with urllib.request.urlopen(f"{address}/health") as answer:
            return answer.status, json.load(answer)["troubles"]
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)["troubles"]


def test_a_published_release_is_told_in_figures(tmp_path: Path) -> None:
    release = publish_small_release(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "2026-10-31.jsonl").write_text(
        '{"at": "2026-10-31T04:30:00+00:00", "step": "ingest", "state": "finished", "seconds": 1.5, "peak_memory_mb": 2}\n'
        '{"at": "2026-10-31T04:31:00+00:00", "step": "transform", "state": "failed"}\n'
    )

    with _served(Settings(home=tmp_path)) as address:
        figures = _figures(address)

    assert figures["ordercast_release_published_timestamp_seconds", ""] == release.published_time.timestamp()
    assert figures["ordercast_release_rows", ""] == sum(release.row_counts.values())
    assert figures["ordercast_up", "release"] == 1
    assert figures["ordercast_up", "store"] == 0
    assert figures["ordercast_step_seconds", "ingest"] == 1.5
    assert figures["ordercast_step_peak_memory_bytes", "ingest"] == 2 * 1024**2
    assert figures["ordercast_step_failed_timestamp_seconds", "transform"] == datetime(2026, 10, 31, 4, 31, tzinfo=UTC).timestamp()


def test_a_store_that_never_answers_is_told_before_prometheus_gives_up(tmp_path: Path) -> None:
    write_mark(tmp_path, FeedPosition("an epoch", "1:1:"))
    with _silent_server() as (port, taken):
        settings = Settings(home=tmp_path, store_url=SecretStr(f"postgresql://shop@127.0.0.1:{port}/shop"))
        with _served(settings) as address:
            figures = _figures(address, patience_seconds=10)
            again = _figures(address, patience_seconds=10)
            status, troubles = _health(address)

    assert figures["ordercast_up", "store"] == again["ordercast_up", "store"] == 0
    assert (status, "cannot be reached" in troubles[0]) == (503, True)
    assert len(taken) == 1


def test_health_says_why_it_is_not_well(tmp_path: Path) -> None:
    with _served(Settings(home=tmp_path)) as address:
        status, troubles = _health(address)

    assert status == 503
    assert [trouble.split(":")[0] for trouble in troubles] == ["store", "release"]


def test_a_release_is_stale_when_a_nightly_run_was_missed(tmp_path: Path) -> None:
    publish_small_release(tmp_path)
    standing = Standing(release=current_release(tmp_path / "releases"))
    assert standing.release

    young = standing.troubles(standing.release.published_time + timedelta(hours=35))
    old = standing.troubles(standing.release.published_time + timedelta(hours=37))

    assert young == []
    assert old == [f"release: published {standing.release.published_at}, more than 36 hours ago."]


def test_a_damaged_release_is_a_trouble_and_the_rest_is_told(tmp_path: Path) -> None:
    release = publish_small_release(tmp_path)
    release.path.write_bytes(b"no database")

    standing = observe(Settings(home=tmp_path))

    assert "is damaged" in standing.problems["release"]
    assert standing.releases_count == 1
    assert standing.free_bytes > 0


@pytest.mark.parametrize(("header", "status"), [(None, 401), ("Bearer wrong", 401), (f"Bearer {TOKEN}", 200)])
def test_where_there_is_a_token_nobody_reads_without_it(tmp_path: Path, header: str | None, status: int) -> None:
    with _served(Settings(home=tmp_path, metrics_token=SecretStr(TOKEN))) as address:
        request = urllib.request.Request(f"{address}/metrics", headers={"Authorization": header} if header else {})
        try:
            with urllib.request.urlopen(request) as answer:
                found = answer.status
        except urllib.error.HTTPError as refused:
            with refused:
                found = refused.code

    assert found == status


def test_other_machines_are_not_answered_without_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))

    said = CliRunner().invoke(app, ["exporter", "--address", "0.0.0.0"])

    assert isinstance(said.exception, SettingsError)
    assert "ORDERCAST_METRICS_TOKEN" in str(said.exception)


def test_what_waits_in_the_store_is_counted(tmp_path: Path, store_url: str) -> None:
    with OperationalStore.open(store_url) as store:
        note_failure(Settings(home=tmp_path, store_url=store_url), RunFailure("ordercast", "ingest", "The source was down."))
        store.create_source_tables({"orders": {"order_id", "created_at", "currency"}})
        install_feed(store)
        with read_changes(store, since=None) as changes:
            write_mark(tmp_path, changes.position)
        with store.transaction() as conn:
            conn.execute(sa.text("INSERT INTO orders (order_id, created_at, currency) VALUES ('O1', '2026-10-31 10:00:00', 'EUR')"))

    standing = observe(Settings(home=tmp_path, store_url=store_url))

    assert standing.problems == {}
    assert standing.exceptions == {"low": 0, "medium": 0, "high": 0, "critical": 1}
    assert standing.waiting_changes == 1
