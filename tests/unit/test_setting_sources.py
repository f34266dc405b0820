from __future__ import annotations

import json
import os
import re
import socket
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.doctor import examine
from pipelines.cli.reference import settings_page
from pipelines.errors import SettingsError
from pipelines.settings import load_settings, setting_origins

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ORDERCAST_")]:
        monkeypatch.delenv(name)


def test_the_toml_file_of_the_working_folder_sets_settings_and_tables_are_prefixes(tmp_path: Path) -> None:
    (tmp_path / "ordercast.toml").write_text('service_level = 0.9\n[email]\nhost = "localhost"\nport = 2525\n')

    settings = load_settings()

    assert (settings.service_level, settings.email_host, settings.email_port) == (0.9, "localhost", 2525)


def test_what_is_nearer_to_the_process_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("seed", "draft_days", "releases_kept"):
        (secrets / f"ordercast_{name}").write_text("3")
    (tmp_path / "ordercast.toml").write_text("seed = 4\ndraft_days = 4\nreleases_kept = 4\nrefused_days = 4\n")
    (tmp_path / ".env").write_text("ORDERCAST_SEED=2\nORDERCAST_DRAFT_DAYS=2\n")
    monkeypatch.setenv("ORDERCAST_SEED", "1")
    monkeypatch.setenv("ORDERCAST_SECRETS", str(secrets))

    settings = load_settings()

    assert (settings.seed, settings.draft_days, settings.releases_kept, settings.refused_days) == (1, 2, 3, 4)
    assert setting_origins() == {
        "seed": "environment", "draft_days": ".env", "releases_kept": str(secrets), "refused_days": str(tmp_path / "ordercast.toml"),
    }  # fmt: skip


def test_a_change_of_the_file_is_seen_by_the_next_look(tmp_path: Path) -> None:
    file = tmp_path / "ordercast.toml"
    file.write_text("seed = 1\n")
    before = load_settings()
    file.write_text("seed = 22\n")

    after = load_settings()

    assert (before.seed, after.seed) == (1, 22)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("service_levl = 0.9\n", "E701 Unknown setting service_levl: did you mean service_level.* It stands in .*ordercast.toml"),
        ("[email]\nhosst = 'localhost'\n", "E701 Unknown setting email_hosst: did you mean email_host"),
        ("ORDERCAST_SEED = 1\n", "E701 Unknown setting ORDERCAST_SEED"),
        ("seed = \n", "E702 .*ordercast.toml cannot be read: Invalid value .at line 1"),
        ("email_host = 'localhost'\n[email]\nhost = 'localhost'\n", "E702 .*ordercast.toml says email_host twice"),
        ("service_level = 95\n", "E702 Setting ORDERCAST_SERVICE_LEVEL cannot be"),
    ],
)
def test_a_file_that_cannot_be_meant_refuses_to_start(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "ordercast.toml").write_text(text)

    with pytest.raises(SettingsError, match=said):
        load_settings()


@pytest.mark.parametrize("misspelt", ["ordercast_store_ulr", "ORDERCAST_STORE_ULR", "ordercast_store_url.bak"])
def test_a_misspelt_file_of_the_folder_of_secrets_refuses_to_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, misspelt: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / misspelt).write_text("postgresql://shop:hunter2@localhost/shop")
    monkeypatch.setenv("ORDERCAST_SECRETS", str(tmp_path / "secrets"))

    with pytest.raises(SettingsError, match=f"E701 Unknown setting {misspelt}: .*It is a file in {tmp_path}/secrets") as refused:
        load_settings()

    assert "hunter2" not in str(refused.value)


def test_files_of_other_programs_may_lie_in_the_folder_of_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "postgresql_password").write_text("of another program")
    (tmp_path / "secrets" / "ORDERCAST_SEED").write_text("3")
    monkeypatch.setenv("ORDERCAST_SECRETS", str(tmp_path / "secrets"))

    assert load_settings().seed == 3


@pytest.mark.parametrize("name", ["ORDERCAST_CONFIG", "ORDERCAST_SECRETS"])
def test_a_place_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv(name, str(tmp_path / "nowhere"))

    with pytest.raises(SettingsError, match=f"{name} names {re.escape(str(tmp_path))}/nowhere, and no f"):
        load_settings()


def test_an_empty_name_of_the_file_means_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ordercast.toml").write_text("seed = 4\n")
    monkeypatch.setenv("ORDERCAST_CONFIG", "")

    assert load_settings().seed == 0


def _found(subject: str) -> list[str]:
    return [f"{one.detail} {one.remedy}" for one in examine(load_settings()) if one.subject == subject and not one.is_fine]


@pytest.mark.parametrize(
    ("name", "text"),
    [("ordercast.toml", 'store_url = "sqlite:///store.db"\n'), (".env", "ORDERCAST_STORE_URL=sqlite:///store.db\nSTORE_URL=x\n")],
)
def test_doctor_finds_secrets_that_others_may_read(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    file.chmod(0o644)
    open_to_all = _found("Settings")
    file.chmod(0o600)

    closed = _found("Settings")

    assert open_to_all == [
        f"{file} holds store_url, and others on this machine may read it. chmod 600 {file}, or give secrets by ORDERCAST_SECRETS."
    ]
    assert closed == []


def test_doctor_finds_a_folder_of_secrets_that_others_may_enter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o755)
    for name in ("ordercast_store_url", "ordercast_seed"):
        (secrets / name).write_text("5")
        (secrets / name).chmod(0o644)
    monkeypatch.setenv("ORDERCAST_SECRETS", str(secrets))
    monkeypatch.setenv("ORDERCAST_STORE_URL", "sqlite:///store.db")
    open_to_all = _found("Settings")
    secrets.chmod(0o700)

    closed = _found("Settings")

    assert open_to_all == [f"{secrets} holds store_url, and others on this machine may read it. chmod 700 {secrets}."]
    assert closed == []


def test_doctor_asks_the_database_of_dagster(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        free_port = listening.getsockname()[1]
    monkeypatch.setenv("ORDERCAST_DAGSTER_STORE_URL", f"postgresql://dagster:hunter2@127.0.0.1:{free_port}/dagster")

    (found,) = _found("Dagster's history")

    assert found.startswith("the database of ORDERCAST_DAGSTER_STORE_URL did not answer: ")
    assert "hunter2" not in found


def test_the_example_of_the_settings_page_is_one(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", "\n".join(settings_page()), re.DOTALL)
    assert example
    (tmp_path / "ordercast.toml").write_text(example.group(1))

    settings = load_settings()

    assert (settings.time_zone, settings.email_host) == ("Europe/Berlin", "mail.example.com")


def test_the_list_of_settings_names_who_set_them_and_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", "postgresql://shop:hunter2@localhost/shop")
    (tmp_path / "ordercast.toml").write_text("seed = 4\n")

    said = CliRunner().invoke(app, ["settings", "--set", "--json"])

    assert json.loads(said.output) == [
        {"name": "store_url", "value": "(secret, not shown)", "origin": "environment"},
        {"name": "seed", "value": 4, "origin": str(tmp_path / "ordercast.toml")},
    ]
