"""A newer checkout takes over from a running platform: real processes of two folders, and pages that are asked all the time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.settings import PROJECT_ROOT
from tests.deployment.running_platform import ALWAYS, Platform, Watch, running, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW = "This is the new version."
PARTS = (".streamlit", "dashboards", "dbt_project", "deploy", "forecasting", "inventory", "pipelines", "pyproject.toml")


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A platform without data, served from this folder."""
    # Not below pytest's own folder: a socket's path may have about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="ordercast-over-", ignore_cleanup_errors=True) as home:
        command(["migrate"], {"ORDERCAST_HOME": home})
        with running(Path(home), {}) as platform:
            yield platform


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another version in another folder: its pages say so when they start."""
    folder = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        source = PROJECT_ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "target"))
        else:
            shutil.copy(source, folder)
    with (folder / "dashboards" / "server.py").open("a", encoding="utf-8") as program:
        program.write(f'print("{NEW}", flush=True)\n')
    return folder


def command(
    arguments: list[str], environment: dict[str, str], *, folder: Path = PROJECT_ROOT, is_fine: bool = True
) -> subprocess.CompletedProcess[str]:
    """What the command line of a folder said."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("ORDERCAST_")}
    program = [sys.executable, "-W", "ignore", "-m", "pipelines.cli.app", *arguments]
    return subprocess.run(
        program, check=is_fine, cwd=folder, env=known | environment | {"PYTHONPATH": str(folder)}, capture_output=True, text=True
    )


def ports(platform: Platform) -> list[str]:
    return [
        "--pages-port", str(platform.pages_port), "--web-port", str(platform.web_port), "--exporter-port", str(platform.exporter_port),
    ]  # fmt: skip


def folders(platform: Platform) -> dict[str, Path]:
    """The folder that each process works in, and takes its program from."""
    return {name: Path(f"/proc/{platform.process_id(name)}/cwd").readlink() for name in ALWAYS}


@pytest.mark.parametrize("also", [[], ["--write-config"], ["--take-over", "--proxy"], ["--take-over", "--pages-port", "1"]])
def test_a_platform_that_runs_is_left_alone_by_a_second_one(platform: Platform, also: list[str]) -> None:
    run = platform.home / "run"
    before = (run / "supervisord.conf").read_bytes(), (run / "code.sock").stat().st_ino

    said = command(["serve", *also], {"ORDERCAST_HOME": str(platform.home)}, is_fine=False)

    assert said.returncode in {2, 3}
    assert "Nothing was " in said.stderr
    assert ((run / "supervisord.conf").read_bytes(), (run / "code.sock").stat().st_ino) == before


def test_another_version_takes_over_without_a_moment_without_pages(platform: Platform, checkout: Path) -> None:
    before = folders(platform)
    with Watch(platform) as watch:
        said = command(["serve", "--take-over", *ports(platform)], {"ORDERCAST_HOME": str(platform.home)}, folder=checkout)
        wait_for("Dagster's knowing our jobs again", platform.repository)

    assert "exporter was replaced." in said.stdout
    assert set(before.values()) == {PROJECT_ROOT}
    assert set(folders(platform).values()) == {checkout}
    assert NEW in (platform.home / "logs" / "processes" / "pages.log").read_text(encoding="utf-8")
    assert watch.looks > 10
    assert watch.missed == []


def test_nothing_is_taken_over_where_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))

    said = CliRunner().invoke(app, ["serve", "--take-over"])

    assert "no platform runs in" in str(said.exception)
    assert not (tmp_path / "home").exists()


def test_writing_the_configuration_does_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))

    said = CliRunner().invoke(app, ["serve", "--write-config"])

    assert said.exit_code == 0, said.output
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*")) if path.is_file()] == ["run/supervisord.conf"]


def started(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings that the supervisor's processes are given, once all before its start is done."""
    command(["migrate"], {"ORDERCAST_HOME": str(home)})
    told: dict[str, str] = {}
    monkeypatch.setattr(os, "execv", lambda *_program: told.update(os.environ))
    before = dict(os.environ)
    try:
        said = CliRunner().invoke(app, ["serve"])
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
    assert said.exit_code == 0, said.output
    return {name: value for name, value in told.items() if name.startswith("ORDERCAST_")}


def test_dagsters_storage_is_there_before_processes_could_make_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path))

    started(tmp_path, monkeypatch)

    assert (tmp_path / "dagster" / "history" / "runs.db").exists()
    assert (tmp_path / "dagster" / "schedules" / "schedules.db").exists()


def test_a_process_that_is_started_again_reads_the_file_of_settings_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ordercast.toml").write_text("service_level = 0.9\nseed = 3\n", encoding="utf-8")
    (tmp_path / ".env").write_text("ORDERCAST_SEED=4\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", "home")

    told = started(tmp_path / "home", monkeypatch)

    assert told == {
        "ORDERCAST_HOME": str(tmp_path / "home"), "ORDERCAST_CONFIG": str(tmp_path / "ordercast.toml"), "ORDERCAST_SEED": "4",
        "ORDERCAST_RUNS_BY_ITSELF": "true",
    }  # fmt: skip
