"""Whatever looks and people do in whatever order: one open exception per subject, a history that leads to where it stands, each told once."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipelines.alerts.exceptions import Look, record_findings, state_of
from pipelines.alerts.handling import Handling, handle
from pipelines.alerts.telling import tell
from pipelines.decisions.roles import Operator, set_operator
from pipelines.errors import AlertError, NotPermittedError
from pipelines.stores.operational import OperationalStore
from tests.integration.decision_shop import rows_of
from tests.integration.test_alerts import RULE, TEA

SUBJECTS = ("item:A@L", "item:B@L", "item:C@L")
START = datetime(2026, 11, 1, 6)


class ExceptionLife(RuleBasedStateMachine):
    """Looks that find some subjects, people who handle some exceptions, and hours that go by."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="ordercast-alerts-", dir="/dev/shm" if Path("/dev/shm").exists() else None)
        self.store = OperationalStore.open(f"sqlite:///{self.folder.name}/store.db", must_exist=False)
        self.store.migrate()
        for actor, role in (("ada", "admin"), ("pam", "planner"), ("vic", "viewer")):
            set_operator(self.store, Operator(actor, role), by="ada")  # type: ignore[arg-type]
        self.now, self.number = START, 0
        self.found: frozenset[str] = frozenset()
        self.has_looked = False

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    @initialize()
    def first_look(self) -> None:
        self.look(frozenset(SUBJECTS[:2]))

    @rule(found=st.frozensets(st.sampled_from(SUBJECTS)))
    def look(self, found: frozenset[str]) -> None:
        findings = [replace(TEA, subject=subject, title=subject) for subject in sorted(found)]
        seen = Look(look_id=self.now.isoformat(), at=self.now, as_of=date(2026, 11, 1), currency_code="EUR")
        record_findings(self.store, RULE, findings, seen, also=partial(tell, rule=RULE, at=self.now))
        self.found, self.has_looked = found, True

    @rule(hours=st.sampled_from([1, 12, 30, 40, 100]))
    def hours_go_by(self, hours: int) -> None:
        self.now += timedelta(hours=hours)
        self.has_looked = False

    @precondition(lambda self: bool(rows_of(self.store, "exception")))
    @rule(
        data=st.data(), action=st.sampled_from(["acknowledge", "snooze", "resolve", "assign"]), actor=st.sampled_from(["pam", "vic"]),
        code=st.sampled_from(["fixed", "accepted", "false_alarm"]), times=st.integers(1, 2),
    )  # fmt: skip
    def a_person_handles_one(self, data: st.DataObject, action: Any, actor: str, code: str, times: int) -> None:
        row = data.draw(st.sampled_from(sorted(rows_of(self.store, "exception"), key=lambda row: (row["subject"], row["opened_at"]))))
        self.number += 1
        request = Handling(
            request_id=f"r-{self.number}", exception_id=row["exception_id"], action=action, actor=actor, owner="tom",
            until=self.now + timedelta(hours=20), resolution_code=code,
        )  # fmt: skip
        before = rows_of(self.store, "exception"), rows_of(self.store, "exception_event")
        try:
            done = [handle(self.store, request, now=self.now) for _ in range(times)]
        except (AlertError, NotPermittedError):
            assert actor == "vic" or row["resolved_at"] is not None
            assert (rows_of(self.store, "exception"), rows_of(self.store, "exception_event")) == before
            return
        assert actor == "pam"
        assert [one.is_repeated for one in done] == [False, True][:times]
        assert len(rows_of(self.store, "exception_event")) == len(before[1]) + 1
        self.has_looked = False

    @invariant()
    def a_subject_has_at_most_one_open_exception(self) -> None:
        opened = Counter(row["subject"] for row in rows_of(self.store, "exception") if row["resolved_at"] is None)
        assert max(opened.values(), default=0) <= 1
        if self.has_looked:
            assert set(opened) <= self.found

    @invariant()
    def history_leads_to_where_each_stands(self) -> None:
        events: dict[str, list[dict[str, Any]]] = {}
        for one in sorted(rows_of(self.store, "exception_event"), key=lambda one: one["number"]):
            events.setdefault(one["exception_id"], []).append(one)
        for row in rows_of(self.store, "exception"):
            mine = events[row["exception_id"]]
            assert [one["number"] for one in mine] == list(range(1, len(mine) + 1))
            assert mine[0]["action"] == "raised"
            is_over = mine[-1]["to_state"] == "resolved"
            assert is_over == (row["resolved_at"] is not None) == (state_of(row, at=self.now) == "resolved")

    @invariant()
    def each_is_told_at_most_once_when_raised_and_once_when_over(self) -> None:
        told: Counter[tuple[str, str]] = Counter()
        for message in rows_of(self.store, "outbox"):
            said = json.loads(message["payload"])
            told.update((said["type"], one["exception_id"]) for one in said["exceptions"])
        assert max(told.values(), default=0) <= 1
        assert all(told[("alert.raised", name)] for kind, name in told if kind == "alert.resolved")


ExceptionLife.TestCase.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
TestExceptionLife = ExceptionLife.TestCase
