"""What a merchant deploys with: containers, proxy and supervisor, held against the commands that there are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
import typer.main
import yaml
from dotenv import dotenv_values

from pipelines.cli import answering
from pipelines.cli.answering import Process
from pipelines.cli.app import app
from pipelines.cli.serving import Ports, supervisor_config
from pipelines.settings import PROJECT_ROOT, Settings, load_settings

COMPOSE = yaml.safe_load((PROJECT_ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("ordercast:")}
HEADERS = (
    "Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Permissions-Policy", "Content-Security-Policy",
)  # fmt: skip


def _understood(arguments: list[str]) -> str:
    """The path of the command that takes these arguments; a `UsageError` where none does."""
    command, path = typer.main.get_command(app), []
    context = command.make_context("ordercast", list(arguments), resilient_parsing=False)
    while subcommands := getattr(context.command, "commands", None):
        name, *rest = [*context._protected_args, *context.args]
        path.append(name)
        context = subcommands[name].make_context(name, rest, parent=context)
    return " ".join(path)


@pytest.mark.parametrize("name", OURS)
def test_every_container_runs_a_command_that_there_is(name: str) -> None:
    assert _understood(OURS[name]["command"]) == OURS[name]["command"][0]


@pytest.mark.parametrize("name", [name for name in OURS if name != "migrate"])
def test_every_container_says_whether_it_answers(name: str) -> None:
    _, *command, process = OURS[name]["healthcheck"]["test"]

    assert command == ["python", "-m", answering.__name__]
    assert Process(process) == name.removesuffix("-next")


@pytest.mark.parametrize("name", OURS)
def test_a_container_can_do_no_more_than_it_has_to(name: str) -> None:
    service = OURS[name]

    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


def test_only_the_proxy_is_reached_from_other_machines() -> None:
    open_ports = {
        name: [port for port in service.get("ports", []) if not port.startswith("127.0.0.1:")] for name, service in SERVICES.items()
    }

    assert {name: ports for name, ports in open_ports.items() if ports} == {"proxy": ["80:80", "443:443"]}
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert SERVICES["postgresql"]["networks"] == ["back"]


def test_every_process_has_the_secrets_that_it_needs_and_no_others() -> None:
    given = {
        name: sorted(one if isinstance(one, str) else f"{one['target']} of {one['source']}" for one in service.get("secrets", []))
        for name, service in OURS.items()
    }

    dagster, pages = "ordercast_dagster_store_url of dagster_store_url", "ordercast_store_url of store_url_pages"
    runs, sign_in = "ordercast_store_url of store_url_runs", ["ordercast_oidc_client_secret", "ordercast_oidc_cookie_secret"]
    assert given == {
        "migrate": ["ordercast_store_url of store_url_owner"],
        "code": [dagster, runs],
        "daemon": [dagster],
        "web": [dagster],
        "pages": [*sign_in, pages],
        "pages-next": [*sign_in, pages],
        "exporter": ["ordercast_metrics_token", runs],
    }
    assert "secrets" not in SERVICES["proxy"]


@pytest.mark.parametrize("name", OURS)
def test_every_process_accepts_the_settings_and_secrets_that_it_is_given(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for secret in OURS[name]["secrets"]:
        target = secret if isinstance(secret, str) else secret["target"]
        (tmp_path / target).write_text("postgresql://a:b@c/d" if target.endswith("_url") else token_urlsafe(32), encoding="utf-8")
    values = {"PLATFORM_SITE": "shop.example.com", "PLATFORM_OIDC_METADATA_URL": "https://id.example.com/.well-known/openid-configuration"}
    for variable, value in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{(\w+)[^}]*\}", lambda asked: values.get(asked[1], "ordercast"), value))
    monkeypatch.setenv("ORDERCAST_CONFIG", "")
    monkeypatch.setenv("ORDERCAST_SECRETS", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    settings = load_settings()

    assert settings.has_sign_in == name.startswith("pages")
    assert (settings.store_url is None) == (name in {"daemon", "web"})
    assert (settings.dagster_store_url is None) == (name not in {"code", "daemon", "web"})


def test_every_secret_and_volume_and_file_that_is_used_is_declared() -> None:
    for service in SERVICES.values():
        assert {one if isinstance(one, str) else one["source"] for one in service.get("secrets", [])} <= COMPOSE["secrets"].keys()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            is_there = (PROJECT_ROOT / source).exists() or source in {"./ordercast.toml", "./exchange"}  # a merchant's own
            assert is_there if source.startswith("./") else source in COMPOSE["volumes"]
    targets = {one if isinstance(one, str) else one["target"] for service in OURS.values() for one in service["secrets"]}
    assert {target.removeprefix("ordercast_") for target in targets} <= Settings.model_fields.keys()


def _asked_of_compose() -> set[str]:
    """The variables that `docker compose` puts into the file."""
    return set(re.findall(r"\$\{(\w+)", (PROJECT_ROOT / "compose.yaml").read_text(encoding="utf-8")))


def test_what_compose_asks_for_stands_in_a_file_that_the_program_beside_it_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = re.sub(r"^# (?=PLATFORM_)", "", (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (tmp_path / ".env").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    load_settings()

    assert set(dotenv_values(".env")) >= _asked_of_compose()


def test_compose_starts_nothing_by_a_value_that_somebody_forgot() -> None:
    asked = re.findall(r"\$\{([^}]*)\}", (PROJECT_ROOT / "compose.yaml").read_text(encoding="utf-8"))

    assert [one for one in asked if ":?" not in one] == []


def test_the_image_is_built_from_locked_hashes_and_runs_as_nobody_special() -> None:
    text = (PROJECT_ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = (PROJECT_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert text.count("--require-hashes") == 2
    compiled = re.search(r"compileall -q (.*)$", text, re.MULTILINE)
    assert compiled is not None
    assert [f"!{name}" for name in compiled[1].split()] == [line for line in copied if (PROJECT_ROOT / line[1:] / "__init__.py").is_file()]
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["ordercast"]
    assert copied[0] == "*"  # what is not named stays out: the home folder, secrets, tests
    assert all((PROJECT_ROOT / line[1:]).exists() for line in copied if line.startswith("!"))


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    said = subprocess.run(
        [hadolint, "--failure-threshold", "warning", "Dockerfile"], check=False, cwd=PROJECT_ROOT, capture_output=True, text=True
    )

    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("header", HEADERS)
def test_the_proxy_sends_every_header_that_protects_a_browser(header: str) -> None:
    assert f"\t\t{header} " in (PROJECT_ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["Caddyfile", "compose.Caddyfile"])
def test_the_proxy_takes_its_configuration(name: str, tmp_path: Path) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no caddy on PATH")
    environment = {
        "HOME": str(tmp_path), "ORDERCAST_DAGSTER_USER": "dagster",
        "ORDERCAST_DAGSTER_PASSWORD_HASH": "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG",  # of the word hiccup, in Caddy's manual
    }  # fmt: skip

    arguments = ["validate", "--adapter", "caddyfile", "--config", str(PROJECT_ROOT / "deploy" / name)]
    said = subprocess.run([caddy, *arguments], check=False, env=environment, capture_output=True, text=True)

    assert said.returncode == 0, said.stderr


def test_the_supervisor_starts_the_same_processes_as_the_containers(tmp_path: Path) -> None:
    config = supervisor_config(Settings(home=tmp_path), with_proxy=False)

    programs = {section.removeprefix("program:"): config[section] for section in config.sections() if section.startswith("program:")}
    assert programs.keys() == OURS.keys() - {"migrate"}
    for name, program in programs.items():
        arguments = program["command"].split("pipelines.cli.app ")[1].split()
        assert _understood(arguments) == OURS[name]["command"][0]
        assert "--address" not in arguments
    assert [name for name, program in programs.items() if program["autostart"] == "false"] == ["pages-next"]


def test_the_proxy_is_told_where_browsers_come_and_where_the_pages_are(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, oidc_metadata_url="https://id.example.com/.well-known/openid-configuration", oidc_client_id="ordercast",
        oidc_client_secret=token_urlsafe(), oidc_base_url="https://shop.example.com", oidc_cookie_secret=token_urlsafe(),
    )  # fmt: skip

    config = supervisor_config(settings, with_proxy=True, ports=Ports(pages=8601))

    words = shlex.split(config["program:proxy"]["command"])
    assert words[:5] == [
        "/usr/bin/env", "-i", f"HOME={tmp_path / 'proxy'}", "ORDERCAST_SITE=shop.example.com",
        "ORDERCAST_PAGES=127.0.0.1:8601 127.0.0.1:8602",
    ]  # fmt: skip
    assert "environment" not in config["program:proxy"]
    assert config["program:pages-next"]["command"].endswith("--port 8602")


def test_systemd_takes_the_unit_which_starts_with_the_machine_and_its_network(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    text = (PROJECT_ROOT / "deploy" / "ordercast.service").read_text(encoding="utf-8")
    unit = tmp_path / "ordercast.service"
    unit.write_text(text.replace("/opt/ordercast/current/.venv/bin/ordercast", sys.executable), encoding="utf-8")
    started = re.findall(r"^ExecStart=\S+/ordercast (.*)$", text, re.MULTILINE)
    settings = re.findall(r"ORDERCAST_(\w+)=", text)

    assert [_understood(one.split()) for one in started] == ["serve"]
    assert {name.lower() for name in settings} <= {*Settings.model_fields, "config", "secrets"}
    for line in ("WantedBy=multi-user.target", "Wants=network-online.target", "AmbientCapabilities=CAP_NET_BIND_SERVICE"):
        assert f"\n{line}\n" in text
    if analyze is None:
        pytest.skip("no systemd-analyze on PATH")
    said = subprocess.run([analyze, "verify", str(unit)], check=False, capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, "")


def test_the_first_step_of_a_deployment_sets_up_and_simulates_nothing() -> None:
    make = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(r"^setup: \$\(RUNTIME\) ## .*\n\n", make, re.MULTILINE)
    assert "make run" not in (PROJECT_ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
