"""A customer's id never reaches the warehouse: it is replaced by a keyed hash while it streams in."""

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
    from collections.abc import Iterator
    from pathlib import Path

    from pipelines.stores.source_contract import SourceTable

_FILE_NAME: Final = "customer_key.secret"


@dataclass(slots=True)
class Pseudonyms:
    """Keyed hashes of customer ids: the same id gives the same key as long as the secret file stays."""

    secret: bytes
    _known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_home(cls, home: Path) -> Pseudonyms:
        """The pseudonyms of this home folder; its secret is made once, readable by its owner only."""
        path = home / _FILE_NAME
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
        return cls.of_home(home) if (home / _FILE_NAME).exists() else None

    def key_of(self, customer_id: str) -> str:
        """32 hex characters that stand for this customer."""
        key = self._known.get(customer_id)
        if key is None:
            key = hmac.digest(self.secret, customer_id.encode(), hashlib.sha256).hex()[:32]
            self._known[customer_id] = key
        return key

    def replace_in(self, table: SourceTable, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """The same rows with `customer_key` in the place of `customer_id`, in the row and in its `_key`."""
        names = reader.schema.names
        if "customer_id" not in names:
            return reader
        renamed = ["customer_key" if name == "customer_id" else name for name in names]
        changed = {"customer_id": self._hashed}
        if "customer_id" in table.key:
            changed["_key"] = lambda column: self.replace_in_keys(table, column)
        schema = pa.schema([(new, pa.string()) if name in changed else (new, reader.schema.field(name).type)
                            for name, new in zip(names, renamed, strict=True)])  # fmt: skip

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in reader:
                columns = [changed[name](batch[name]) if name in changed else batch[name] for name in names]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def replace_in_keys(self, table: SourceTable, keys: pa.Array | pa.ChunkedArray) -> pa.Array:
        """JSON keys of the table's rows with the customer's id replaced; other tables' keys come back as they are."""
        if "customer_id" not in table.key:
            return keys
        place = table.key.index("customer_id")
        replaced = []
        for key in keys.to_pylist():
            parts = json.loads(key)
            parts[place] = self.key_of(str(parts[place]))
            replaced.append(json.dumps(parts, separators=(",", ":")))
        return pa.array(replaced, pa.string())

    def _hashed(self, column: pa.Array) -> pa.Array:
        return pa.array([None if value is None else self.key_of(value) for value in column.to_pylist()], pa.string())
