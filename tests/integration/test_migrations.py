"""Our own tables go forward and back through every version, and a program meets tables that a newer one has migrated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.errors import ContractError
from pipelines.stores.operational import VERSION_TABLE, OperationalStore, migrations, newest_migration

if TYPE_CHECKING:
    from collections.abc import Mapping

FROM = "0014"  # versions after this one hold to the rule that going forward only adds


def _shape(store: OperationalStore) -> Mapping[str, object]:
    """Tables with their columns, types and indexes, and triggers: what a version consists of."""
    inspector = sa.inspect(store.engine)
    shape: dict[str, object] = {
        table: (
            sorted((column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)),
            sorted(str(index["name"]) for index in inspector.get_indexes(table)),
        )
        for table in inspector.get_table_names()
    }
    named = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        if store.dialect == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    with store.transaction(writes=False) as conn:
        shape["triggers"] = sorted(row[0] for row in conn.execute(sa.text(named)))
    return shape


def test_every_version_is_reached_by_going_back_and_by_going_forward_alike(store: OperationalStore) -> None:
    back: dict[str, Mapping[str, object]] = {}
    for version in reversed(migrations()):
        store.migrate(to=version)
        back[version] = _shape(store)
    forward: dict[str, Mapping[str, object]] = {}
    for version in migrations():
        store.migrate(to=version)
        forward[version] = _shape(store)

    assert [version for version in migrations() if back[version] != forward[version]] == []


def test_tables_that_a_newer_program_migrated_are_worked_with_and_left_as_they_are(store: OperationalStore) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    store.migrate()

    assert store.migration() == "9999"
    assert store.is_migrated()


@pytest.mark.parametrize("version", ["9999", "none"])
def test_a_version_nobody_knows_is_refused(store: OperationalStore, version: str) -> None:
    with pytest.raises(ContractError, match=f"knows no version {version}"):
        store.migrate(to=version)

    assert store.migration() == newest_migration()


def test_going_back_from_a_newer_program_is_left_to_that_program(store: OperationalStore) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))

    with pytest.raises(ContractError, match="migrate with the program that made it"):
        store.migrate(to="0013")


def test_a_program_of_the_version_before_can_work_on_after_going_forward(store: OperationalStore) -> None:
    """Nothing that it reads is gone or of another type, and what it writes is taken: no new demand on a row it knows nothing of."""
    for version in [one for one in migrations() if one > FROM]:
        older = migrations()[migrations().index(version) - 1]
        store.migrate(to=older)
        before = _columns(store)
        store.migrate(to=version)
        after = _columns(store)

        assert before.keys() - after.keys() == set(), version
        assert {name for name, column in before.items() if str(after[name]["type"]) != str(column["type"])} == set(), version
        assert {name for name, column in before.items() if column["nullable"] and not after[name]["nullable"]} == set(), version
        tables = {table for table, _ in before}
        added = {name: column for name, column in after.items() if name not in before and name[0] in tables}
        assert {name for name, column in added.items() if not column["nullable"] and column["default"] is None} == set(), version


def _columns(store: OperationalStore) -> dict[tuple[str, str], Mapping[str, Any]]:
    inspector = sa.inspect(store.engine)
    return {(table, column["name"]): dict(column) for table in inspector.get_table_names() for column in inspector.get_columns(table)}


def test_going_back_asks_and_says_what_is_dropped(monkeypatch: pytest.MonkeyPatch, store_url: str) -> None:
    monkeypatch.setenv("ORDERCAST_STORE_URL", store_url)

    refused = CliRunner().invoke(app, ["migrate", "--to", "0012"])
    gone = CliRunner().invoke(app, ["migrate", "--to", "0012", "--yes"])
    back = CliRunner().invoke(app, ["migrate", "--json"])

    assert f"drops what came with {', '.join(version for version in migrations() if version > '0012')}," in str(refused.exception)
    assert "-> 0012" in gone.output
    assert f'"after": "{newest_migration()}"' in back.output
