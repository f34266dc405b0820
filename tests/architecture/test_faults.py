from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pipelines.cli.reference import errors
from pipelines.faults.catalogue import FAULTS, by_code
from pipelines.faults.fault import Fault, escaped

ROOT = Path(__file__).resolve().parents[2]


def test_no_code_is_written_anywhere_but_in_the_catalogue() -> None:
    modules = [path for package in ("pipelines", "dashboards") for path in (ROOT / package).rglob("*.py")]

    strays = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}"
        for path in modules
        if path.parent != ROOT / "pipelines/faults"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\bE[1-7]\d\d\b", node.value)
    ]

    assert strays == []


def test_every_fault_has_its_line_on_the_page() -> None:
    lines = "\n".join(errors()).splitlines()

    assert [code for code in FAULTS if sum(line.startswith(f"| {code} |") for line in lines) != 1] == []


def test_every_text_is_half_a_sentence_that_a_message_can_hold() -> None:
    texts = [text for fault in FAULTS.values() for text in (fault.what, fault.next_step)]

    assert [text for text in texts if text != text.strip(" .;") or not text or "|" in text or "\n" in text] == []


def test_a_code_stands_for_one_fault_only() -> None:
    twice = [Fault("E101", "refused", what, "mend it") for what in ("one", "other")]

    with pytest.raises(ValueError, match="E101 stands for two faults: 'one' and 'other'"):
        by_code(twice)


@pytest.mark.parametrize("code", ["E10", "E901", "X101", "E1O1"])
def test_a_code_is_e_and_three_digits_of_a_family(code: str) -> None:
    with pytest.raises(ValueError, match="is no code"):
        by_code([Fault(code, "refused", "is bad", "mend it")])


def test_a_message_names_place_cause_value_action_and_next_step() -> None:
    fault = Fault("E204", "rejected", "is not of the declared kind", "correct it")

    told = fault.message("lines.csv line 4 units", detail=", an integer", got='o"ne')

    assert told == (
        'E204 lines.csv line 4 units: is not of the declared kind, an integer, got "o\\"ne"; '
        "the row and its document were left out; correct it."
    )


@pytest.mark.parametrize(
    ("value", "shown"), [("x" * 99, "x" * 80), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("\u202eabc", "\\u202eabc"), ("späť 🚚", "späť 🚚")]
)
def test_a_value_in_a_message_is_short_and_moves_no_cursor(value: str, shown: str) -> None:
    assert escaped(value) == shown
