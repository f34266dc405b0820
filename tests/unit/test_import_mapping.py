from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pipelines.errors import ContractError
from pipelines.steps.import_mapping import bundled_mappings, load_mapping, resolve_mapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SMALL: dict[str, Any] = {
    "merchant": "Corner Shop",
    "zone": "Europe/Berlin",
    "currency": "EUR",
    "files": {
        "orders": {
            "parts": ["orders.csv"],
            "format": "csv",
            "columns": {"number": "text", "day": "timestamp"},
            "rules": [{"name": "gift", "when": "number = 'G'", "then": "redirect", "because": "no sale"}],
        }
    },
    "tables": {"orders": {"from": "orders", "rows": ["used", "gift"], "columns": {"order_id": "number", "created_at": "day"}}},
}


def write(folder: Path, content: object) -> Path:
    path = folder / "corner.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def without_rows(mapping: dict[str, Any]) -> None:
    del mapping["tables"]["orders"]["rows"]


def test_the_small_mapping_is_read(tmp_path: Path) -> None:
    mapping = load_mapping(write(tmp_path, SMALL))

    assert mapping.tables["orders"].rows == ("used", "gift")
    assert mapping.dialect.separator == ","


@pytest.mark.parametrize("name", bundled_mappings())
def test_every_bundled_mapping_is_valid(name: str) -> None:
    mapping = load_mapping(resolve_mapping(name))

    assert {"orders", "order_lines", "products"} <= mapping.tables.keys()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.update(curency="EUR"), "curency is unknown; did you mean 'currency'?"),
        (lambda m: m.update(zone="Europe/Berln"), "'Europe/Berln' is no IANA time zone; did you mean 'Europe/Berlin'?"),
        (lambda m: m.update(dialect={"seperator": ";"}), "dialect.seperator is unknown; did you mean 'separator'?"),
        (lambda m: m["files"]["orders"].update(colums={}), "files.orders.colums is unknown; did you mean 'columns'?"),
        (lambda m: m["files"]["orders"]["rules"][0].update(wen="x"), "files.orders.rules.0.wen is unknown; did you mean 'when'?"),
        (lambda m: m["files"]["orders"]["columns"].update(day="datetime"), "files.orders.columns.day"),
        (lambda m: m["files"]["orders"].update(key=["numbr"]), "'numbr' is not among the columns; did you mean 'number'?"),
        (lambda m: m["files"]["orders"].update(parts=["../orders.csv"]), "a part is a file name inside the folder"),
        (lambda m: m["tables"]["orders"]["columns"].update(creatd_at="day"), "'creatd_at' is not among the fields of orders"),
        (lambda m: m["tables"].update(order=m["tables"].pop("orders")), "did you mean 'orders'?"),
        (lambda m: m["tables"]["orders"]["columns"].pop("created_at"), "table orders lacks the required created_at"),
        (lambda m: m["tables"]["orders"].update({"from": "order"}), "'order' is not among the files; did you mean 'orders'?"),
        (lambda m: m["tables"]["orders"].update(rows=["used", "gifts"]), "'gifts' is not among the redirecting rules of orders"),
        (lambda m: m["tables"]["orders"].update(values=[{"order_id": "1"}]), "either `from` a file or with `values`"),
        (without_rows, "rows 'gift' of file orders feed no table"),
    ],
)
def test_a_mistake_in_a_mapping_is_named_with_its_place(tmp_path: Path, spoil: Callable[[Any], object], message: str) -> None:
    content = deepcopy(SMALL)
    spoil(content)

    with pytest.raises(ContractError) as refused:
        load_mapping(write(tmp_path, content))

    assert message in str(refused.value)
    assert str(refused.value).startswith("Mapping corner.yml: ")


def test_a_mapping_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corner.yml"
    path.write_text("files: [", encoding="utf-8")

    with pytest.raises(ContractError, match=r"corner\.yml cannot be read"):
        load_mapping(path)


def test_a_mapping_outside_the_project_is_given_by_its_path(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)

    assert resolve_mapping(str(path)) == path


def test_an_unknown_name_suggests_a_bundled_mapping() -> None:
    with pytest.raises(ContractError, match=r"did you mean 'olist'\?.*online_retail"):
        resolve_mapping("olst")
