"""What an import did with every row it read."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One row that was left out because it, or another row of its document, is bad."""

    file: str
    line: int
    column: str | None
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Where the rows of one file went. Every row has exactly one fate, so the counts add up to `rows_read`."""

    name: str
    sha256: str
    rows_read: int
    rows_used: int
    excluded_by_rule: dict[str, int]
    redirected_by_rule: dict[str, int]
    rows_duplicate: int
    rows_rejected: int

    @property
    def rows_excluded(self) -> int:
        """Rows that a rule leaves out."""
        return sum(self.excluded_by_rule.values())

    @property
    def rows_redirected(self) -> int:
        """Rows that a rule sends to other tables than the rest."""
        return sum(self.redirected_by_rule.values())

    @property
    def rows_accounted_for(self) -> int:
        """The sum over all fates; equal to `rows_read`."""
        return self.rows_used + self.rows_excluded + self.rows_redirected + self.rows_duplicate + self.rows_rejected

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain values."""
        return asdict(self) | {"rows_excluded": self.rows_excluded, "rows_redirected": self.rows_redirected}


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What reached one contract table: `rows_built` from the files, of which `rows_written` were new or had changed."""

    table: str
    rows_built: int
    rows_written: int

    @property
    def rows_unchanged(self) -> int:
        """Rows that the store already held exactly so."""
        return self.rows_built - self.rows_written


@dataclass(frozen=True, slots=True)
class ImportNote:
    """Something that was accepted and that a reader of the figures should know."""

    name: str
    count: int
    message: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """One import, row by row accounted for. `rejected_in` are the CSV files that list the rejected rows, to be mended at their source."""

    mapping: str
    merchant: str
    folder: str
    files: tuple[FileCounts, ...]
    tables: tuple[TableCounts, ...]
    rules: dict[str, str] = field(default_factory=dict)
    return_match_basis: dict[str, int] = field(default_factory=dict)
    warnings: tuple[ImportNote, ...] = ()
    rejected_examples: tuple[RejectedRow, ...] = ()
    rejected_in: tuple[str, ...] = ()
    files_not_mapped: tuple[str, ...] = ()

    @property
    def rows_read(self) -> int:
        """Rows of all files."""
        return sum(counts.rows_read for counts in self.files)

    @property
    def rows_rejected(self) -> int:
        """Rows of all files that were left out as bad."""
        return sum(counts.rows_rejected for counts in self.files)

    @property
    def rows_written(self) -> int:
        """Rows of all tables that were new or had changed; 0 when the same files are imported again."""
        return sum(counts.rows_written for counts in self.tables)

    def rows_by_rule(self) -> dict[str, int]:
        """Rows per excluding or redirecting rule, over all files, in the order of the mapping."""
        totals = Counter(dict.fromkeys(self.rules, 0))
        for counts in self.files:
            totals.update(counts.excluded_by_rule)
            totals.update(counts.redirected_by_rule)
        return dict(totals)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self) | {
            "files": [counts.as_dict() for counts in self.files],
            "rows_read": self.rows_read,
            "rows_rejected": self.rows_rejected,
            "rows_written": self.rows_written,
            "rows_by_rule": self.rows_by_rule(),
        }
