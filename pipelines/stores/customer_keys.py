"""A customer's id never reaches the warehouse: it is replaced by a keyed hash while it comes in.

Some fields name a customer or something else: a rebate's partner may be a supplier, an experiment's unit an order. There everything
is hashed but what is known to be the other, so a mistake hides an id and never shows one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    import duckdb

    from pipelines.stores.source_contract import Field, SourceTable

SECRET_FILE: Final = "customer_key.secret"  # noqa: S105 - where it lies, not what it is


@dataclass(slots=True)
class Pseudonyms:
    """Keyed hashes of customer ids: the same id gives the same key as long as the secret file stays."""

    secret: bytes
    _known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_home(cls, home: Path) -> Pseudonyms:
        """The pseudonyms of this home folder; its secret is made once, readable by its owner only."""
        path = home / SECRET_FILE
        home.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(bytes.fromhex(path.read_text().strip()))
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        return cls(bytes.fromhex(path.read_text()))

    @classmethod
    def already_of_home(cls, home: Path) -> Pseudonyms | None:
        """The pseudonyms this home folder has used so far; None where it has none, and none are made."""
        return cls.of_home(home) if (home / SECRET_FILE).exists() else None

    def key_of(self, customer_id: str) -> str:
        """32 hex characters that stand for this customer."""
        key = self._known.get(customer_id)
        if key is None:
            key = self._known[customer_id] = self._digest(customer_id)
        return key

    def replace_in(self, table: SourceTable, reader: pa.RecordBatchReader, *, others: Collection[str] = ()) -> pa.RecordBatchReader:
        """The same rows with keys in the place of customers' ids, in the row, where `customer_id` becomes `customer_key`, and in `_key`.

        Args:
            table: Whose rows they are.
            reader: The rows as text.
            others: Ids that name no customer and stay, see `no_customers`.
        """
        names, field = reader.schema.names, table.customer_field
        if field is None or field.name not in names:
            return reader
        renamed = [field.warehouse_name if name == field.name else name for name in names]
        changed = {field.name: lambda column: self._hashed(column, others)}
        if field.name in table.key:
            changed["_key"] = lambda column: self.replace_in_keys(table, column, others=others)
        schema = pa.schema([(new, pa.string()) if name in changed else (new, reader.schema.field(name).type)
                            for name, new in zip(names, renamed, strict=True)])  # fmt: skip

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                columns = [changed[name](batch[name]) if name in changed else batch[name] for name in names]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def replace_in_keys(self, table: SourceTable, keys: pa.Array | pa.ChunkedArray, *, others: Collection[str] = ()) -> pa.Array:
        """JSON keys of the table's rows with customers' ids replaced; keys without one come back as they are."""
        field = table.customer_field
        if field is None or field.name not in table.key:
            return keys
        place = table.key.index(field.name)
        replaced = []
        for key in keys.to_pylist():
            parts = json.loads(key)
            if str(parts[place]) not in others:
                parts[place] = self.key_of(str(parts[place]))
            replaced.append(json.dumps(parts, separators=(",", ":")))
        return pa.array(replaced, pa.string())

    def show_again(self, conn: duckdb.DuckDBPyConnection, table: SourceTable, changed: pa.ChunkedArray) -> None:
        """What was hashed before it was known to be no customer stands as it is, in `raw` and in quarantine.

        Args:
            conn: The warehouse, which holds the current rows of the table that `customer_unless` names.
            table: With a field that may name a customer.
            changed: JSON keys of that other table's rows that changed.
        """
        name = _doubtful(table).name
        has_rows = f"SELECT EXISTS (FROM raw.{table.name}) OR EXISTS (FROM quarantine.document_rows WHERE table_name = ?)"
        if conn.execute(has_rows, [table.name]).fetchone() != (True,):
            return
        ids = sorted(no_customers(conn, table, (str(json.loads(key)[0]) for key in changed.to_pylist())))
        keys = [self._digest(one) for one in ids]
        texts = {"key": keys, "id": ids, "key_json": map(json.dumps, keys), "id_json": map(json.dumps, ids)}
        conn.register("shown_again", pa.table({column: pa.array(values, pa.string()) for column, values in texts.items()}))
        conn.execute(f"UPDATE raw.{table.name} SET {name} = s.id FROM shown_again s WHERE {name} = s.key")
        conn.execute(
            "UPDATE quarantine.document_rows SET row_key = replace(row_key, s.key_json, s.id_json), "
            "document_id = CASE document_id WHEN s.key THEN s.id ELSE document_id END "
            f"FROM shown_again s WHERE table_name = ? AND (row_key ->> {table.key.index(name)}) = s.key",
            [table.name],
        )
        conn.unregister("shown_again")

    def _digest(self, customer_id: str) -> str:
        return hmac.digest(self.secret, customer_id.encode(), hashlib.sha256).hex()[:32]

    def _hashed(self, column: pa.Array, others: Collection[str]) -> pa.Array:
        replaced = (value if value is None or value in others else self.key_of(value) for value in column.to_pylist())
        return pa.array(list(replaced), pa.string())


def no_customers(conn: duckdb.DuckDBPyConnection, table: SourceTable, ids: Iterable[str | None]) -> frozenset[str]:
    """Those of the ids that the table's `customer_unless` knows; one that it knew once stays known, so a row keeps its key."""
    field = _doubtful(table)
    other, _, column = str(field.customer_unless).partition(".")
    conn.register("doubtful_ids", pa.table({"id": pa.array(set(ids), pa.string())}))
    rows = conn.execute(
        f"SELECT id FROM doubtful_ids WHERE id IN (SELECT {column} FROM raw.{other}) OR id IN (SELECT {field.name} FROM raw.{table.name})"
    ).fetchall()
    conn.unregister("doubtful_ids")
    return frozenset(one for (one,) in rows)


def _doubtful(table: SourceTable) -> Field:
    field = table.customer_field
    if field is None or field.customer_unless is None:
        raise ValueError(f"{table.name} has no field that may name a customer or something else.")
    return field
