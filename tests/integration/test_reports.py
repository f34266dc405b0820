"""Reports are declared on marts, carried by releases, and read with money in major units."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

from pipelines.cli.app import main
from pipelines.cli.reports import print_rows, rows_console, table_width
from pipelines.errors import ReportError
from pipelines.stores.releases import ReleaseFacts, open_release, publish
from pipelines.stores.reports import (
    Report,
    find_report,
    read_report,
    release_reports,
    reports_from_json,
    reports_from_manifest,
    reports_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = {"reason_code": "varchar", "period_days": "bigint", "returned_on": "date", "refund_amount": "bigint", "currency_code": "varchar",
           "cost_reporting_amount": "bigint", "n": "bigint", "return_rate": "double"}  # fmt: skip
ROWS = (
    "('broken', 28, date '2026-10-01', 1999, 'EUR', 500, 10, 0.25), ('late', 28, date '2026-10-02', 500, 'JPY', 310, 30, 0.5), "
    "(null, 91, date '2026-10-03', null, 'EUR', null, 20, null)"
)


def manifest(**report: Any) -> dict[str, Any]:
    """A manifest with one mart that is a report and one that is none."""
    declared = {"question": "Why do goods come back?", "order_by": "n desc, reason_code", "needs": ["return_lines.reason_code"]} | report
    columns = {name: {"name": name, "data_type": kind, "description": f"{name} of it"} for name, kind in COLUMNS.items()}
    mart = {"resource_type": "model", "schema": "marts", "columns": columns, "description": "One row per\n  reason."}
    return {
        "nodes": {
            "a": mart | {"name": "fct_return_reasons", "alias": "fct_return_reasons", "config": {"meta": {"report": declared}}},
            "b": mart | {"name": "fct_orders", "alias": "fct_orders", "config": {"meta": {"grain": ["order_id"]}}},
        }
    }


@pytest.fixture
def report() -> Report:
    return reports_from_manifest(manifest())["return_reasons"]


@pytest.fixture
def conn() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as warehouse:
        for schema in ("marts", "meta", "planning"):
            warehouse.execute(f"create schema {schema}")
        warehouse.execute("create table meta.run_context as select date '2026-10-31' as as_of_date, 'EUR' as currency_code")
        warehouse.execute(
            "create table meta.source_fields as select 'return_lines' as table_name, 'reason_code' as field_name, true as is_present"
        )
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        warehouse.execute(f"create table marts.fct_return_reasons ({columns})")
        warehouse.execute(f"insert into marts.fct_return_reasons values {ROWS}")
        yield warehouse


def test_a_mart_that_declares_a_question_is_a_report_under_its_short_name() -> None:
    reports = reports_from_manifest(manifest())

    assert list(reports) == ["return_reasons"]
    assert reports["return_reasons"].order_by == ("-n", "reason_code")
    assert reports["return_reasons"].description == "One row per reason."
    assert reports_from_json(reports_to_json(reports)) == reports


@pytest.mark.parametrize(
    ("fault", "told"),
    [({"order_by": "size desc"}, "ordered by size"), ({"order_by": "n sideways"}, "n sideways"), ({"needs": []}, "declares no needs")],
)
def test_a_declaration_that_cannot_be_read_is_refused_by_name(fault: dict[str, Any], told: str) -> None:
    with pytest.raises(ReportError, match=told):
        reports_from_manifest(manifest(**fault))


def test_rows_come_in_the_reports_order_with_each_amount_in_its_own_currency(conn: duckdb.DuckDBPyConnection, report: Report) -> None:
    rows = read_report(conn, report)

    assert rows["n"].to_list() == [30, 20, 10]
    assert rows["refund_amount"].to_list() == [Decimal(500), None, Decimal("19.99")]
    assert rows["cost_reporting_amount"].to_list() == [Decimal("3.10"), None, Decimal("5.00")]
    assert rows["reporting_currency_code"].unique().to_list() == ["EUR"]


@pytest.mark.parametrize(
    ("where", "counts"),
    [({"period_days": "28"}, [30, 10]), ({"period_days": 91}, [20]), ({"reason_code": ""}, [20]), ({"reason_code": "x' or 1=1 --"}, []),
     ({"returned_on": date(2026, 10, 1), "reason_code": "broken"}, [10])],
)  # fmt: skip
def test_a_condition_is_bound_as_its_columns_type(
    conn: duckdb.DuckDBPyConnection, report: Report, where: dict[str, object], counts: list[int]
) -> None:
    rows = read_report(conn, report, where=where)

    assert rows["n"].to_list() == counts


@pytest.mark.parametrize(
    ("where", "told"), [({"reason": "late"}, "did you mean reason_code"), ({"period_days": "many"}, "period_days is of type bigint")]
)
def test_a_condition_that_fits_no_column_is_refused(
    conn: duckdb.DuckDBPyConnection, report: Report, where: dict[str, object], told: str
) -> None:
    with pytest.raises(ReportError, match=told):
        read_report(conn, report, where=where)


def test_a_source_without_the_fields_gives_a_sentence_and_no_empty_table(conn: duckdb.DuckDBPyConnection, report: Report) -> None:
    conn.execute("update meta.source_fields set is_present = false")

    with pytest.raises(ReportError, match=r"not available: needs return_lines\.reason_code"):
        read_report(conn, report)


def test_a_report_is_found_by_the_marts_name_and_the_nearest_is_named(report: Report) -> None:
    reports = {"return_reasons": report}

    assert find_report(reports, "fct_return_reasons") is report
    with pytest.raises(ReportError, match="did you mean return_reasons"):
        find_report(reports, "return_reason")
    with pytest.raises(ReportError, match="ordercast run"):
        find_report({}, "return_reasons")


def published(conn: duckdb.DuckDBPyConnection, home: Path, reports: str, *, release_id: str = "20261101T060000-aaaaaa") -> None:
    facts = ReleaseFacts(release_id, "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    publish(conn, home / "releases", facts=facts, catalogue="{}", keep=5, reports=reports)


def test_a_release_carries_its_reports_and_an_older_one_none(conn: duckdb.DuckDBPyConnection, report: Report, tmp_path: Path) -> None:
    facts = ReleaseFacts("20261101T060000-aaaaaa", "2026-10-31", "2026-11-01T06:00:00+00:00", "0.1.0", "abc", 0, 5, 5)
    release = publish(conn, tmp_path, facts=facts, catalogue="{}", keep=5, reports=reports_to_json({report.name: report}))

    with open_release(release) as opened:
        assert release_reports(opened) == {report.name: report}
        assert read_report(opened, report, limit=1)["n"].to_list() == [30]
    assert release_reports(conn) == {}


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, conn: duckdb.DuckDBPyConnection, report: Report
) -> Any:
    """The command line on a home folder that serves the report: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORDERCAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    published(conn, tmp_path / "home", reports_to_json({report.name: report}))

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["ordercast", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return called


def test_a_report_fits_80_columns_and_says_what_it_leaves_out(run: Any) -> None:
    code, out, _ = run("report", "return_reasons", "--limit", "2")

    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "Why do goods come back?" in out
    assert "2026-10-02" in out
    assert "50.0 %" in out
    assert "2 of 3 rows" in out
    assert "Reporting amounts in EUR." in out


def test_the_list_names_every_report_with_its_question(run: Any) -> None:
    code, out, _ = run("report")

    assert code == 0
    assert "return_reasons" in out
    assert "Why do goods come back?" in out


def test_csv_and_json_carry_every_column_and_row(run: Any) -> None:
    as_csv = run("report", "return_reasons", "--csv")[1]
    as_json = run("report", "return_reasons", "--where", "period_days=28", "--json")[1]

    assert pl.read_csv(as_csv.encode())["refund_amount"].to_list() == [500.0, None, 19.99]
    facts = json.loads(as_json)
    assert (facts["status"], facts["row_count"]) == ("ok", 2)
    assert [(row["n"], row["refund_amount"]) for row in facts["rows"]] == [(30, 500), (10, 19.99)]


def test_a_report_of_differences_without_one_says_how_much_it_compared(
    run: Any, conn: duckdb.DuckDBPyConnection, tmp_path: Path, report: Report
) -> None:
    conn.execute("delete from marts.fct_return_reasons")
    conn.execute("create table marts.fct_checks as select unnest([1200, 34]) as compared_count")
    declared = reports_from_manifest(manifest(compared="fct_checks.compared_count"))
    published(conn, tmp_path / "home", reports_to_json(declared), release_id="20261101T070000-bbbbbb")

    told, facts = run("report", "return_reasons")[1], json.loads(run("report", "return_reasons", "--json")[1])
    filtered = json.loads(run("report", "return_reasons", "--where", "period_days=28", "--json")[1])

    assert "Nothing differs: 1,234 documents compared." in told
    assert (facts["status"], facts["compared_count"], facts["rows"]) == ("ok", 1234, [])
    assert (filtered["status"], filtered["compared_count"]) == ("no_data", None)


def test_a_table_is_as_wide_as_its_values_and_the_longest_words_of_its_headings() -> None:
    cells = {"sku": ["A-1"], "units_returned_in_period": ["1,000"], "reason_note": ["x" * 60]}

    assert table_width(cells) == len("A-1") + 2 + len("returned") + 2 + 60


def test_rows_too_wide_for_the_terminal_are_blocks_with_a_line_for_every_column(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")

    lines = run("report", "return_reasons", "--limit", "2")[1].splitlines()

    first, second = lines.index("As of 2026-10-31") + 1, next(number for number, line in enumerate(lines) if not line.strip())
    assert [line.split()[-1] for line in lines[first:second]] == ["late", "28", "2026-10-02", "500.00", "JPY", "3.10", "30", "%"]
    assert {line[:14].strip() for line in lines[first:second]} == {line[:14].strip() for line in lines[second + 1 : second + 9]}
    assert max(map(len, lines)) <= 40
    assert not any("Not shown" in line for line in lines)


WIDE = pl.DataFrame({"sku": ["A", "B"], "note": ["x" * 150, "y" * 150], "reference_id": ["R1", "R2"]})


def test_where_no_terminal_has_to_hold_it_a_row_is_one_line_however_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    print_rows(rows_console(), WIDE, told=set(), total=2)

    printed = capsys.readouterr().out.splitlines()
    assert [line.split() for line in printed[-2:]] == [list(row) for row in WIDE.iter_rows()]


def test_a_column_that_can_be_spared_goes_before_the_table_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "155")

    print_rows(rows_console(), WIDE, told=set(), total=2, spare="reference_id")

    printed = capsys.readouterr().out
    assert [line.split() for line in printed.splitlines()[1:3]] == [["A", "x" * 150], ["B", "y" * 150]]
    assert "Not shown for want of width: reference_id" in printed
