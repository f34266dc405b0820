"""Going back to an older release as a decision: by an admin, with a reason, on record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.serving import serve_release
from pipelines.errors import DecisionError, NotPermittedError, ReleaseError
from pipelines.stores.own_tables import audit_log
from pipelines.stores.releases import served_id
from tests.integration.test_releases import publish_one

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.operational import OperationalStore

OLD, NEW = "20261101T060000-aaaaaa", "20261102T060000-bbbbbb"


@pytest.fixture
def releases(store: OperationalStore, tmp_path: Path) -> Path:
    """Two releases, the newer served; ada is admin, pam is planner."""
    set_operator(store, Operator("ada", "admin", None, None, None), by="ada")
    set_operator(store, Operator("pam", "planner", None, None, None), by="ada")
    publish_one(tmp_path, OLD)
    publish_one(tmp_path, NEW)
    return tmp_path / "releases"


def test_an_admin_goes_back_and_the_audit_log_says_why(store: OperationalStore, releases: Path) -> None:
    serve_release(store, releases, OLD, reason="Prices were wrong", actor="ada")

    assert served_id(releases) == OLD
    with store.transaction(writes=False) as conn:
        last = conn.execute(sa.select(audit_log).order_by(audit_log.c.seq.desc())).mappings().first()
    assert last is not None
    assert (last["actor"], json.loads(last["before"]), json.loads(last["after"])) == (
        "ada", {"release": NEW}, {"release": OLD, "reason": "Prices were wrong"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("release_id", "reason", "actor", "error"),
    [
        (OLD, "Prices were wrong", "pam", NotPermittedError),
        (OLD, " ", "ada", DecisionError),
        ("20200101T000000-cccccc", "Typo", "ada", ReleaseError),
    ],
)
def test_nothing_is_served_and_nothing_recorded_where_it_is_refused(
    store: OperationalStore, releases: Path, release_id: str, reason: str, actor: str, error: type[Exception]
) -> None:
    with store.transaction(writes=False) as conn:
        before = conn.execute(sa.select(sa.func.count()).select_from(audit_log)).scalar()

    with pytest.raises(error):
        serve_release(store, releases, release_id, reason=reason, actor=actor)

    assert served_id(releases) == NEW
    with store.transaction(writes=False) as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(audit_log)).scalar() == before
