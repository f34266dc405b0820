"""Database roles on PostgreSQL: what each part of the platform may do, whoever runs it. SQLite has no roles.

Roles belong to the server and rights to a database, so two merchants on one server share the names and nothing else, as long as a
merchant's logins may connect to that merchant's database only.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from pipelines.stores.connections import connect_seconds, postgresql_options, translated_errors
from pipelines.stores.source_rows import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Role = Literal["ops_ingest", "ops_recommender", "ops_writer"]
INGEST: Final[Role] = "ops_ingest"  # reads the shop and its changes
RECOMMENDER: Final[Role] = "ops_recommender"  # proposes, and follows what became of proposals
WRITER: Final[Role] = "ops_writer"  # decides for a person, and reads for one
OWNER: Final = "ops_owner"  # owns what is ours; nobody logs in as it
ROLES: Final[tuple[Role, ...]] = (INGEST, RECOMMENDER, WRITER)

_ALL: Final = ", ".join(ROLES)
_NAMES: Final = ", ".join(f"'{name}'" for name in ROLES)
_BOTH: Final = f"{RECOMMENDER}, {WRITER}"
_DELIVERY: Final = "UPDATE (state, attempts, next_at, is_in_doubt, target, claim, last_error)"
_FOLLOWED: Final = "UPDATE (status, released_at)"
_CHANGE: Final = "kind, target, po_id, po_line_id, supplier_id, ordered_qty, qty, from_date, to_date, status, drafted_at, released_at"
_SETTLED: Final = "detail, resolved_at, resolution, resolution_code, owner, acknowledged_at, snoozed_until, verdict"
_SEEN: Final = (
    f"{_SETTLED}, rule_version, title, severity, due_at, last_seen_at, last_seen_in, seen_count, probability, stake_amount, "
    "expected_amount, currency_code, basis, link, evidence, raised_message, resolved_message, lead_days"
)
_RESERVATION: Final = "target, order_id, open_qty, qty, status, proposed_at, released_at"
# Who may what on our own tables. No line, no right: a table that a later migration adds needs its line here and in the test's matrix.
OWN_RIGHTS: Final[dict[str, dict[str, str]]] = {
    "ordercast_version": {_ALL: "SELECT"},
    "merchant": {_ALL: "SELECT"},
    "metric_target": {f"{INGEST}, {WRITER}": "SELECT"},
    "metric_baseline": {WRITER: "SELECT"},
    "forecast_override": {INGEST: "SELECT", WRITER: "SELECT, INSERT, UPDATE (withdrawn_at, withdrawn_by)"},
    "policy_rule": {INGEST: "SELECT", WRITER: "SELECT, INSERT, UPDATE (reverted_at, reverted_by, revert_reason)"},
    "alert_rule": {RECOMMENDER: "SELECT", WRITER: "SELECT, INSERT, UPDATE (reverted_at, reverted_by, revert_reason)"},
    "operator": {WRITER: "SELECT"},
    "operator_sign_in": {WRITER: "SELECT"},
    "recommendation_run": {RECOMMENDER: "SELECT, INSERT", WRITER: "SELECT"},
    "recommendation": {RECOMMENDER: "SELECT, INSERT, UPDATE", WRITER: "SELECT, UPDATE (status, version, snoozed_until)"},
    "recommendation_explanation": {RECOMMENDER: "SELECT, INSERT, DELETE", WRITER: "SELECT"},
    "recommendation_evidence": {RECOMMENDER: "SELECT, INSERT, DELETE", WRITER: "SELECT"},
    "recommendation_outcome": {RECOMMENDER: "SELECT, INSERT, UPDATE", WRITER: "SELECT"},
    "decision": {RECOMMENDER: "SELECT", WRITER: "SELECT, INSERT, UPDATE (role, qty_before, qty_after, outcome, result)"},
    "audit_log": {RECOMMENDER: "INSERT", WRITER: "SELECT, INSERT"},
    "audit_head": {INGEST: "SELECT", _BOTH: "SELECT, UPDATE (seq, hash)"},
    "stock_version": {_BOTH: "SELECT, INSERT, UPDATE (version)"},
    "draft_order": {f"{INGEST}, {RECOMMENDER}": "SELECT", WRITER: "SELECT, INSERT, UPDATE (status)"},
    "draft_order_line": {
        INGEST: "SELECT",
        RECOMMENDER: "SELECT, UPDATE (status, released_at)",
        WRITER: "SELECT, INSERT, UPDATE (draft_id, line_id, sku, location_id, qty, unit_cost, expected_date, status, drafted_at, "
        "released_at)",
    },
    "purchase_order_change": {INGEST: "SELECT", RECOMMENDER: f"SELECT, {_FOLLOWED}", WRITER: f"SELECT, INSERT, UPDATE ({_CHANGE})"},
    "order_line_reservation": {INGEST: "SELECT", RECOMMENDER: f"SELECT, {_FOLLOWED}", WRITER: f"SELECT, INSERT, UPDATE ({_RESERVATION})"},
    "exception": {RECOMMENDER: f"SELECT, INSERT, UPDATE ({_SEEN})", WRITER: f"SELECT, INSERT, UPDATE ({_SETTLED})"},
    "exception_event": {_BOTH: "SELECT, INSERT"},
    "quarantine_mend": {INGEST: "SELECT", WRITER: "SELECT, INSERT, UPDATE (withdrawn_at, withdrawn_by)"},
    "publishing_acceptance": {INGEST: "SELECT", WRITER: "SELECT, INSERT"},
    "access_log": {WRITER: "INSERT"},
    "page_use": {WRITER: "SELECT, INSERT, UPDATE (opened_count)"},
    "outbox": {RECOMMENDER: f"SELECT, INSERT, {_DELIVERY}", WRITER: f"SELECT, INSERT, {_DELIVERY}"},
}  # fmt: skip
# Of the shop's tables only the columns of the contract, and for decisions only the tables that these are about.
ORDER_TABLES: Final = ("purchase_orders", "purchase_order_lines", "transfers", "transfer_lines")
# Of customers' orders a decision knows what is still to be sent, and neither whose they are nor what they cost.
SALES_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "orders": ("order_id", "cancelled_at", "closed_at", "is_deleted"),
    "order_lines": ("order_line_id", "order_id", "sku", "quantity", "fulfillable_quantity", "is_deleted"),
    "shipments": ("shipment_id", "status", "shipped_at", "delivered_at", "is_deleted"),
    "shipment_lines": ("shipment_id", "order_line_id", "quantity", "is_deleted"),
}
DECISION_TABLES: Final = ("stock_levels", "supplier_items", "suppliers", "products", "fx_rates", *ORDER_TABLES, *SALES_COLUMNS)
_DRAFTS: Final = "ordercast_drafts_only"
_LINE_TABLES: Final = ("purchase_order_lines", "transfer_lines")
_FUNCTIONS: Final = (
    f"GRANT USAGE ON SCHEMA feed TO {INGEST}",
    f"GRANT USAGE, CREATE ON SCHEMA feed TO {OWNER}",
    f"GRANT SELECT ON feed.change, feed.epoch TO {INGEST}",
    f"GRANT EXECUTE ON FUNCTION feed.prune(timestamptz, timestamptz) TO {INGEST}",
    f"GRANT EXECUTE ON FUNCTION ordercast_remove_draft_line(text, text) TO {WRITER}",
)
# REASSIGN OWNED and DROP OWNED are for members of the roles only: who may migrate goes by what the catalogue says depends on them.
_DEPENDS: Final = "SELECT objid FROM pg_shdepend WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
_TAKE_BACK: Final = f"""
DO $$ DECLARE statement text; BEGIN
  FOR statement IN
    SELECT 'ALTER TABLE ' || oid::regclass || ' OWNER TO CURRENT_USER' FROM pg_class
    WHERE relkind = 'r' AND relowner = '{OWNER}'::regrole AND pg_has_role(relowner, 'USAGE')
    UNION ALL
    SELECT 'ALTER FUNCTION ' || oid::regprocedure || ' OWNER TO CURRENT_USER' FROM pg_proc
    WHERE proowner = '{OWNER}'::regrole AND pg_has_role(proowner, 'USAGE')
  LOOP EXECUTE statement; END LOOP;
END $$"""
_REVOKE: Final = f"""
DO $$ DECLARE statement text; BEGIN
  FOR statement IN
    WITH given AS ({_DEPENDS} AND deptype = 'a' AND refobjid IN (SELECT oid FROM pg_roles WHERE rolname IN ({_NAMES}, '{OWNER}')))
    SELECT 'REVOKE ALL ON ' || oid::regclass || ' FROM {_ALL}, {OWNER}' FROM pg_class
    WHERE oid IN (TABLE given) AND pg_has_role(relowner, 'USAGE')
    UNION ALL
    SELECT 'REVOKE ALL ON FUNCTION ' || oid::regprocedure || ' FROM {_ALL}, {OWNER}' FROM pg_proc
    WHERE oid IN (TABLE given) AND pg_has_role(proowner, 'USAGE')
    UNION ALL
    SELECT 'REVOKE ALL ON SCHEMA ' || quote_ident(nspname) || ' FROM {_ALL}, {OWNER}' FROM pg_namespace
    WHERE oid IN (TABLE given) AND pg_has_role(nspowner, 'USAGE')
  LOOP EXECUTE statement; END LOOP;
END $$"""
_LOG: Final = logging.getLogger("ordercast.grants")
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('ordercast.migrate'))"
_IS_SUPERUSER: Final = "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"


def take_role(url: sa.URL, *wanted: Role) -> sa.URL:
    """The address with the first of these roles that its user was granted, which its sessions begin under; else as it is.

    A superuser was granted nothing and is bound by nothing, so it takes no role.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    if not wanted or url.get_backend_name() == "sqlite":
        return url
    arguments = {"options": postgresql_options(url), "connect_timeout": connect_seconds(url)}
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
    with translated_errors(url), engine.connect() as conn:
        kind = "SET" if conn.exec_driver_sql("SHOW server_version_num").scalar_one() >= "160000" else "MEMBER"
        found = conn.exec_driver_sql(
            f"SELECT rolname FROM pg_roles WHERE rolname IN ({_NAMES}) AND pg_has_role(oid, '{kind}') AND NOT {_IS_SUPERUSER}"
        )
        granted = {str(name) for (name,) in found}
    role = next((role for role in wanted if role in granted), None)
    return url if role is None else url.update_query_dict({"options": f"{postgresql_options(url)} -c role={role}"})


def is_superuser(conn: sa.Connection) -> bool:
    """Whether no role and no right binds this session."""
    return bool(conn.exec_driver_sql(f"SELECT {_IS_SUPERUSER}").scalar())


def create_roles(conn: sa.Connection) -> None:
    """The four roles exist; where this user may not create them, one sentence says how they come to be."""
    if missing := _missing_roles(conn):
        if not conn.exec_driver_sql(f"SELECT rolcreaterole OR {_IS_SUPERUSER} FROM pg_roles WHERE rolname = current_user").scalar():
            _LOG.warning(
                "Without database roles, because this user may not create them: have an administrator run \"%s\", then run "
                "`ordercast connect` again.", "; ".join(f"CREATE ROLE {name} NOLOGIN" for name in missing),
            )  # fmt: skip
            return
        for name in missing:
            # Another database's migration may create it at this moment.
            conn.exec_driver_sql(
                f"DO $$ BEGIN CREATE ROLE {name} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        if not is_superuser(conn):
            conn.exec_driver_sql(f"GRANT {OWNER} TO CURRENT_USER")  # who migrates goes on owning what is ours


def grant_rights(conn: sa.Connection, types: Mapping[str, Collection[str]]) -> None:
    """Every role has the rights above and no others in this database, and what is ours belongs to the owner's role.

    Runs again whenever tables may have come: after a migration, and when the feed is installed. What this user may not grant is
    left, and one sentence names it.

    Args:
        conn: A transaction, not under a role.
        types: The contract's columns that each of the shop's tables has.
    """
    if conn.dialect.name != "postgresql" or _missing_roles(conn):
        return
    conn.exec_driver_sql(_LOCK)
    left = _close_to_public(conn)
    ours = _grantable(conn, OWN_RIGHTS)
    shops = _grantable(conn, types)
    statements = []
    if conn.exec_driver_sql("SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = current_schema()").scalar():
        statements += [f"GRANT USAGE ON SCHEMA {_schema(conn)} TO {_ALL}", f"GRANT USAGE, CREATE ON SCHEMA {_schema(conn)} TO {OWNER}"]
    for table in sorted(ours):
        statements += _own_statements(table)
    if "recommendation" in ours:
        statements += _FUNCTIONS
    for table in sorted(shops):
        statements += _source_statements(table, sorted(types[table]))
    if statements:
        conn.exec_driver_sql("; ".join(statements))
    _hand_to_owner(conn)
    if left := [*left, *sorted({*types} - shops)]:
        _LOG.warning("The database roles lack rights on %s: run `ordercast connect` as the owner of these.", ", ".join(left))


def drop_roles(conn: sa.Connection) -> None:
    """The roles have no right in this database any more, and are gone where no other database gives them any."""
    if _missing_roles(conn):
        return
    conn.exec_driver_sql(_TAKE_BACK)
    conn.exec_driver_sql(_REVOKE)
    if conn.exec_driver_sql("SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()").scalar():
        conn.exec_driver_sql(f"GRANT TEMPORARY ON DATABASE {_database(conn)} TO PUBLIC")
    for name in (*ROLES, OWNER):
        conn.exec_driver_sql(
            f"DO $$ BEGIN DROP ROLE {name}; EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL; END $$"
        )


def _own_statements(table: str) -> Iterator[str]:
    yield f"REVOKE ALL ON {quoted(table)} FROM PUBLIC, {_ALL}"
    for roles, rights in OWN_RIGHTS[table].items():
        yield f"GRANT {rights} ON {quoted(table)} TO {roles}"


def _source_statements(table: str, columns: Collection[str]) -> Iterator[str]:
    listed = f"({', '.join(map(quoted, columns))})"
    yield f"REVOKE ALL ON {quoted(table)} FROM {_ALL}, {OWNER}"
    everybody = table in DECISION_TABLES and table not in SALES_COLUMNS
    yield f"GRANT SELECT {listed} ON {quoted(table)} TO {_ALL if everybody else INGEST}"
    if known := [quoted(name) for name in SALES_COLUMNS.get(table, ()) if name in columns]:
        yield f"GRANT SELECT ({', '.join(known)}) ON {quoted(table)} TO {_BOTH}"
    if table in ORDER_TABLES:
        yield f"GRANT INSERT {listed}, UPDATE {listed} ON {quoted(table)} TO {WRITER}"
        yield f"GRANT SELECT{', DELETE' if table in _LINE_TABLES else ''} ON {quoted(table)} TO {OWNER}"
        # A grant is for all rows: this holds the writer to drafts, and costs the shop's own writes a comparison.
        yield (
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = '{quoted(table)}'::regclass AND tgname = '{_DRAFTS}') "
            f"AND (SELECT relkind FROM pg_class WHERE oid = '{quoted(table)}'::regclass) IN ('r', 'p') THEN "
            f"CREATE TRIGGER {_DRAFTS} BEFORE INSERT OR UPDATE ON {quoted(table)} FOR EACH ROW WHEN (current_user = '{WRITER}') "
            f"EXECUTE FUNCTION {_DRAFTS}(); END IF; END $$"
        )


def _close_to_public(conn: sa.Connection) -> list[str]:
    """Nobody creates anything here by being anybody. Logins of others that could keep it; returns what this user may not close."""
    schema, database = _schema(conn), _database(conn)
    logins = [
        str(name) for (name,) in conn.exec_driver_sql(
            "SELECT quote_ident(rolname) FROM pg_roles AS r WHERE rolcanlogin AND NOT rolsuper AND NOT EXISTS (SELECT FROM pg_roles AS o "
            f"WHERE o.rolname IN ({_NAMES}) AND pg_has_role(r.oid, o.oid, 'MEMBER')) ORDER BY 1"
        )
    ]  # fmt: skip
    left = []
    for right, target, is_open, owner in (
        ("CREATE", f"SCHEMA {schema}", "has_schema_privilege('public', current_schema(), 'CREATE')",
         "SELECT nspowner FROM pg_namespace WHERE nspname = current_schema()"),
        ("TEMPORARY", f"DATABASE {database}", "has_database_privilege('public', current_database(), 'TEMPORARY')",
         "SELECT datdba FROM pg_database WHERE datname = current_database()"),
    ):  # fmt: skip
        if not conn.exec_driver_sql(f"SELECT {is_open}").scalar():
            continue
        if not conn.exec_driver_sql(f"SELECT pg_has_role(({owner}), 'USAGE')").scalar():
            left.append(target.lower())
            continue
        if logins:
            conn.exec_driver_sql(f"GRANT {right} ON {target} TO {', '.join(logins)}")
        conn.exec_driver_sql(f"REVOKE {right} ON {target} FROM PUBLIC")
    return left


def _hand_to_owner(conn: sa.Connection) -> None:
    """Tables and functions of ours belong to the owner's role, where this user may give them to it."""
    may = f"SELECT {_IS_SUPERUSER} OR (pg_has_role('{OWNER}', 'USAGE') AND has_schema_privilege('{OWNER}', current_schema(), 'CREATE'))"
    if not conn.exec_driver_sql(may).scalar():
        return
    listed = ", ".join(f"'{name}'" for name in OWN_RIGHTS)
    conn.exec_driver_sql(f"""
        DO $$ DECLARE statement text; BEGIN
          FOR statement IN
            SELECT 'ALTER TABLE ' || t.oid::regclass || ' OWNER TO {OWNER}' FROM pg_class AS t
            WHERE t.relkind = 'r' AND (t.relnamespace = 'feed'::regnamespace OR (t.relname IN ({listed}) AND pg_table_is_visible(t.oid)))
              AND t.relowner <> '{OWNER}'::regrole AND pg_has_role(t.relowner, 'USAGE')
            UNION ALL
            SELECT 'ALTER FUNCTION ' || f.oid::regprocedure || ' OWNER TO {OWNER}' FROM pg_proc AS f
            WHERE (f.pronamespace = 'feed'::regnamespace OR (f.proname ~ '^ordercast_' AND pg_function_is_visible(f.oid)))
              AND f.proowner <> '{OWNER}'::regrole AND pg_has_role(f.proowner, 'USAGE')
          LOOP EXECUTE statement; END LOOP;
        END $$""")


def _grantable(conn: sa.Connection, tables: Collection[str]) -> set[str]:
    """Those of the tables that are there and whose rights this user may give."""
    rows = conn.execute(
        sa.text(
            "SELECT relname FROM pg_class WHERE relname = ANY(:names) AND relkind IN ('r', 'p', 'v', 'm', 'f') "
            "AND pg_table_is_visible(oid) AND pg_has_role(relowner, 'USAGE')"
        ),
        {"names": list(tables)},
    )
    return {str(name) for (name,) in rows}


def _missing_roles(conn: sa.Connection) -> list[str]:
    known = {str(name) for (name,) in conn.exec_driver_sql("SELECT rolname FROM pg_roles")}
    return [name for name in (*ROLES, OWNER) if name not in known]


def _schema(conn: sa.Connection) -> str:
    return str(conn.exec_driver_sql("SELECT quote_ident(current_schema())").scalar())


def _database(conn: sa.Connection) -> str:
    return str(conn.exec_driver_sql("SELECT quote_ident(current_database())").scalar())
