from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import pytest

from pipelines.delivery.mail import Mailbox
from pipelines.delivery.targets import open_target
from pipelines.errors import SettingsError
from pipelines.faults.starting import IMPOSSIBLE_SETTING
from pipelines.settings import Settings, load_settings
from pipelines.steps.number_settings import config_hash, number_settings, settings_of

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


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"


@pytest.mark.parametrize(
    ("target", "lacking"),
    [("webhook", "ORDERCAST_WEBHOOK_URL and ORDERCAST_WEBHOOK_SECRET"), ("email", "ORDERCAST_EMAIL_HOST"), ("folder", "OUTBOX_FOLDER")],
)
def test_a_target_without_what_it_needs_refuses_to_start(monkeypatch: pytest.MonkeyPatch, target: str, lacking: str) -> None:
    monkeypatch.setenv("ORDERCAST_OUTBOX_TARGET", target)

    with pytest.raises(SettingsError, match=f"^{IMPOSSIBLE_SETTING.code} ORDERCAST_OUTBOX_TARGET={target} needs .*{lacking}"):
        load_settings()


@pytest.mark.parametrize(
    "url",
    [
        "http://erp.example.com/drafts", "http://10.0.0.7/", "http://localhost.example.com/", "ftp://localhost/", "https:///drafts", "https://",
        "https://user:hunter2@erp.example.com/", "https://erp.example.com/a b", "https://erp.example.com/\r\nx: y", "https://erp.example.com:0/",
        "https://erp.example.com/#x", "https://bad_host/", "https://erp.exämple.com/",
    ],
)  # fmt: skip
def test_a_webhook_that_is_no_https_address_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ORDERCAST_WEBHOOK_URL", url)

    with pytest.raises(SettingsError, match="ORDERCAST_WEBHOOK_URL cannot be as it is") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://erp.example.com:8443/drafts?shop=1", "http://localhost:9000/", "http://127.0.0.1/", "http://[::1]:9/"]
)
def test_plain_http_is_for_this_machine_only(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ORDERCAST_WEBHOOK_URL", url)

    assert load_settings().webhook_url is not None


@pytest.mark.parametrize("secret", ["hunter2", "whsec_hunter2", "whsec_" + "aHVudGVyMg==", "whsec_" + "A" * 88])
def test_a_weak_or_misspelt_secret_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("ORDERCAST_WEBHOOK_SECRET", secret)

    with pytest.raises(SettingsError, match="24 to 64 random bytes") as refused:
        load_settings()
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["orders", "a@b\r\nBcc: c@d", "A <a@example.com>", "a@example.com, b@example.com", "@example.com", "a@-x"]
)
def test_an_address_that_is_more_than_an_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("ORDERCAST_EMAIL_TO", address)

    with pytest.raises(SettingsError, match="ORDERCAST_EMAIL_TO cannot be"):
        load_settings()


@pytest.mark.parametrize(
    ("host", "port", "tls"),
    [
        ("mail.example.com", "587", "starttls"), ("mail.example.com", "25", "starttls"), ("mail.example.com", "465", "implicit"),
        ("localhost", "25", "none"), ("127.0.0.1", "587", "none"), ("10.0.0.7", "25", "starttls"),
    ],
)  # fmt: skip
def test_mail_is_encrypted_unless_the_server_is_this_machine(monkeypatch: pytest.MonkeyPatch, host: str, port: str, tls: str) -> None:
    given = {"OUTBOX_TARGET": "email", "EMAIL_HOST": host, "EMAIL_PORT": port, "EMAIL_FROM": "a@example.com", "EMAIL_TO": "b@example.com"}
    for name, value in given.items():
        monkeypatch.setenv(f"ORDERCAST_{name}", value)

    target = open_target(load_settings())

    assert isinstance(target, Mailbox)
    assert target.tls == tls


def test_a_problem_with_several_settings_tells_none_of_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_EMAIL_PASSWORD", "hunter2")
    monkeypatch.setenv("ORDERCAST_WEBHOOK_SECRET", SECRET)

    with pytest.raises(SettingsError, match="go together") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_where_messages_go_is_no_part_of_what_computed_a_release() -> None:
    assert config_hash(Settings(webhook_honours_key=True, outbox_attempts=3)) == config_hash(Settings())


OIDC = {
    "METADATA_URL": "https://id.example.com/.well-known/openid-configuration", "CLIENT_ID": "pages", "CLIENT_SECRET": "hunter2",
    "BASE_URL": "https://ordercast.example.com", "COOKIE_SECRET": "k3J9-qLx7_Wm2Zp5Rt8Vb1Nc4Yd6Fg0H",
}  # fmt: skip


def configure_sign_in(monkeypatch: pytest.MonkeyPatch, **other: str) -> None:
    for name, value in (OIDC | other).items():
        monkeypatch.setenv(f"ORDERCAST_OIDC_{name}", value)


@pytest.mark.parametrize("name", list(OIDC))
def test_sign_in_is_configured_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    configure_sign_in(monkeypatch)
    monkeypatch.delenv(f"ORDERCAST_OIDC_{name}")

    with pytest.raises(SettingsError, match=f"there is no ORDERCAST_OIDC_{name}") as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_whoever_signs_in_decides_so_no_setting_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_sign_in(monkeypatch)
    monkeypatch.setenv("ORDERCAST_OPERATOR", "ada")

    with pytest.raises(SettingsError, match="ORDERCAST_OPERATOR names who decides where nobody signs in"):
        load_settings()


@pytest.mark.parametrize("name", ["METADATA_URL", "BASE_URL"])
@pytest.mark.parametrize("url", ["http://id.example.com", "id.example.com", "https://a:b@id.example.com", "https://id.example.com/?x=1"])
def test_sign_in_travels_encrypted_or_not_at_all(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    configure_sign_in(monkeypatch, **{name: url})

    with pytest.raises(SettingsError, match=f"ORDERCAST_OIDC_{name} cannot be"):
        load_settings()


def test_pages_are_at_the_root_of_their_host(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_sign_in(monkeypatch, BASE_URL="https://example.com/ordercast")

    with pytest.raises(SettingsError, match="it may hold no path"):
        load_settings()


@pytest.mark.parametrize("secret", ["", "changeme", "x" * 64, "abcabcabcabcabcabcabcabcabcabcabcabc"])
def test_a_cookie_secret_that_can_be_guessed_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    configure_sign_in(monkeypatch, COOKIE_SECRET=secret)

    with pytest.raises(SettingsError, match="ORDERCAST_OIDC_COOKIE_SECRET cannot be as it is: it is at least 32 random") as refused:
        load_settings()
    assert not secret or secret not in str(refused.value)


def test_who_signs_in_is_no_part_of_what_computed_a_release(monkeypatch: pytest.MonkeyPatch) -> None:
    before = config_hash(load_settings())
    configure_sign_in(monkeypatch)

    assert config_hash(load_settings()) == before


def test_settings_that_a_release_keeps_are_read_back_whatever_the_environment_says_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_SERVICE_LEVEL", "0.9")
    monkeypatch.setenv("ORDERCAST_AS_OF", "2026-10-31")
    kept = json.loads(json.dumps(number_settings(load_settings())))
    monkeypatch.setenv("ORDERCAST_SERVICE_LEVEL", "0.6")
    monkeypatch.setenv("ORDERCAST_BUDGET_AMOUNT", "5")

    read = settings_of(kept)

    assert (read.service_level, read.as_of, read.budget_amount) == (0.9, date(2026, 10, 31), None)
    assert number_settings(read) == kept


def test_a_setting_that_a_release_does_not_know_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERCAST_BUDGET_AMOUNT", "5")

    assert settings_of({"seed": 3}).budget_amount is None


def test_what_a_release_keeps_of_the_settings_holds_no_secret_and_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_sign_in(monkeypatch)
    monkeypatch.setenv("ORDERCAST_STORE_URL", "postgresql://ann:hunter2@db/shop")

    kept = number_settings(load_settings())

    assert {"home", "store_url", "operator"} & set(kept) == set()
    assert "SecretStr" not in str(kept)
    assert "*" not in str(kept)
    assert {"service_level", "lost_sales_share", "budget_amount", "review_period_days", "holding_cost_rate", "seed", "time_zone"} <= set(
        kept
    )
