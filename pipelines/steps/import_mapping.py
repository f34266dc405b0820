"""The mapping file: which file and column of an export feeds which column of the source contract."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.errors import ContractError
from pipelines.stores.source_contract import SOURCE_TABLES, Kind

MAPPINGS_FOLDER = Path(__file__).resolve().parents[1] / "mappings"
USED = "used"  # the stream of rows that no rule excludes or redirects

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Expression = Annotated[str, Field(min_length=1)]


@cache  # it walks through folders
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _known_zone(zone: str) -> str:
    if zone not in _zones():
        raise ValueError(f"{zone!r} is no IANA time zone{did_you_mean(zone, _zones())}")
    return zone


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[near[0]]!r}?" if near else ""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dialect(_Strict):
    """How text is to be read; nothing is guessed. Parquet brings its own types and uses it for text columns only."""

    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8"] = "utf-8"
    decimal_mark: Literal[".", ","] = "."
    timestamp: str = "%Y-%m-%d %H:%M:%S"
    date: str = "%Y-%m-%d"


class Rule(_Strict):
    """A named condition on a row. Of those that exclude or redirect, the first that holds decides.

    `warn` counts, among the rows that neither happens to, those that a reader of the figures should know of.
    """

    name: Name
    when: Expression
    then: Literal["exclude", "redirect", "warn"]
    because: str


class SourceFile(_Strict):
    """One export, in one part or in several parts of the same shape.

    `key` names columns that are unique in the file; `derived` adds columns that are computed from the others. `document`
    ({name: column}) says to which business document a row belongs: if one row is bad, all rows of the document are left
    out, in every file that names the same document.
    """

    parts: Annotated[tuple[str, ...], Field(min_length=1)]
    format: Literal["csv", "parquet"]
    columns: Annotated[dict[str, Kind], Field(min_length=1)]
    key: tuple[str, ...] = ()
    document: Annotated[dict[Name, str], Field(max_length=1)] = Field(default_factory=dict)
    derived: dict[Name, Expression] = Field(default_factory=dict)
    drop_rows_shared_by_parts: bool = False
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _columns_are_declared(self) -> Self:
        for column in (*self.key, *self.document.values()):
            _require(column, (*self.columns, *self.derived), "columns")
        for part in self.parts:
            if Path(part).name != part:
                raise ValueError(f"a part is a file name inside the folder, not {part!r}")
        return self

    def rule_names(self, then: str) -> tuple[str, ...]:
        """Names of the rules with this consequence."""
        return tuple(rule.name for rule in self.rules if rule.then == then)


class Lookup(_Strict):
    """One row per value of `by`, for other files to join; its columns are aggregates over the rows of that value."""

    source: str = Field(alias="from")
    by: Expression
    columns: Annotated[dict[Name, Expression], Field(min_length=1)]


class TableMapping(_Strict):
    """How one contract table is filled: from the rows of a file, or with `values` that stand in the mapping."""

    source: str | None = Field(default=None, alias="from")
    rows: tuple[str, ...] = (USED,)
    where: Expression | None = None
    join: dict[str, Expression] = Field(default_factory=dict)
    one_row_per_key: bool = False
    columns: dict[str, Expression] = Field(default_factory=dict)
    match_to_sales_of: Expression | None = None
    values: tuple[dict[str, str | int | float | bool], ...] = ()

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        if (self.source is None) == (not self.values):
            raise ValueError("a table is filled either `from` a file or with `values`")
        if self.source is not None and not self.columns:
            raise ValueError("a table that is filled from a file needs `columns`")
        return self

    @property
    def target_columns(self) -> tuple[str, ...]:
        """Contract columns that the mapping fills itself."""
        return tuple(self.columns) if self.columns else tuple(self.values[0])


class ImportMapping(_Strict):
    """A whole mapping file."""

    merchant: str
    zone: Annotated[str, AfterValidator(_known_zone)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    as_of: date | None = None
    dialect: Dialect = Dialect()
    files: Annotated[dict[Name, SourceFile], Field(min_length=1)]
    lookups: dict[Name, Lookup] = Field(default_factory=dict)
    tables: Annotated[dict[str, TableMapping], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        for lookup in self.lookups.values():
            _require(lookup.source, self.files, "files")
        for name, table in self.tables.items():
            _require(name, SOURCE_TABLES, "tables of the contract")
            self._check_table(name, table)
        self._check_every_row_has_a_target()
        return self

    def _check_table(self, name: str, table: TableMapping) -> None:
        contract = SOURCE_TABLES[name]
        for column in table.target_columns:
            _require(column, contract.field_names, f"fields of {name}")
        missing = set(contract.required_fields) - set(table.target_columns) - {"currency"}
        if missing:
            raise ValueError(f"table {name} lacks the required {', '.join(sorted(missing))}")
        if table.match_to_sales_of and (name != "return_lines" or not {"orders", "order_lines", "returns"} <= self.tables.keys()):
            raise ValueError("`match_to_sales_of` belongs to return_lines, beside orders, order_lines and returns")
        if table.source is None:
            return
        _require(table.source, self.files, "files")
        for stream in table.rows:
            _require(stream, (USED, *self.files[table.source].rule_names("redirect")), f"redirecting rules of {table.source}")
        for lookup in table.join:
            _require(lookup, self.lookups, "lookups")

    def _check_every_row_has_a_target(self) -> None:
        """A row that is neither excluded nor rejected must feed something, or the counts would call it used for nothing."""
        fed = {(table.source, stream) for table in self.tables.values() if not table.where for stream in table.rows}
        looked_up = {lookup.source for lookup in self.lookups.values()}
        for name, file in self.files.items():
            for stream in (USED, *file.rule_names("redirect")):
                if (name, stream) not in fed and not (stream == USED and name in looked_up):
                    raise ValueError(f"rows {stream!r} of file {name} feed no table; add a table, or exclude them by a rule")


def _require(name: str, known: Iterable[str], what: str) -> None:
    if name not in set(known):
        raise ValueError(f"{name!r} is not among the {what}{did_you_mean(name, known)}")


def bundled_mappings() -> tuple[str, ...]:
    """Names of the mappings that come with the product."""
    return tuple(sorted(path.stem for path in MAPPINGS_FOLDER.glob("*.yml")))


def resolve_mapping(name_or_path: str) -> Path:
    """The mapping file that a user means by a bundled name or by a path.

    Raises:
        ContractError: There is neither. Nothing was touched.
    """
    if name_or_path in bundled_mappings():
        return MAPPINGS_FOLDER / f"{name_or_path}.yml"
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    known = ", ".join(bundled_mappings())
    hint = did_you_mean(name_or_path, bundled_mappings()) or "."
    raise ContractError(f"No mapping {name_or_path!r}{hint} Bundled are {known}; any other is given by the path of its YAML file.")


def load_mapping(path: Path) -> ImportMapping:
    """The mapping in a YAML file, checked against the contract.

    Raises:
        ContractError: The file cannot be read or says something impossible; each problem is one line. Nothing was touched.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ContractError(f"Mapping {path.name} cannot be read: {exc}. Correct it and import again.") from None
    if not isinstance(content, dict):
        raise ContractError(f"Mapping {path.name} is not a YAML mapping of names to values. Correct it and import again.")
    try:
        return ImportMapping.model_validate(content)
    except ValidationError as exc:
        problems = "\n".join(f"Mapping {path.name}: {_problem(dict(error))}" for error in exc.errors())
        raise ContractError(problems) from None


def _problem(error: dict[str, Any]) -> str:
    location = tuple(error["loc"])
    where = ".".join(str(step) for step in location) or "file"
    if error["type"] == "extra_forbidden":
        return f"{where} is unknown{did_you_mean(str(location[-1]), _allowed_names(location))}"
    return f"{where}: {str(error['msg']).removeprefix('Value error, ')}"


def _allowed_names(location: tuple[str | int, ...]) -> tuple[str, ...]:
    """The names that may stand where an unknown one was found."""
    models: dict[str, type[BaseModel]] = {"dialect": Dialect, "files": SourceFile, "lookups": Lookup, "tables": TableMapping}
    model: type[BaseModel] = ImportMapping
    if len(location) > 1:
        model = Rule if "rules" in location else models[str(location[0])]
    return tuple(field.alias or name for name, field in model.model_fields.items())
