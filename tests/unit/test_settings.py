from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipelines.errors import SettingsError
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ORDERCAST_HOME", "ORDERCAST_STORE_URL", "ORDERCAST_AS_OF", "ORDERCAST_TIME_ZONE"):
        monkeypatch.delenv(name, raising=False)


def test_all_state_lies_in_one_folder_by_default(tmp_path: Path) -> None:
    settings = load_settings()

    assert settings.resolved_store_url == f"sqlite:///{tmp_path / '.ordercast' / 'store.db'}"
    assert settings.warehouse_path == tmp_path / ".ordercast" / "warehouse.duckdb"


def test_an_unknown_setting_refuses_to_start_and_suggests_the_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_SERVICE_LEVL", "0.9")

    with pytest.raises(SettingsError, match="E701 Unknown setting ORDERCAST_SERVICE_LEVL: did you mean ORDERCAST_SERVICE_LEVEL"):
        load_settings()


def test_an_unknown_setting_in_the_env_file_refuses_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ORDERCAST_HOM=elsewhere\n")

    with pytest.raises(SettingsError, match="did you mean ORDERCAST_HOME"):
        load_settings()


@pytest.mark.parametrize("level", ["1.0", "95", "0", "often"])
def test_a_service_level_that_no_stock_can_reach_is_refused(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("ORDERCAST_SERVICE_LEVEL", level)

    with pytest.raises(SettingsError, match="E702 Setting ORDERCAST_SERVICE_LEVEL cannot be"):
        load_settings()


def test_a_zone_that_is_an_abbreviation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_TIME_ZONE", "CEST")

    with pytest.raises(SettingsError, match=r"E703 .*no IANA time zone"):
        load_settings()


def test_a_password_in_the_store_url_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", "postgresql://shop:hunter2@localhost/shop")

    assert "hunter2" not in repr(load_settings())


def test_other_programs_lines_in_the_env_file_are_not_ours(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=secret\nORDERCAST_SEED=7\n")

    assert load_settings().seed == 7
