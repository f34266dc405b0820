from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import TYPE_CHECKING

from pipelines.stores.run_logs import logged, read_log, remove_old_logs

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("ordercast.ingest")


def _write_many(folder: Path, run_id: str) -> None:
    with logged(folder, run_id=run_id, step="ingest"):
        for number in range(300):
            LOG.info("%d %s", number, "x" * 2000)


def test_every_line_is_json_with_its_run_and_step(tmp_path: Path) -> None:
    with logged(tmp_path, run_id="5f3a", step="ingest"):
        LOG.warning("%d rows of %s", 3, "orders", extra={"state": "finished", "seconds": 1.5})
    LOG.warning("said after the step")

    (record,) = read_log(tmp_path)
    assert datetime.fromisoformat(record.pop("at")).tzinfo == UTC
    assert record == {
        "level": "warning", "logger": "ordercast.ingest", "run_id": "5f3a", "step": "ingest", "state": "finished", "seconds": 1.5,
        "message": "3 rows of orders",
    }  # fmt: skip


def test_what_stopped_a_step_is_named_by_its_line(tmp_path: Path) -> None:
    with logged(tmp_path, run_id="5f3a", step="ingest"):
        LOG.info("failed", exc_info=ValueError("no such table"))

    (record,) = read_log(tmp_path)
    assert record["error"] == "ValueError: no such table"


def test_lines_of_processes_that_write_at_once_never_mix(tmp_path: Path) -> None:
    processes = [get_context("spawn").Process(target=_write_many, args=(tmp_path, name)) for name in ("a", "b", "c")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    (file,) = tmp_path.glob("*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(record["run_id"] for record in records) == ["a"] * 300 + ["b"] * 300 + ["c"] * 300
    assert len(list(read_log(tmp_path, run_id="b"))) == 300


def test_what_was_said_may_hold_signs_that_some_take_for_the_end_of_a_line(tmp_path: Path) -> None:
    said = "before\u2028between\u0085after\x0b."
    with logged(tmp_path, run_id="5f3a", step="ingest"):
        LOG.warning(said)

    assert [record["message"] for record in read_log(tmp_path)] == [said]


def test_half_a_line_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "2026-10-31.jsonl").write_text('{"run_id": "a"}\n{"run_id": "b", "mess')

    assert list(read_log(tmp_path)) == [{"run_id": "a"}]


def test_logs_older_than_their_days_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("2026-10-01.jsonl", "2026-10-02.jsonl", "2026-10-31.jsonl", "notes.jsonl"):
        (tmp_path / name).touch()

    removed = remove_old_logs(tmp_path, days=29, now=datetime(2026, 10, 31, 12, tzinfo=UTC))

    assert removed == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2026-10-02.jsonl", "2026-10-31.jsonl", "notes.jsonl"]


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    blocked = tmp_path / "logs"
    blocked.write_text("a file, no folder")

    with logged(blocked, run_id="5f3a", step="ingest"):
        LOG.info("said to nobody")

    assert list(read_log(blocked)) == []
