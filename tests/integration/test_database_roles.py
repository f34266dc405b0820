"""Least privilege on PostgreSQL, as one matrix, and the real code under these roles."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from psycopg import sql
from pydantic import SecretStr

from pipelines.cli.app import main
from pipelines.cli.doctor import examine
from pipelines.decisions.audit import verify
from pipelines.decisions.roles import Operator, set_operator
from pipelines.decisions.service import decide, preview_all
from pipelines.decisions.upkeep import expire_proposals, follow_shop
from pipelines.errors import StoreUnavailableError
from pipelines.settings import Settings
from pipelines.steps.ingest import ingest
from pipelines.stores import grants
from pipelines.stores.change_feed import install_feed, prune_feed
from pipelines.stores.grants import INGEST, RECOMMENDER, ROLES, WRITER, Role
from pipelines.stores.operational import MIGRATIONS, VERSION_TABLE, OperationalStore
from pipelines.stores.own_tables import metadata
from pipelines.stores.warehouse import open_warehouse
from tests.integration.decision_shop import FIELDS, NOW, change_shop, open_shop, propose_items, rec_ids, request, rows_of, status_of
from tests.integration.kinds_shop import MADE, open_change, open_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipelines.cli.doctor import Finding

    Command = Callable[..., tuple[int, str, str]]

# Per table the rights of ops_ingest, ops_recommender, ops_writer: s select, i insert, u update, d delete, t truncate. A small letter
# in brackets after s or u names the only columns. docs/methods/decisions.md has the same in words.
SHOP = "s - -"
SALES = {"orders": "s[order_id]", "order_lines": "s[order_line_id,order_id,sku,quantity]"}
DELIVERY = "[state,attempts,next_at,is_in_doubt,target,claim,last_error]"
MATRIX = {
    # The shop's: what ops_ingest reads, what a decision reads, where it drafts.
    "customers": SHOP, "payments": SHOP,
    "orders": f"s {SALES['orders']} {SALES['orders']}", "order_lines": f"s {SALES['order_lines']} {SALES['order_lines']}",
    "products": "s s s", "stock_levels": "s s s", "suppliers": "s s s", "supplier_items": "s s s", "fx_rates": "s s s",
    "purchase_orders": "s s siu", "purchase_order_lines": "s s siu", "transfers": "s s siu", "transfer_lines": "s s siu",
    # The feed.
    "feed.change": SHOP, "feed.epoch": SHOP, "feed.mark": "- - -",
    # Ours.
    "ordercast_version": "s s s",
    "merchant": "s s s",
    "metric_target": "s - s", "metric_baseline": "- - s", "forecast_override": "s - siu[withdrawn_at,withdrawn_by]", "operator": "- - s",
    "operator_sign_in": "- - s",
    "policy_rule": "s - siu[reverted_at,reverted_by,revert_reason]",
    "recommendation_run": "- si s", "recommendation": "- siu su[status,version,snoozed_until]",
    "recommendation_explanation": "- sid s", "recommendation_evidence": "- sid s",
    "recommendation_outcome": "- siu s",
    "decision": "- s siu[role,qty_before,qty_after,outcome,result]",
    "audit_log": "- i si", "audit_head": "s su[seq,hash] su[seq,hash]",
    "stock_version": "- siu[version] siu[version]",
    "draft_order": "s s siu[status]",
    "draft_order_line": (
        "s su[status,released_at] "
        "siu[draft_id,line_id,sku,location_id,qty,unit_cost,expected_date,status,drafted_at,released_at]"
    ),
    "purchase_order_change": (
        "s su[status,released_at] "
        "siu[kind,target,po_id,po_line_id,supplier_id,ordered_qty,qty,from_date,to_date,status,drafted_at,released_at]"
    ),
    "order_line_reservation": "s su[status,released_at] siu[target,order_id,open_qty,qty,status,proposed_at,released_at]",
    "exception": (
        "- siu[detail,owner,due_at,resolved_at,resolution,rule_version,title,severity,last_seen_at,last_seen_in,seen_count,probability,"
        "stake_amount,expected_amount,currency_code,basis,link,evidence,acknowledged_at,snoozed_until,resolution_code,raised_message,"
        "resolved_message,verdict,lead_days] "
        "siu[detail,owner,resolved_at,resolution,acknowledged_at,snoozed_until,resolution_code,verdict]"
    ),
    "exception_event": "- si si", "alert_rule": "- s siu[reverted_at,reverted_by,revert_reason]",
    "quarantine_mend": "s - siu[withdrawn_by,withdrawn_at]", "publishing_acceptance": "s - si",
    "access_log": "- - i", "page_use": "- - siu[opened_count]",
    "outbox": f"- siu{DELIVERY} siu{DELIVERY}",
}  # fmt: skip
PERSONAL = {
    "orders": ["order_id", "customer_id", "created_at", "currency"], "order_lines": ["order_line_id", "order_id", "sku", "quantity", "unit_price"],
    "customers": ["customer_id"], "payments": ["payment_id", "invoice_id", "paid_at", "amount"],
}  # fmt: skip


@pytest.fixture
def logins(postgresql_server: str) -> Iterator[dict[Role | str, str]]:
    """Logins that hold nothing by themselves: one for each role, one for runs, and one of the shop's own; gone after their database."""
    names: dict[Role | str, str] = {role: f"login_{role}" for role in ROLES} | {"shop": "login_shop", "runs": "login_runs"}
    granted: dict[Role | str, tuple[Role, ...]] = {role: (role,) for role in ROLES} | {"shop": (), "runs": (INGEST, RECOMMENDER)}
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        for role, name in names.items():
            conn.execute(f"CREATE ROLE {name} LOGIN NOINHERIT" + (f" IN ROLE {', '.join(granted[role])}" if granted[role] else ""))
    yield names
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        for name in names.values():
            conn.execute(f"DROP ROLE {name}")


@pytest.fixture
def url(logins: dict[Role | str, str], request: pytest.FixtureRequest) -> str:
    address: str = request.getfixturevalue("postgresql_url")
    return address


@pytest.fixture
def owner(url: str) -> Iterator[OperationalStore]:
    """The store as who migrates and connects has it, with a table of the shop that holds more than the contract asks for."""
    with OperationalStore.open(url) as store:
        yield store


def under(url: str, login: str) -> str:
    return sa.make_url(url).set(username=login).render_as_string(hide_password=False)


@contextmanager
def working_as(url: str, logins: dict[Role | str, str], role: Role, *, is_read_only: bool = False) -> Iterator[OperationalStore]:
    with OperationalStore.open(under(url, logins[role]), role=role, is_read_only=is_read_only) as store:
        yield store


def is_allowed(conn: psycopg.Connection, statement: str) -> bool:
    """Whether the role may: any other complaint comes after the right was found."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(sql.SQL(statement))
    except psycopg.errors.InsufficientPrivilege:
        return False
    except psycopg.Error:
        return True
    return True


def columns_of(conn: psycopg.Connection, table: str) -> list[str]:
    """The columns that the role may have to do with: of the shop's, those of the contract."""
    found = conn.execute(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum", [table]
    )
    return [name for (name,) in found if name != "email"]


def rights(conn: psycopg.Connection, table: str, columns: list[str]) -> str:
    """The matrix's word for what the current role may do with the table."""
    seen = [name for name in columns if is_allowed(conn, f"SELECT {name} FROM {table} LIMIT 0")]
    word = "" if not seen else "s" if seen == columns else f"s[{','.join(seen)}]"
    word += "i" if is_allowed(conn, f"INSERT INTO {table} DEFAULT VALUES") else ""
    changed = [name for name in columns if is_allowed(conn, f"UPDATE {table} SET {name} = NULL WHERE false")]
    word += "" if not changed else "u" if changed == columns else f"u[{','.join(changed)}]"
    word += "d" if is_allowed(conn, f"DELETE FROM {table} WHERE false") else ""
    word += "t" if is_allowed(conn, f"TRUNCATE {table}") else ""
    return word or "-"


def open_whole_shop(store: OperationalStore) -> list[str]:
    """The decisions' shop with its customers, whose table holds an address that is none of ours, and the feed."""
    store.create_source_tables(PERSONAL)
    change_shop(store, "ALTER TABLE customers ADD COLUMN email text")
    opened = open_shop(store)
    install_feed(store)
    return opened


def test_every_role_may_do_what_the_matrix_says_and_nothing_else(owner: OperationalStore, url: str) -> None:
    open_whole_shop(owner)

    measured: dict[str, list[str]] = {table: [] for table in MATRIX}
    with psycopg.connect(url, autocommit=True) as conn:
        columns = {table: columns_of(conn, table) for table in MATRIX}
        for role in ROLES:
            conn.execute(f"SET ROLE {role}")
            for table in MATRIX:
                measured[table].append(rights(conn, table, columns[table]))
            conn.execute("RESET ROLE")

    assert {table: " ".join(words) for table, words in measured.items()} == MATRIX


def test_every_table_of_ours_has_its_line_in_the_matrix() -> None:
    assert {*metadata.tables, "ordercast_version"} == set(grants.OWN_RIGHTS)
    assert set(grants.OWN_RIGHTS) | {*PERSONAL, *FIELDS, "feed.change", "feed.epoch", "feed.mark"} - {"locations"} == set(MATRIX)


FORBIDDEN = (
    "CREATE TABLE mine (a int)", "CREATE TEMPORARY TABLE mine (a int)", "CREATE SCHEMA mine", "CREATE FUNCTION mine() RETURNS int RETURN 1",
    "ALTER TABLE recommendation ADD COLUMN mine int", "DROP TABLE recommendation", "DROP TRIGGER audit_log_change ON audit_log",
    "ALTER TABLE orders DISABLE TRIGGER ordercast_feed", "SELECT email FROM customers", "SELECT * FROM customers",
    "SELECT 1 FROM access_log", "SET ROLE ops_owner", "UPDATE decision SET actor = 'else'", "UPDATE audit_log SET actor = 'else'",
    "CREATE ROLE mine",
)  # fmt: skip


def test_no_role_creates_anything_or_reads_what_is_not_its_business(
    owner: OperationalStore, url: str, logins: dict[Role | str, str]
) -> None:
    open_whole_shop(owner)

    allowed = []
    for role in ROLES:
        with psycopg.connect(under(url, logins[role]), autocommit=True) as conn:
            conn.execute(f"SET ROLE {role}")
            allowed += [f"{role}: {statement}" for statement in FORBIDDEN if is_allowed(conn, statement)]

    assert allowed == []


def test_a_login_holds_nothing_until_it_takes_its_role(owner: OperationalStore, url: str, logins: dict[Role | str, str]) -> None:
    open_whole_shop(owner)

    with psycopg.connect(under(url, logins[WRITER]), autocommit=True) as conn:
        allowed = [is_allowed(conn, f"SELECT 1 FROM {table}") for table in MATRIX]
        others = [is_allowed(conn, f"SET ROLE {role}") for role in (INGEST, RECOMMENDER, grants.OWNER)]

    assert not any(allowed + others)


def test_what_is_ours_belongs_to_a_role_that_nobody_logs_in_as(owner: OperationalStore) -> None:
    open_whole_shop(owner)

    with owner.transaction(writes=False) as conn:
        found = conn.execute(
            sa.text(
                "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relkind = 'r' AND (relnamespace = 'feed'::regnamespace "
                "OR relname = ANY(:ours)) UNION SELECT proowner::regrole::text FROM pg_proc WHERE prosecdef AND "
                "(pronamespace = 'feed'::regnamespace OR proname LIKE 'ordercast%')"
            ),
            {"ours": list(grants.OWN_RIGHTS)},
        )
        assert [row[0] for row in found] == ["ops_owner"]
        assert conn.execute(sa.text("SELECT bool_or(rolcanlogin) FROM pg_roles WHERE rolname LIKE 'ops\\_%'")).scalar() is False


def test_the_shops_own_logins_keep_their_temporary_tables(owner: OperationalStore, url: str, logins: dict[Role | str, str]) -> None:
    open_whole_shop(owner)

    with psycopg.connect(under(url, logins["shop"]), autocommit=True) as conn:
        assert is_allowed(conn, "CREATE TEMPORARY TABLE mine (a int)")
        assert not is_allowed(conn, "CREATE TABLE mine (a int)")


def test_every_decision_works_under_the_writers_role(owner: OperationalStore, url: str, logins: dict[Role | str, str]) -> None:
    one, two, three, four = open_whole_shop(owner) + more_proposals(owner)
    with working_as(url, logins, WRITER) as store:
        store.migrate()
        preview = preview_all(store, [request(one)], now=NOW)
        approved = decide(store, request(one, decision_id=preview[0].decision_id), now=NOW)
        undone = decide(store, request(one, "undo", version=2), now=NOW)
        again = decide(store, request(one, version=3, qty=72), now=NOW)
        rejected = decide(store, request(two, "reject", reason_code="other", comment="no"), now=NOW)
        change_shop(owner, "UPDATE stock_levels SET on_hand = 4 WHERE sku = 'ITEM-3'")
        stale = decide(store, request(three), now=NOW)
        confirmed = decide(store, request(three, version=2, confirmed_qty=96), now=NOW)
        waiting = decide(store, request(four, actor="pam", qty=600), now=NOW)
        who = store.engine.url.username, taken(store)

    assert (preview[0].outcome, who) == ("approved", (logins[WRITER], WRITER))
    assert [one.outcome for one in (approved, undone, again, rejected, stale, confirmed, waiting)] == [
        "approved", "undone", "approved", "rejected", "stale", "approved", "approved",
    ]  # fmt: skip
    assert sorted(line["ordered_qty"] for line in rows_of(owner, "purchase_order_lines")) == [72, 96, 600]
    assert verify(owner).problems == ()


@pytest.mark.parametrize("is_sent", [False, True])
def test_the_writer_approves_again_what_it_undid_where_the_shop_marks_lines_as_deleted(
    owner: OperationalStore, url: str, logins: dict[Role | str, str], is_sent: bool
) -> None:
    one, two = open_marking_shop(owner)
    with working_as(url, logins, WRITER) as store:
        first = decide(store, request(one), now=NOW)
        if is_sent:  # the rest of the draft goes out before the second approval
            decide(store, request(two), now=NOW)
        undone = decide(store, request(one, "undo", version=2), now=NOW)
        if is_sent:
            change_shop(owner, "UPDATE purchase_orders SET status = 'sent'")
        again = decide(store, request(one, version=3, qty=72), now=NOW)

    line = next(row for row in rows_of(owner, "purchase_order_lines") if row["po_line_id"] == f"RL-{one}")
    assert (first.outcome, undone.outcome, again.outcome) == ("approved", "undone", "approved")
    assert (line["po_id"], line["ordered_qty"], line["is_deleted"]) == (again.draft_id, 72, False)
    assert again.draft_id != first.draft_id


def test_the_writer_moves_no_line_but_one_of_ours_that_was_undone(owner: OperationalStore, url: str, logins: dict[Role | str, str]) -> None:
    one, two = open_marking_shop(owner)
    with working_as(url, logins, WRITER) as store:
        decide(store, request(one), now=NOW)
        decide(store, request(two), now=NOW)
        decide(store, request(two, "undo", version=2), now=NOW)
    change_shop(owner, "INSERT INTO purchase_orders (po_id, supplier_id, status) VALUES ('OTHER', 'SUP', 'draft')")
    change_shop(owner, "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty, is_deleted) "
                       "SELECT 'THEIRS', po_id, 'ITEM-9', 'DC', 5, 0, true FROM purchase_orders WHERE po_id <> 'OTHER'")  # fmt: skip
    move = "UPDATE purchase_order_lines SET po_id = 'OTHER' WHERE po_line_id = '{}'"
    with psycopg.connect(under(url, logins[WRITER]), autocommit=True) as conn:
        conn.execute(f"SET ROLE {WRITER}")
        held = [is_held(conn, move.format(line)) for line in (f"RL-{one}", f"RL-{two}", "THEIRS")]

    assert held == [True, False, True]


def test_runs_propose_follow_and_expire_under_the_recommenders_role(
    owner: OperationalStore, url: str, logins: dict[Role | str, str]
) -> None:
    one, two = open_whole_shop(owner)
    decide(owner, request(one), now=NOW)
    decide(owner, request(two), now=NOW)
    change_shop(owner, "UPDATE draft_order_line SET drafted_at = '2026-06-01' WHERE rec_id = :rec_id", rec_id=two)
    with working_as(url, logins, RECOMMENDER) as store:
        released = follow_shop(store, draft_days=3, now=NOW)
        propose_items(store, ["ITEM-5"], run_id="r2")
        propose_items(store, ["ITEM-6"], run_id="r3")
        change_shop(owner, "UPDATE purchase_orders SET status = 'sent'")
        applied = follow_shop(store, draft_days=3, now=NOW)
        expired = expire_proposals(store, now=datetime(2027, 1, 1))
        who = taken(store)

    assert (released.released, applied.applied, expired, who) == (1, 2, 1, RECOMMENDER)
    assert verify(owner).problems == ()


@pytest.mark.parametrize("kind", ["cancel_po", "allocate"])
def test_changes_and_reservations_are_decided_and_followed_under_their_roles(
    kind: str, owner: OperationalStore, url: str, logins: dict[Role | str, str]
) -> None:
    rec_id = open_shortage(owner) if kind == "allocate" else open_change(owner, kind)
    install_feed(owner)

    with working_as(url, logins, WRITER) as store:
        approved = decide(store, request(rec_id), now=NOW)
        undone = decide(store, request(rec_id, "undo", version=2), now=NOW)
        decide(store, request(rec_id, version=3), now=NOW)
    change_shop(owner, "UPDATE orders SET closed_at = now()" if kind == "allocate" else MADE[kind])
    with working_as(url, logins, RECOMMENDER) as store:
        followed = follow_shop(store, draft_days=3, now=NOW)

    assert (approved.outcome, undone.outcome, followed.closed) == ("approved", "undone", 1)


def test_a_recommender_cannot_decide(owner: OperationalStore, url: str, logins: dict[Role | str, str]) -> None:
    one, _ = open_whole_shop(owner)
    with working_as(url, logins, RECOMMENDER) as store, pytest.raises(StoreUnavailableError, match="permission denied for table decision"):
        decide(store, request(one), now=NOW)

    assert status_of(owner, one) == ("proposed", 1)


def test_ingest_reads_and_prunes_under_its_role(owner: OperationalStore, url: str, logins: dict[Role | str, str], tmp_path: Path) -> None:
    open_whole_shop(owner)
    change_shop(owner, "INSERT INTO customers (customer_id, email) VALUES ('C1', 'c1@example.org')")
    change_shop(owner, "INSERT INTO orders VALUES ('O1', '2026-06-30', 'EUR', 'C1')")
    settings = Settings(home=tmp_path / "home")
    with working_as(url, logins, INGEST) as store, open_warehouse(settings.warehouse_path) as warehouse:
        first = ingest(store, warehouse, run_id="r1", settings=settings)
        change_shop(owner, "UPDATE orders SET currency = 'EUR' WHERE order_id = 'O1'")
        second = ingest(store, warehouse, run_id="r2", settings=settings)
        who, raw = taken(store), orders_in(warehouse)
        removed = sum(prune_feed(store, now=datetime(year, 1, 1, tzinfo=UTC)) for year in (2030, 2031))

    assert (first.is_full_resync, second.is_full_resync, who, raw) == (True, False, INGEST, 1)
    assert removed > 0


def test_the_writer_removes_no_line_but_a_draft_of_ours(owner: OperationalStore, url: str, logins: dict[Role | str, str]) -> None:
    one, two = open_whole_shop(owner)
    lines = [decide(owner, request(rec_id), now=NOW).line_id for rec_id in (one, two)]
    change_shop(owner, "INSERT INTO purchase_order_lines (po_line_id, po_id, sku, location_id, ordered_qty, received_qty) "
                       "SELECT 'THEIRS', po_id, 'ITEM-9', 'DC', 5, 0 FROM purchase_orders")  # fmt: skip
    remove = "SELECT ordercast_remove_draft_line(%s, NULL)"
    with psycopg.connect(under(url, logins[WRITER]), autocommit=True) as conn:
        conn.execute(f"SET ROLE {WRITER}")
        for line in ("THEIRS", lines[0]):
            conn.execute(remove, [line])
        change_shop(owner, "UPDATE purchase_orders SET status = 'sent'")
        conn.execute(remove, [lines[1]])

    assert {line["po_line_id"] for line in rows_of(owner, "purchase_order_lines")} == {"THEIRS", lines[1]}


def test_the_writer_submits_nothing_and_touches_no_order_that_was_submitted(
    owner: OperationalStore, url: str, logins: dict[Role | str, str]
) -> None:
    one, _ = open_whole_shop(owner)
    decide(owner, request(one), now=NOW)
    tried = (
        "UPDATE purchase_orders SET status = 'sent'",
        "UPDATE purchase_order_lines SET ordered_qty = 6000",
        "UPDATE purchase_order_lines SET po_id = 'THEIRS'",
        "INSERT INTO purchase_orders (po_id, supplier_id, status) VALUES ('MINE', 'SUP', 'sent')",
    )
    with psycopg.connect(under(url, logins[WRITER]), autocommit=True) as conn:
        conn.execute(f"SET ROLE {WRITER}")
        drafted = [is_held(conn, statement) for statement in tried]
        change_shop(owner, "UPDATE purchase_orders SET status = 'sent'")
        sent = [is_held(conn, statement) for statement in (*tried, "UPDATE purchase_orders SET status = 'draft'")]

    assert drafted == [True, False, True, True]  # the quantity of a draft may change
    assert sent == [True] * 5


def is_held(conn: psycopg.Connection, statement: str) -> bool:
    """Whether the database holds the role to drafts."""
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(sql.SQL(statement))
    except psycopg.errors.IntegrityConstraintViolation as exc:
        return "only drafts" in str(exc)
    return False


def test_who_is_no_superuser_migrates_their_own_database_and_decides_in_it(
    url: str, logins: dict[Role | str, str], caplog: pytest.LogCaptureFixture
) -> None:
    name = sa.make_url(url).database
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("DROP SCHEMA public CASCADE; DROP SCHEMA feed CASCADE")
        conn.execute(f"ALTER DATABASE {name} OWNER TO {logins['shop']}; CREATE SCHEMA public AUTHORIZATION {logins['shop']}")
    with caplog.at_level(logging.WARNING), OperationalStore.open(under(url, logins["shop"]), role=WRITER) as store:
        store.migrate()
        rec_id, _ = open_shop(store)
        install_feed(store)
        outcome = decide(store, request(rec_id), now=NOW).outcome
    with working_as(url, logins, WRITER) as writer:
        outcomes = outcome, decide(writer, request(rec_id, "undo", version=2), now=NOW).outcome

    assert outcomes == ("approved", "undone")
    assert not caplog.messages
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"REASSIGN OWNED BY {logins['shop']} TO CURRENT_USER")


@pytest.fixture
def server_without_roles(postgresql_server: str, url: str) -> Iterator[None]:
    """The roles that other databases know have other names meanwhile; those made in the test are gone after it."""
    names = (*ROLES, grants.OWNER)
    with psycopg.connect(postgresql_server, autocommit=True) as conn:
        for name in names:
            conn.execute(f"ALTER ROLE {name} RENAME TO kept_{name}")
    yield
    with psycopg.connect(url, autocommit=True) as conn:
        for name in names:
            if conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                conn.execute(f"DROP OWNED BY {name} CASCADE")
                conn.execute(f"DROP ROLE {name}")
            conn.execute(f"ALTER ROLE kept_{name} RENAME TO {name}")


@pytest.mark.usefixtures("server_without_roles")
def test_who_is_no_superuser_but_may_create_roles_migrates_back_and_up_again(
    url: str, logins: dict[Role | str, str], caplog: pytest.LogCaptureFixture
) -> None:
    name, shop = sa.make_url(url).database, logins["shop"]
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"DROP SCHEMA public CASCADE; DROP SCHEMA feed CASCADE; ALTER ROLE {shop} CREATEROLE")
        conn.execute(f"ALTER DATABASE {name} OWNER TO {shop}; CREATE SCHEMA public AUTHORIZATION {shop}")
    standing = []
    with caplog.at_level(logging.WARNING), OperationalStore.open(under(url, shop)) as store:
        store.migrate()
        open_shop(store)
        install_feed(store)
        standing.append(roles_and_rights(store))
        for version in ("0005", "0003"):
            store.migrate(to=version)
            standing.append(roles_and_rights(store))
        store.migrate()
        standing.append(roles_and_rights(store))
        for actor, role in (("ada", "admin"), ("ann", "approver")):
            set_operator(store, Operator(actor, role), by="ada")  # type: ignore[arg-type]
        propose_items(store, ["ITEM-1"])
        rec_id = rec_ids(store, ["ITEM-1"])[0]
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(f"GRANT {WRITER} TO {logins[WRITER]}")
        with working_as(url, logins, WRITER) as writer:
            outcome = decide(writer, request(rec_id), now=NOW).outcome

    assert standing == [(4, True), (0, False), (0, False), (4, True)]
    assert outcome == "approved"
    assert not caplog.messages
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(f"REASSIGN OWNED BY {shop} TO CURRENT_USER")


def roles_and_rights(store: OperationalStore) -> tuple[int, bool]:
    """How many of the roles there are, and whether one of them has a right or a thing in this database."""
    with store.transaction(writes=False) as conn:
        known: list[int] = list(conn.execute(sa.text("SELECT oid FROM pg_roles WHERE starts_with(rolname, 'ops_')")).scalars())
        held: int = conn.execute(
            sa.text("SELECT count(*) FROM pg_shdepend WHERE refobjid = ANY(:known) AND dbid <> 0"), {"known": known}
        ).scalar_one()
    return len(known), held > 0


def test_who_may_not_create_roles_is_told_how_they_come_to_be(
    url: str, logins: dict[Role | str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(grants, "_missing_roles", lambda _conn: ["ops_writer", "ops_owner"])
    with OperationalStore.open(under(url, logins["shop"])) as store, store.transaction() as conn, caplog.at_level(logging.WARNING):
        grants.create_roles(conn)

    assert "CREATE ROLE ops_writer NOLOGIN; CREATE ROLE ops_owner NOLOGIN" in caplog.text


def test_the_migration_takes_the_rights_back_and_gives_them_again(owner: OperationalStore, url: str) -> None:
    open_whole_shop(owner)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["version_table"] = VERSION_TABLE

    def measured() -> str:
        with psycopg.connect(url, autocommit=True) as conn:
            columns = {table: columns_of(conn, table) for table in ("purchase_orders", "stock_version")}
            conn.execute(f"SET ROLE {WRITER}")
            return "".join(rights(conn, table, names) for table, names in columns.items())

    with owner.transaction() as conn:
        config.attributes["connection"] = conn
        command.downgrade(config, "0004")
    without = measured()
    owner.migrate()

    assert (without, measured()) == ("--", "siusiu[version]")


@pytest.fixture
def ordercast(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """The command line under a login."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "400")

    def run(login: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("ORDERCAST_STORE_URL", under(url, login))
        monkeypatch.setattr(sys, "argv", ["ordercast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_a_login_for_runs_reconciles_lists_and_hears_which_login_a_look_wants(
    owner: OperationalStore, logins: dict[Role | str, str], ordercast: Command, caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = open_whole_shop(owner)
    change_shop(owner, "INSERT INTO orders VALUES ('O1', '2026-06-30', 'EUR', 'C1')")
    compared = ordercast(logins["runs"], "reconcile")
    listed = ordercast(logins["runs"], "recommendations", "--json")
    waiting = ordercast(logins["runs"], "outbox")
    scoped = ordercast(logins["runs"], "recommendations", "--actor", "pam")
    decided = ordercast(logins["runs"], "decide", "approve", one, "--actor", "ann")

    assert (compared[0], listed[0], waiting[0]) == (0, 0, 0), (compared, listed, waiting)
    assert [row["sku"] for row in json.loads(listed[1])] == ["ITEM-1", "ITEM-2"]
    assert "missing from the access log" in caplog.text  # which only who decides may write: the list leaves, with a warning
    for code, _, said in (scoped, decided):
        assert code
        assert "give ORDERCAST_STORE_URL the login that this command wants (docs/methods/decisions.md)" in said


def test_the_doctor_sees_lost_triggers_or_says_under_which_login_it_could_not_look(
    owner: OperationalStore, url: str, logins: dict[Role | str, str], tmp_path: Path
) -> None:
    open_whole_shop(owner)
    change_shop(owner, "ALTER TABLE orders DISABLE TRIGGER USER")

    def found(login: str) -> dict[str, Finding]:
        settings = Settings(home=tmp_path / "home", store_url=SecretStr(under(url, login)))
        return {finding.subject: finding for finding in examine(settings)}

    runs, pages, ingests = found(logins["runs"]), found(logins[WRITER]), found(logins[INGEST])

    assert runs["Operational store"].is_fine
    assert "Outbox" not in runs
    assert runs["Change feed"].detail == "the triggers of orders are missing or disabled."
    assert not pages["Change feed"].is_fine
    assert pages["Change feed"].detail.startswith("could not be looked at as the login login_ops_writer: ")
    assert pages["Change feed"].remedy == "A login that was granted ops_ingest may look."
    assert ingests["Outbox"].remedy == "A login that was granted ops_writer or ops_recommender may look."


def test_the_doctor_marks_a_superuser_whom_no_role_binds(
    owner: OperationalStore, url: str, logins: dict[Role | str, str], tmp_path: Path
) -> None:
    owner.migrate()

    def found(address: str) -> list[Finding]:
        return [one for one in examine(Settings(home=tmp_path / "home", store_url=SecretStr(address))) if one.subject == "Login"]

    superuser, runs = found(url), found(under(url, logins["runs"]))

    assert [one.is_fine for one in superuser] == [False]
    assert runs == []


def open_marking_shop(store: OperationalStore) -> list[str]:
    """The decisions' shop, whose orders and lines are marked as deleted instead of removed."""
    store.create_source_tables({table: [*FIELDS[table], "is_deleted"] for table in grants.ORDER_TABLES})
    return open_whole_shop(store)


def more_proposals(store: OperationalStore) -> list[str]:
    propose_items(store, [f"ITEM-{number}" for number in range(1, 5)])
    return rec_ids(store, ["ITEM-3", "ITEM-4"])


def taken(store: OperationalStore) -> str:
    with store.transaction(writes=False) as conn:
        return str(conn.execute(sa.text("SELECT current_user")).scalar())


def orders_in(warehouse: duckdb.DuckDBPyConnection) -> int:
    return int(warehouse.execute("SELECT count(*) FROM raw.orders").fetchall()[0][0])
