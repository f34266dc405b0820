from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

import pytest

from pipelines.errors import ContractError, SourceFileError
from pipelines.steps import import_files as step
from pipelines.steps.import_files import import_files
from pipelines.stores.change_feed import read_changes
from pipelines.stores.operational import Merchant, OperationalStore

if TYPE_CHECKING:
    from pathlib import Path

MAPPING = """
merchant: Corner Shop
zone: Europe/Berlin
currency: EUR
as_of: 2026-03-31
dialect: {separator: ";", decimal_mark: ","}
files:
  tickets:
    parts: [tickets.csv]
    format: csv
    key: [ticket]
    document: {order: ticket}
    columns: {ticket: text, sold_at: timestamp, card: text}
  lines:
    parts: [lines.csv]
    format: csv
    document: {order: ticket}
    columns: {ticket: text, line: integer, code: text, units: integer, price: decimal}
    rules:
      - {name: bags, when: code = 'BAG', then: exclude, because: A bag is no product}
      - {name: taken_back, when: units < 0, then: redirect, because: Goods that came back}
tables:
  locations:
    values:
      - {location_id: SHOP, name: Corner, type: store, time_zone: Europe/Berlin, is_active: true}
  products:
    from: lines
    rows: [used, taken_back]
    one_row_per_key: true
    columns: {sku: code, list_price: max(price)}
  orders:
    from: tickets
    columns: {order_id: ticket, created_at: sold_at, customer_id: card}
  order_lines:
    from: lines
    columns: {order_line_id: ticket || ':' || line, order_id: ticket, sku: code, quantity: units, unit_price: price}
  returns:
    from: lines
    rows: [taken_back]
    join: {sold: ticket}
    columns: {return_id: ticket || ':' || line, created_at: sale_at}
  return_lines:
    from: lines
    rows: [taken_back]
    join: {sold: ticket}
    match_to_sales_of: card
    columns: {return_line_id: ticket || ':' || line, return_id: ticket || ':' || line, sku: code, quantity: -units}
lookups:
  sold:
    from: tickets
    by: ticket
    columns: {sale_at: any_value(sold_at), card: any_value(card)}
"""
TICKETS = "ticket;sold_at;card\nT1;2026-03-01 10:00:00;ann\nT2;2026-03-02 10:00:00;\nT3;2026-10-25 02:30:00;ann\n"
LINES = 'ticket;line;code;units;price\nT1;1;CUP;2;"9,50"\nT1;2;BAG;1;0,10\nT2;1;MUG;1;4\nT3;1;CUP;-1;9,50\nT3;2;MUG;-1;4\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a mapping and the two exports it speaks of."""
    export = tmp_path / "export"
    export.mkdir()
    (export / "tickets.csv").write_text(TICKETS, encoding="utf-8")
    (export / "lines.csv").write_text(LINES, encoding="utf-8")
    (export / "notes.txt").touch()
    (tmp_path / "corner.yml").write_text(MAPPING, encoding="utf-8")
    return export


def run(store: OperationalStore, folder: Path) -> step.ImportReport:
    return import_files(store, mapping=folder.parent / "corner.yml", folder=folder)


def replace(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_exports_become_a_store_that_is_ready_to_run(store: OperationalStore, folder: Path) -> None:
    run(store, folder)

    assert store.merchant() == Merchant("corner", "Corner Shop", "Europe/Berlin", "EUR", "mapping:corner", date(2026, 3, 31))
    orders = store.read_source("orders", ["order_id", "created_at", "currency", "customer_id"])
    assert orders.row(0) == ("T1", datetime(2026, 3, 1, 9), "EUR", "ann")
    lines = store.read_source("order_lines", ["order_line_id", "sku", "quantity", "unit_price"])
    assert [(*row[:3], str(row[3])) for row in lines.rows()] == [("T1:1", "CUP", 2, "9.5000"), ("T2:1", "MUG", 1, "4.0000")]
    assert "stock_levels" not in store.present_fields()
    with read_changes(store, since=None) as reader:
        assert reader.is_full_resync


def test_a_return_names_the_sale_it_undoes_and_how_that_is_known(store: OperationalStore, folder: Path) -> None:
    report = run(store, folder)

    assert store.read_source("returns", ["return_id", "order_id", "match_basis"]).rows() == [
        ("T3:1", "T1", "matched"),
        ("T3:2", None, "unmatched"),
    ]
    assert store.read_source("return_lines", ["return_line_id", "quantity", "order_line_id"]).rows() == [
        ("T3:1", 1, "T1:1"),
        ("T3:2", 1, None),
    ]
    assert report.return_match_basis == {"matched": 1, "unmatched": 1}


def test_the_report_accounts_for_every_row(store: OperationalStore, folder: Path) -> None:
    report = run(store, folder)

    lines = next(counts for counts in report.files if counts.name == "lines.csv")
    assert (lines.rows_read, lines.rows_used, lines.excluded_by_rule, lines.redirected_by_rule) == (5, 2, {"bags": 1}, {"taken_back": 2})
    assert all(counts.rows_accounted_for == counts.rows_read for counts in report.files)
    assert report.rows_by_rule() == {"bags": 1, "taken_back": 2}
    assert report.files_not_mapped == ("notes.txt",)
    assert {note.name: note.count for note in report.warnings} == {
        "orders.created_at:repeated_hour": 1,
        "returns.created_at:repeated_hour": 2,
    }
    assert report.as_dict()["rows_read"] == 8


def test_the_same_files_again_write_nothing(store: OperationalStore, folder: Path) -> None:
    run(store, folder)
    with read_changes(store, since=None) as reader:
        position = reader.position

    report = run(store, folder)

    assert report.rows_written == 0
    with read_changes(store, since=position) as reader:
        assert reader.changed_keys("order_lines").num_rows == 0


def test_a_later_export_writes_only_what_differs(store: OperationalStore, folder: Path) -> None:
    run(store, folder)
    replace(folder / "lines.csv", "T2;1;MUG;1;4\n", "T2;1;MUG;3;4\nT2;2;CUP;1;8\n")

    report = run(store, folder)

    written = {counts.table: counts.rows_written for counts in report.tables if counts.rows_written}
    assert written == {"order_lines": 2}
    assert store.read_source("order_lines", ["order_line_id", "quantity"]).rows() == [("T1:1", 2), ("T2:1", 3), ("T2:2", 1)]


def test_a_bad_line_leaves_out_its_order_and_nothing_else(store: OperationalStore, folder: Path) -> None:
    rows = "".join(f"T{number};2026-03-05 10:00:00;\n" for number in range(10, 20))
    (folder / "tickets.csv").write_text(TICKETS + rows, encoding="utf-8")
    (folder / "lines.csv").write_text(LINES.replace("T2;1;MUG;1;4", "T2;1;MUG;one;4") + "T10;1;CUP;1;9,50\n", encoding="utf-8")

    report = run(store, folder)

    assert "T2" not in store.read_source("orders", ["order_id"])["order_id"]
    assert store.read_source("order_lines", ["order_line_id"])["order_line_id"].to_list() == ["T10:1", "T1:1"]
    assert [row.message for row in report.rejected_examples] == [
        "E207 tickets.csv line 3: belongs to a document another row of which is bad (order T2); the row and its document were left out; "
        "correct that row and import again.",
        'E204 lines.csv line 4 units: is not of the declared kind, an integer, got "one"; the row and its document were left out; '
        "correct the file or the mapping and import again.",
    ]
    assert report.rows_rejected == 2
    assert all(counts.rows_accounted_for == counts.rows_read for counts in report.files)


def test_a_file_that_is_mostly_bad_is_refused_as_a_whole(store: OperationalStore, folder: Path) -> None:
    replace(folder / "tickets.csv", "2026-03-01 10:00:00", "01.03.2026")

    with pytest.raises(
        SourceFileError, match=r'E112 tickets\.csv: more than a fifth of its rows are bad \(1 of 3\).*E204.*got "01\.03\.2026"'
    ):
        run(store, folder)

    assert store.present_fields() == {}


def test_every_bad_file_is_named_and_nothing_is_loaded(store: OperationalStore, folder: Path) -> None:
    (folder / "tickets.csv").write_bytes(b"")
    replace(folder / "lines.csv", ";units;", ";unit;")

    with pytest.raises(SourceFileError) as refused:
        run(store, folder)

    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == ["E102 tickets.csv", "E108 lines.csv line 1 units"]
    assert store.present_fields() == {}
    assert store.merchant() is None


def test_an_import_that_breaks_off_while_writing_leaves_nothing(
    store: OperationalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_store: OperationalStore) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, "install_feed", break_off)

    with pytest.raises(KeyboardInterrupt):
        run(store, folder)

    assert store.present_fields() == {}
    assert store.merchant() is None


def test_a_store_of_another_merchant_is_refused_and_left_alone(store: OperationalStore, folder: Path) -> None:
    other = Merchant("demo", "Demo", "UTC", "EUR", "simulator:default:0")
    store.save_merchant(other)

    with pytest.raises(ContractError, match=r"already holds the merchant Demo \(simulator:default:0\)\..*ORDERCAST_HOME"):
        run(store, folder)

    assert store.merchant() == other
    assert store.present_fields() == {}


def test_a_merchants_own_database_is_refused_and_left_alone(tmp_path: Path, folder: Path) -> None:
    with OperationalStore.open(f"sqlite:///{tmp_path / 'own.db'}", must_exist=False) as store:
        store.create_source_tables({"channels": ["channel_id", "name"]})

        with pytest.raises(ContractError, match="already holds tables that no import made"):
            run(store, folder)

        assert set(store.present_fields()) == {"channels"}
        assert not store.is_prepared()
