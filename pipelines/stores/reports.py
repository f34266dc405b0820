"""Reports: marts that answer a question as a table. Read from dbt's manifest, carried by every release as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb
import polars as pl

from pipelines.errors import ReportError
from pipelines.stores.metrics_catalogue import suggestion
from pipelines.stores.metrics_values import MINOR_UNIT_EXPONENTS, major_units, read_basis
from pipelines.stores.warehouse import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_AMOUNT: Final = "_amount"
_REPORTING_AMOUNT: Final = "_reporting_amount"
_CURRENCY: Final = "currency_code"
_REPORTING_CURRENCY: Final = "reporting_currency_code"


@dataclass(frozen=True, slots=True)
class ReportColumn:
    """A column as the mart's contract declares it."""

    name: str
    data_type: str
    description: str


@dataclass(frozen=True, slots=True)
class Report:
    """A mart whose rows answer `question`, in the order that puts what matters first.

    `order_by` holds column names, a leading "-" for descending. `needs` are contract fields without which the rows mean nothing.
    `compared` is the "table.column" that counts what was looked at, where no row means that nothing is wrong.
    """

    name: str
    question: str
    description: str
    schema: str
    table: str
    order_by: tuple[str, ...]
    needs: tuple[str, ...]
    columns: tuple[ReportColumn, ...]
    compared: str | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in the mart's order."""
        return tuple(column.name for column in self.columns)


def reports_from_manifest(manifest: Mapping[str, Any]) -> dict[str, Report]:
    """Every mart with `config.meta.report`, by its name without the prefix of its kind.

    Raises:
        ReportError: A declaration lacks a part or orders by a column the mart does not have; the message names the mart.
    """
    models = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    declared = [node for node in models if (node["config"].get("meta") or {}).get("report")]
    reports = [_report(node) for node in sorted(declared, key=lambda node: str(node["name"]))]
    return {report.name: report for report in reports}


def reports_to_json(reports: Mapping[str, Report]) -> str:
    """The reports as a release carries them."""
    return json.dumps({name: asdict(report) for name, report in reports.items()}, sort_keys=True)


def reports_from_json(text: str) -> dict[str, Report]:
    """The reports that `reports_to_json` wrote."""
    return {
        name: Report(
            **facts
            | {
                "order_by": tuple(facts["order_by"]),
                "needs": tuple(facts["needs"]),
                "columns": tuple(ReportColumn(**column) for column in facts["columns"]),
            }
        )
        for name, facts in json.loads(text).items()
    }


def release_reports(conn: duckdb.DuckDBPyConnection) -> dict[str, Report]:
    """The reports of an open release; none where it is older than reports are."""
    try:
        row = conn.execute("select catalogue from meta.report_catalogue").fetchone()
    except duckdb.CatalogException:
        return {}
    return reports_from_json(row[0] if row else "{}")


def find_report(reports: Mapping[str, Report], name: str) -> Report:
    """The report of this name, or of the mart of this name.

    Raises:
        ReportError: There is none; the message suggests the nearest.
    """
    known = _without_prefix(name)
    if not reports:
        raise ReportError("This release carries no reports: publish a new one with `ordercast run`.")
    if known not in reports:
        raise ReportError(f"There is no report {name!r}; {suggestion(known, reports)}")
    return reports[known]


def missing_fields(conn: duckdb.DuckDBPyConnection, report: Report) -> tuple[str, ...]:
    """The contract fields the report needs and the source lacks."""
    return read_basis(conn).missing(report.needs)


def read_report(
    conn: duckdb.DuckDBPyConnection, report: Report, *, where: Mapping[str, object] | None = None, limit: int | None = None
) -> pl.DataFrame:
    """The report's rows, in its order, money in major units with its currency.

    Args:
        conn: A warehouse or a release.
        report: Which.
        where: A value per column that rows must have; text is read as the column's type, None and "" mean "unknown".
        limit: At most so many rows.

    Returns:
        The mart's columns. An amount is a decimal in the row's currency_code; where the report has no such column, in the reporting
        currency, which is then added as currency_code (beside another currency as reporting_currency_code).

    Raises:
        ReportError: The source lacks what the report needs, a column is not there, or a value does not fit its column.
    """
    missing = missing_fields(conn, report)
    if missing:
        raise ReportError(f"{report.name} is not available: needs {', '.join(missing)}")
    condition, values = _condition(conn, report, where or {})
    order = ", ".join(f"{quoted(name.lstrip('-'))} {'desc' if name.startswith('-') else 'asc'} nulls last" for name in report.order_by)
    columns = ", ".join(map(quoted, report.column_names))
    query = f"select {columns} from {report.schema}.{report.table} where {condition} order by {order} limit ?"
    return with_money(conn.execute(query, [*values, limit]).pl(), read_basis(conn).currency_code)


def count_rows(conn: duckdb.DuckDBPyConnection, report: Report, *, where: Mapping[str, object] | None = None) -> int:
    """How many rows `read_report` gives without a limit."""
    condition, values = _condition(conn, report, where or {})
    row = conn.execute(f"select count(*) from {report.schema}.{report.table} where {condition}", values).fetchone()
    return int(row[0]) if row else 0


def count_compared(conn: duckdb.DuckDBPyConnection, report: Report) -> int | None:
    """How many documents the report looked at; None where it does not say."""
    if report.compared is None:
        return None
    table, column = report.compared.split(".")
    row = conn.execute(f"select coalesce(sum({quoted(column)}), 0) from {report.schema}.{quoted(table)}").fetchone()
    return int(row[0]) if row else 0


def _report(node: Mapping[str, Any]) -> Report:
    facts = node["config"]["meta"]["report"]
    lacking = [part for part in ("question", "order_by", "needs") if not facts.get(part)]
    if lacking:
        raise ReportError(f"The report of {node['name']} declares no {' and no '.join(lacking)}.")
    columns = tuple(
        ReportColumn(column["name"], column.get("data_type") or "varchar", " ".join((column.get("description") or "").split()))
        for column in node["columns"].values()
    )
    order_by = tuple(_order(part.split()) for part in facts["order_by"].split(","))
    unknown = {name.lstrip("-") for name in order_by} - {column.name for column in columns}
    if unknown:
        raise ReportError(f"The report of {node['name']} is ordered by {', '.join(sorted(unknown))}, which it does not have.")
    return Report(
        name=_without_prefix(node["name"]),
        question=facts["question"],
        description=" ".join(node["description"].split()),
        schema=node["schema"],
        table=node["alias"],
        order_by=order_by,
        needs=tuple(facts["needs"]),
        columns=columns,
        compared=facts.get("compared"),
    )


def _order(words: Sequence[str]) -> str:
    match words:
        case [column] | [column, "asc"]:
            return column
        case [column, "desc"]:
            return f"-{column}"
        case _:
            raise ReportError(f"A report is ordered by columns with asc or desc behind them, not by {' '.join(words)!r}.")


def _without_prefix(mart: str) -> str:
    return mart.removeprefix("fct_").removeprefix("dim_")


def _condition(conn: duckdb.DuckDBPyConnection, report: Report, where: Mapping[str, object]) -> tuple[str, list[object]]:
    types = {column.name: column.data_type for column in report.columns}
    terms, values = ["true"], []
    for name, value in where.items():
        if name not in types:
            raise ReportError(f"The report {report.name} has no column {name!r}; {suggestion(name, types)}")
        if value is None or value == "":
            terms.append(f"{quoted(name)} is null")
            continue
        row = conn.execute(f"select try_cast(? as {types[name]})", [value]).fetchone()
        if row is None or row[0] is None:
            raise ReportError(f"{name} is of type {types[name]}, and {value!r} is none.")
        terms.append(f"{quoted(name)} = ?")
        values.append(row[0])
    return " and ".join(terms), values


def with_money(rows: pl.DataFrame, reporting_currency: str) -> pl.DataFrame:
    """The same rows with every `_amount` as a decimal in major units and a currency for each, as `read_report` says."""
    amounts = [name for name in rows.columns if f"_{name}".endswith(_AMOUNT)]
    if not amounts:
        return rows
    has_own = _CURRENCY in rows.columns
    added = _REPORTING_CURRENCY if has_own else _CURRENCY
    own = [name for name in amounts if has_own and not name.endswith(_REPORTING_AMOUNT)]
    converted = [
        _major(rows[name], rows[_CURRENCY].to_list() if name in own else [reporting_currency] * rows.height, reporting_currency)
        for name in amounts
    ]
    with_amounts = rows.with_columns(converted)
    return with_amounts if len(own) == len(amounts) else with_amounts.with_columns(pl.lit(reporting_currency).alias(added))


def _major(minor: pl.Series, currencies: Sequence[str | None], reporting_currency: str) -> pl.Series:
    """Decimals of one scale: the largest exponent among the currencies."""
    codes = [code or reporting_currency for code in currencies]
    scale = max((MINOR_UNIT_EXPONENTS.get(code, 2) for code in codes), default=2)
    values = [None if value is None else major_units(round(value), code) for value, code in zip(minor, codes, strict=True)]
    return pl.Series(minor.name, values, dtype=pl.Decimal(38, scale))
