from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest

from pipelines.decisions.audit import canonical_json
from pipelines.decisions.lifecycle import DECISIONS, REASONS, TRANSITIONS, Status, check_reason, next_status
from pipelines.decisions.requests import Decision, DecisionRequest
from pipelines.decisions.shop import FINISHED
from pipelines.errors import DecisionError
from pipelines.stores.recommendations import ENDED

ROOT = Path(__file__).resolve().parents[2]
REQUEST = DecisionRequest(decision_id="d", rec_id="r", rec_version=1, action="approve", actor="ann", qty=12)


def test_statuses_are_those_the_database_allows() -> None:
    migration = (ROOT / "pipelines/stores/migrations/versions/0001_own_tables.py").read_text(encoding="utf-8")

    allowed = migration.partition("status IN\n")[2].partition(")")[0]

    assert {word.strip(" (\n'") for word in allowed.split(",")} == set(get_args(Status))


def test_what_has_ended_never_moves_again() -> None:
    assert [step for step in TRANSITIONS if step[0] in ENDED] == []


def test_every_status_can_be_reached_and_left_until_it_ends() -> None:
    reached = {"proposed", *TRANSITIONS.values()}
    left = {status for status, _ in TRANSITIONS}

    assert reached == set(get_args(Status))
    assert left == reached - set(ENDED)


@pytest.mark.parametrize("status", get_args(Status))
@pytest.mark.parametrize("action", DECISIONS)
def test_a_decision_is_legal_or_refused_with_a_reason(status: str, action: str) -> None:
    legal = {
        "proposed": {"approve", "reject", "snooze", "undo"}, "stale": {"approve", "reject", "snooze", "undo"}, "snoozed": {"reject", "undo"},
        "rejected": {"undo"}, "approved": {"undo"}, "failed": {"undo"},
    }  # fmt: skip

    if action in legal.get(status, set()):
        undone = "stale" if status == "stale" else "proposed"
        led_to = {"approve": "approved", "reject": "rejected", "snooze": "snoozed", "undo": undone}
        assert next_status(status, action) == led_to[action]  # type: ignore[arg-type]
    else:
        with pytest.raises(DecisionError, match=r"^This recommendation .*\.$"):
            next_status(status, action)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", REASONS)
def test_a_known_reason_is_enough_but_other_needs_words(code: str) -> None:
    check_reason(code, "because")

    if code == "other":
        with pytest.raises(DecisionError, match="comment"):
            check_reason(code, " ")


def test_finished_orders_are_those_that_dbt_takes_for_finished() -> None:
    macro = (ROOT / "dbt_project/macros/purchasing.sql").read_text(encoding="utf-8").partition("endmacro")[0]

    assert macro.partition(" in (")[2].partition(")")[0] == ", ".join(f"'{status}'" for status in FINISHED)


def test_a_request_is_the_same_whatever_its_id_and_another_with_any_other_word() -> None:
    from dataclasses import replace

    others = [
        replace(REQUEST, rec_id="s"), replace(REQUEST, rec_version=2), replace(REQUEST, action="reject"), replace(REQUEST, actor="bob"),
        replace(REQUEST, qty=24), replace(REQUEST, confirmed_qty=12), replace(REQUEST, confirmed_unit_cost=Decimal(1)),
        replace(REQUEST, reason_code="price"), replace(REQUEST, comment="x"), replace(REQUEST, until=date(2026, 7, 1)),
    ]  # fmt: skip

    assert replace(REQUEST, decision_id="e").hash == REQUEST.hash
    assert len({REQUEST.hash, *(other.hash for other in others)}) == len(others) + 1


def test_a_stored_decision_comes_back_equal() -> None:
    decision = Decision(
        decision_id="d", rec_id="r", action="approve", outcome="approved", message="Ok.", unit_cost=Decimal("3.5000"),
        order_amount=Decimal("210.0"), basis_now={"qty": 60, "unit_cost": "3.5"}, second_person_reasons=("too much",),
    )  # fmt: skip

    assert Decision.from_json(decision.to_json()) == decision


def test_canonical_json_does_not_depend_on_order_or_trailing_zeros() -> None:
    assert canonical_json({"b": Decimal("1.50"), "a": date(2026, 7, 1)}) == canonical_json({"a": date(2026, 7, 1), "b": Decimal("1.5")})
    assert canonical_json({"é": Decimal(100)}) == '{"é":"100"}'
