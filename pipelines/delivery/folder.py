"""One file per message in a folder that another program watches."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.decisions.audit import canonical_json
from pipelines.delivery.message import Outcome
from pipelines.stores.spreadsheets import guarded

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.delivery.message import Message

COLUMNS: Final = (
    "idem_key", "action", "kind", "draft_id", "rec_id", "supplier_id", "source_location_id", "location_id", "sku", "qty", "unit_cost",
    "currency_code", "need_by", "expected_receipt", "cancels", "po_id", "po_line_id", "from_date", "to_date", "lines",
)  # fmt: skip
ALERT_COLUMNS: Final = (
    "idem_key", "type", "rule", "severity", "exception_id", "title", "detail", "owner", "due_at", "expected_amount", "currency_code",
    "link", "resolution",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that exists already; one that is missing may be a share that is not mounted."""

    path: Path
    file_format: Literal["csv", "json"]
    # A program that has taken the file away would find it again: only a file that is still there is known to be the same one.
    honours_key: bool = field(default=False, init=False)

    @property
    def address(self) -> str:
        """The folder."""
        return f"folder {self.path}"

    def send(self, message: Message) -> Outcome:
        """The file stands whole under a name that holds the message's key; one that stands there already is left as it is."""
        final = self.path / f"{message.idem_key}.{self.file_format}"
        beside = self.path / f".{final.name}.writing"
        content = message.body + b"\n" if self.file_format == "json" else _csv(message)
        try:
            if final.exists():
                return Outcome("delivered", f"{final.name} stood there already")
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(final)
        except OSError as exc:
            return Outcome("not_delivered", f"{self.address} cannot be written: {exc.strerror}.", goes_on=False)
        try:
            _sync(self.path)
        except OSError as exc:
            return Outcome("unknown", f"{final} stands there, but may be gone after a power cut: {exc.strerror}.", goes_on=False)
        return Outcome("delivered", f"{final.name} was written")


def _csv(message: Message) -> bytes:
    """Headings and values, in UTF-8, order lines as JSON; text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    values: dict[str, Any] = message.data | {"idem_key": message.idem_key}
    if message.is_alert:  # a row per exception
        writer.writerow(ALERT_COLUMNS)
        rows = [values | one for one in [*values.get("exceptions", ()), *values.get("resolved", ())]]
        writer.writerows([guarded(row.get(name)) for name in ALERT_COLUMNS] for row in rows)
        return text.getvalue().encode()
    writer.writerow(COLUMNS)
    if values.get("lines"):
        values["lines"] = canonical_json(values["lines"])
    writer.writerow([guarded(values.get(name)) for name in COLUMNS])
    return text.getvalue().encode()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
