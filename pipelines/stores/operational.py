"""The operational store: the merchant's tables and ours, in SQLite or PostgreSQL, behind one gateway."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

import polars as pl
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from pipelines.errors import ContractError
from pipelines.stores import own_tables
from pipelines.stores.connections import Dialect, create_engine, describe, parse_store_url, require_file, transaction
from pipelines.stores.grants import INGEST, RECOMMENDER, WRITER, grant_rights, is_superuser, take_role
from pipelines.stores.source_contract import SOURCE_TABLES
from pipelines.stores.source_rows import checked_frame, quoted, text_sql, typed_frame
from pipelines.stores.source_writing import column_type, contract_columns, create_statement, load_rows, merge_rows, refusals

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import date, datetime

    from pipelines.stores.grants import Role

MIGRATIONS = Path(__file__).with_name("migrations")
# A name of its own: a merchant's application may keep its own Alembic history in the same database.
VERSION_TABLE: Final = "ordercast_version"
# What lines are looked up by besides their key; everything else is read whole or by key.
_INDEXES: Final[dict[str, str]] = {
    "order_lines": "order_id", "shipment_lines": "order_line_id", "shipments": "order_id", "purchase_order_lines": "sku",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Merchant:
    """Whose data this is, and what no table of theirs says."""

    merchant_id: str
    name: str
    reporting_time_zone: str
    currency_code: str
    origin: str
    as_of_date: date | None = None
    data_until: datetime | None = None  # UTC without zone: the data is complete until then


def newest_migration() -> str:
    """The newest version of our own tables that this program knows."""
    return str(ScriptDirectory.from_config(_alembic()).get_current_head())


def migrations() -> list[str]:
    """All versions of our own tables that this program knows, oldest first."""
    return sorted(script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions())


def _is_newer(version: str | None) -> bool:
    return version is not None and version > newest_migration()


class OperationalStore:
    """Gateway to the operational store; also a context manager that closes it."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.dialect = cast("Dialect", engine.dialect.name)
        self._shared: sa.Connection | None = None

    @classmethod
    def open(
        cls,
        url: str,
        *,
        must_exist: bool = True,
        role: Role | tuple[Role, ...] = (),
        is_read_only: bool = False,
        connect_seconds: int | None = None,
    ) -> OperationalStore:
        """A store that has answered once.

        Args:
            url: `sqlite:////path/store.db` or `postgresql://user:password@host/database`.
            must_exist: Refuse a missing SQLite file instead of creating it.
            role: The database role to work under on PostgreSQL, where the address's user was granted it; of several the
                first that was. See `grants.take_role`.
            is_read_only: The database refuses every write of this store object.
            connect_seconds: How long a PostgreSQL server is waited for, at least 2, instead of what the address says or 10.

        Raises:
            SettingsError: The address cannot be read or names another kind of database.
            StoreUnavailableError: Missing, locked, unreachable or no database; nothing was created.
        """
        parsed = parse_store_url(url)
        if connect_seconds is not None and parsed.get_backend_name() == "postgresql":
            parsed = parsed.update_query_dict({"connect_timeout": str(connect_seconds)})
        if must_exist:
            require_file(parsed)
        elif parsed.get_backend_name() == "sqlite":
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        store = cls(create_engine(take_role(parsed, *((role,) if isinstance(role, str) else role)), is_read_only=is_read_only))
        try:
            with store.transaction(writes=False) as conn:
                conn.execute(sa.text("SELECT count(*) FROM sqlite_master" if store.dialect == "sqlite" else "SELECT 1"))
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_to_read(cls, url: str) -> OperationalStore:
        """A store for listings and pages: whatever they do, the database refuses to be changed; see `open`.

        Who decides may read most; a login for runs alone reads what these may.
        """
        return cls.open(url, role=(WRITER, RECOMMENDER, INGEST), is_read_only=True)

    @property
    def address(self) -> str:
        """Where the store lies, fit for messages: no user and no password."""
        return describe(self.engine.url)

    @property
    def file(self) -> Path | None:
        """The file of a SQLite store; None for PostgreSQL."""
        return Path(str(self.engine.url.database)) if self.dialect == "sqlite" else None

    @contextmanager
    def transaction(self, *, writes: bool = True, is_bulk: bool = False, is_snapshot: bool = False) -> Iterator[sa.Connection]:
        """One transaction on this store, or the one that `one_transaction` has open; see `connections.transaction`."""
        if self._shared is not None:
            yield self._shared
            return
        with transaction(self.engine, writes=writes, is_bulk=is_bulk, is_snapshot=is_snapshot) as conn:
            yield conn

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Whatever this store object writes inside the block is committed together at its end, or not at all."""
        with self.transaction(is_bulk=True) as conn:
            self._shared = conn
            try:
                yield
            finally:
                self._shared = None

    def is_superuser(self) -> bool:
        """Whether no role binds who this store is opened as; SQLite has no roles."""
        if self.dialect == "sqlite":
            return False
        with self.transaction(writes=False) as conn:
            return is_superuser(conn)

    def migration(self) -> str | None:
        """The version that our own tables stand at; None where there are none."""
        with self.transaction(writes=False) as conn:
            return MigrationContext.configure(conn, opts={"version_table": VERSION_TABLE}).get_current_revision()

    def migrate(self, *, to: str | None = None) -> None:
        """Our own tables stand at their newest version; two processes may do this at once. Up to date, nothing is locked.

        Tables that a newer program has migrated are left as they are: migrations only add, so this one goes on beside it.

        Args:
            to: Another version; an older one drops what it did not have.

        Raises:
            ContractError: This program does not know the version.
        """
        logging.getLogger("alembic").setLevel(logging.WARNING)
        config = _alembic()
        current, wanted = self.migration(), to or newest_migration()
        if current == wanted or (to is None and _is_newer(current)):
            return
        if _is_newer(current) or wanted not in migrations():
            unknown = current if _is_newer(current) else wanted
            raise ContractError(
                f"This program knows no version {unknown} of the tables, its newest is {newest_migration()}: "
                "migrate with the program that made it. Nothing was changed."
            )
        move = command.upgrade if current is None or current < wanted else command.downgrade
        config.attributes["version_table"] = VERSION_TABLE
        with self.transaction(is_bulk=True) as conn:
            if self.dialect == "postgresql":
                conn.execute(sa.text("SET LOCAL ROLE NONE"))  # who works under a role may still be allowed to migrate
                conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('ordercast.migrate'))"))
            config.attributes["connection"] = conn
            move(config, wanted)
            if wanted == newest_migration():
                grant_rights(conn, stored_types(conn))

    def is_migrated(self) -> bool:
        """Whether our own tables stand at their newest version, or at one that a newer program made."""
        return (self.migration() or "") >= newest_migration()

    def create_source_tables(self, fields: Mapping[str, Collection[str]]) -> None:
        """The contract tables named exist with at least the columns named, besides `updated_at`.

        Raises:
            SourceContractError: A name is not in the contract or a required column is missing; nothing was created.
        """
        wanted = {name: contract_columns(name, columns) for name, columns in fields.items()}
        present = self.present_fields()
        with self.transaction(is_bulk=True) as conn:
            for table in (table for name, table in SOURCE_TABLES.items() if name in wanted):
                columns = [name for name in table.field_names if name in wanted[table.name]]
                if table.name not in present:
                    conn.execute(sa.text(create_statement(conn, table, columns)))
                    if index := _INDEXES.get(table.name):
                        conn.execute(sa.text(f"CREATE INDEX {quoted(f'{table.name}_{index}')} ON {quoted(table.name)} ({quoted(index)})"))
                    continue
                for column in (name for name in columns if name not in present[table.name]):
                    conn.execute(
                        sa.text(f"ALTER TABLE {quoted(table.name)} ADD COLUMN {quoted(column)} {column_type(conn, table, column)}")
                    )
            grant_rights(conn, stored_types(conn))

    def present_fields(self) -> dict[str, frozenset[str]]:
        """The contract's tables and columns that this store has."""
        return {table: frozenset(columns) for table, columns in self.stored_types().items()}

    def stored_types(self) -> dict[str, dict[str, str]]:
        """For each contract table and column that this store has, its type by the database's own catalogue."""
        with self.transaction(writes=False) as conn:
            return stored_types(conn)

    def append(self, table: str, frame: pl.DataFrame) -> None:
        """All rows of the frame are added, or none.

        Raises:
            SourceContractError: A key is there already, a required value is missing, or a value cannot be stored.
        """
        contract = SOURCE_TABLES[table]
        rows = checked_frame(contract, frame)
        with refusals(table), self.transaction(is_bulk=True) as conn:
            load_rows(conn, quoted(table), contract, rows)

    def upsert(self, table: str, frame: pl.DataFrame) -> int:
        """Rows stand as the frame says, by key; columns the frame lacks keep their values. The last of equal keys wins.

        Rows that stand so already are not written, so they make no change in the feed.

        Returns:
            Rows that were new or had changed.

        Raises:
            SourceContractError: The frame lacks required columns and some of its keys are new, or a value cannot be stored.
                Nothing was written.
        """
        contract = SOURCE_TABLES[table]
        rows = checked_frame(contract, frame).unique(subset=contract.key, keep="last", maintain_order=True)
        with refusals(table), self.transaction(is_bulk=True) as conn:
            columns = ", ".join(f"{quoted(name)} {column_type(conn, contract, name)}" for name in rows.columns)
            conn.execute(sa.text(f"CREATE TEMP TABLE upserted ({columns})"))
            load_rows(conn, "upserted", contract, rows)
            written = merge_rows(conn, contract, rows)
            conn.execute(sa.text("DROP TABLE upserted"))
        return written

    def read_source(self, table: str, columns: Collection[str] | None = None) -> pl.DataFrame:
        """All rows of one source table with the contract's types, in key order; small tables and tests only."""
        contract = SOURCE_TABLES[table]
        types = self.stored_types().get(table, {})
        names = [name for name in contract.field_names if name in types and (columns is None or name in columns)]
        selected = ", ".join(text_sql(quoted(name), contract.field(name).kind, self.dialect, types[name]) for name in names)
        with self.transaction(writes=False) as conn:
            rows = conn.execute(sa.text(f"SELECT {selected} FROM {quoted(table)}")).all()
        texts = pl.DataFrame(list(map(tuple, rows)), schema=dict.fromkeys(names, pl.String), orient="row")
        return typed_frame(contract, texts).sort(name for name in contract.key if name in names)

    def is_prepared(self) -> bool:
        """Whether our own tables are here; a store that was never loaded or connected has none."""
        with self.transaction(writes=False) as conn:
            return sa.inspect(conn).has_table(own_tables.recommendation.name)

    def merchant(self) -> Merchant | None:
        """Whose store this is; None before `save_merchant`."""
        if not self.is_prepared():
            return None
        with self.transaction(writes=False) as conn:
            row = conn.execute(sa.select(own_tables.merchant)).mappings().first()
        return Merchant(**row) if row else None

    def save_merchant(self, merchant: Merchant) -> None:
        """The store belongs to this merchant and to no other."""
        values = {name: getattr(merchant, name) for name in Merchant.__slots__}
        with self.transaction() as conn:
            conn.execute(sa.delete(own_tables.merchant))
            conn.execute(sa.insert(own_tables.merchant).values(**values))

    def close(self) -> None:
        """No connection is left open."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def stored_types(conn: sa.Connection) -> dict[str, dict[str, str]]:
    """For each contract table and column that the database has, its type by the database's own catalogue."""
    found: dict[str, dict[str, str]] = {}
    rows = [(str(row[0]), str(row[1]), str(row[2])) for row in conn.execute(sa.text(_CATALOGUE[cast("Dialect", conn.dialect.name)]))]
    for table, column, stored_type in rows:
        if table in SOURCE_TABLES and column in SOURCE_TABLES[table].field_names:
            found.setdefault(table, {})[column] = stored_type
    return found


_CATALOGUE: Final[dict[Dialect, str]] = {
    "sqlite": "SELECT m.name, c.name, c.type FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type IN ('table', 'view')",
    "postgresql": (
        "SELECT t.relname, c.attname, format_type(c.atttypid, c.atttypmod) FROM pg_class AS t JOIN pg_attribute AS c ON c.attrelid = t.oid "
        "WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(t.oid) AND c.attnum > 0 AND NOT c.attisdropped"
    ),
}
