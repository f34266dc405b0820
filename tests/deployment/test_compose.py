"""`compose.yaml` held against what Docker Compose wants of one, as far as that is known without it; alone, and with a PostgreSQL outside."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from pipelines.settings import PROJECT_ROOT

Compose = dict[str, Any]
TOP = {"name", "services", "networks", "volumes", "secrets"}
SERVICE = {
    "build", "cap_add", "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "init", "logging", "network_mode",
    "networks", "ports", "profiles", "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period", "tmpfs", "volumes",
}  # fmt: skip
WITHIN: dict[str, set[str]] = {
    "healthcheck": {"test", "interval", "timeout", "retries", "start_period"},
    "logging": {"driver", "options"},
}
DEPENDENCY = {"condition", "required", "restart"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
SECRET = {"source", "target"}
# Who has to reach others than our own containers: messages, the sign-in's provider, browsers.
OUTWARD = {"code", "pages", "pages-next", "proxy"}
READS_THE_STORE = {"migrate", "code", "daemon", "web", "pages", "pages-next", "exporter"}


def _read(name: str) -> Compose:
    return yaml.safe_load((PROJECT_ROOT / name).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _with(base: Compose, over: Compose) -> Compose:
    """As Compose joins two files: mappings by key, lists of names together, anything else from the second."""
    joined = dict(base)
    for key, value in over.items():
        there = joined.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            joined[key] = _with(there, value)
        else:
            joined[key] = sorted({*there, *value}) if isinstance(value, list) and isinstance(there, list) else value
    return joined


ALONE = _read("compose.yaml")
EXTERNAL = _with(ALONE, _read("compose.external.yaml"))
BOTH = pytest.mark.parametrize("compose", [ALONE, EXTERNAL], ids=["alone", "external"])


@BOTH
def test_every_key_is_one_that_compose_knows(compose: Compose) -> None:
    unknown = [key for key in compose if key not in TOP and not key.startswith("x-")]
    for name, service in compose["services"].items():
        unknown += [f"{name}.{key}" for key in service if key not in SERVICE]
        unknown += [f"{name}.{part}.{key}" for part, known in WITHIN.items() for key in service.get(part, {}) if key not in known]
        unknown += [f"{name}.depends_on.{key}" for one in service.get("depends_on", {}).values() for key in one if key not in DEPENDENCY]
        unknown += [
            f"{name}.secrets.{key}" for one in service.get("secrets", []) if isinstance(one, dict) for key in one if key not in SECRET
        ]

    assert unknown == []


@BOTH
def test_everything_that_a_service_names_is_there(compose: Compose) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("networks", [])) <= compose["networks"].keys()
        assert {one if isinstance(one, str) else one["source"] for one in service.get("secrets", [])} <= compose["secrets"].keys()
        assert {one.split(":")[0] for one in service.get("volumes", []) if not one.startswith("./")} <= compose["volumes"].keys()
        assert service.get("network_mode", "service:proxy").removeprefix("service:") in services
        assert ("networks" in service) != ("network_mode" in service)
        for dependency in service.get("depends_on", {}).values():
            assert dependency["condition"] in CONDITIONS


@BOTH
def test_what_a_service_waits_for_is_started_and_can_say_that_it_is_ready(compose: Compose) -> None:
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            awaited = compose["services"][other]
            assert "profiles" not in awaited or not how.get("required", True), f"{name} waits for {other}"
            assert "healthcheck" in awaited or how["condition"] != "service_healthy", f"{name} waits for {other}"


@BOTH
def test_no_service_waits_for_itself(compose: Compose) -> None:
    waits = {name: set(service.get("depends_on", {})) for name, service in compose["services"].items()}
    while ready := {name for name, others in waits.items() if not others & waits.keys()}:
        waits = {name: others for name, others in waits.items() if name not in ready}

    assert waits == {}


@BOTH
def test_seconds_and_sizes_are_written_as_compose_reads_them(compose: Compose) -> None:
    spans = [
        str(service["healthcheck"][key])
        for service in compose["services"].values() if "healthcheck" in service
        for key in ("interval", "timeout", "start_period") if key in service["healthcheck"]
    ] + [service["stop_grace_period"] for service in compose["services"].values() if "stop_grace_period" in service]  # fmt: skip

    assert [one for one in spans if not re.fullmatch(r"\d+(s|m)", one)] == []


@pytest.mark.parametrize(("compose", "wanted"), [(ALONE, OUTWARD), (EXTERNAL, OUTWARD | READS_THE_STORE)], ids=["alone", "external"])
def test_who_has_to_reach_others_is_in_a_network_that_leads_out(compose: Compose, wanted: set[str]) -> None:
    services = compose["services"]
    leading_out = {name for name, network in compose["networks"].items() if not network.get("internal", False)}

    def networks(name: str) -> set[str]:
        service = services[name]
        return set(service["networks"]) if "networks" in service else networks(service["network_mode"].removeprefix("service:"))

    assert {name for name in wanted if not networks(name) & leading_out} == set()


def test_with_a_postgresql_outside_none_is_started() -> None:
    assert EXTERNAL["services"]["postgresql"]["profiles"] == ["never"]


def test_imports_and_backups_have_a_folder_of_the_host() -> None:
    assert "./exchange:/exchange" in ALONE["services"]["migrate"]["volumes"]
