"""What a rule found: one finding per subject, with what is at stake and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

_CENTS: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A subject of which the rule's condition holds.

    Attributes:
        subject: What it is called for good, as in `item:SKU-1@LOC-2`: one subject has one open exception per rule.
        title: The subject in words.
        detail: What holds, in a sentence or two with figures.
        link: Page of the dashboards, with its parameters.
        evidence: The figures, by name; plain JSON values.
        probability: Chance that the harm comes about; None where it has come about or none can be named.
        stake_amount: What is lost then, in the reporting currency; None where no amount can be named.
        basis: How probability and amount were come by.
        owner: Who should look, where the finding knows better than the rule.
        times: How often it was met since the last look.
        judged_after: The last day of the data on which it can come true; None where only a person can say.
        day: The day on which the harm is expected, by whose end something has to be done; None where none is known.
        promise_kind: Of an order, which promise is judged then, ship or delivery; by now a later one may be its next.
        raises: Whether it opens an exception; else it only keeps the one that stands, as an order does whose promise is missed by now.
    """

    subject: str
    title: str
    detail: str
    link: str
    evidence: dict[str, Any] = field(default_factory=dict)
    probability: float | None = None
    stake_amount: Decimal | None = None
    basis: str = "no amount can be named"
    owner: str | None = None
    times: int = 1
    judged_after: date | None = None
    day: date | None = None
    promise_kind: str | None = None
    raises: bool = True

    @property
    def expected_amount(self) -> Decimal | None:
        """Probability times the amount at stake; what is certain counts in full."""
        if self.stake_amount is None:
            return None
        return (self.stake_amount * Decimal(str(1.0 if self.probability is None else self.probability))).quantize(_CENTS)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at the data gave: findings, or why there can be none; without a look nothing is raised and nothing recovers.

    Attributes:
        found: What was found; one per subject.
        not_available: Why nothing could be looked at.
        unjudged: Subjects of which this look cannot say whether the condition holds; they do not recover by it.
    """

    found: Sequence[Finding] = ()
    not_available: str | None = None
    unjudged: frozenset[str] = frozenset()

    def lets_recover(self, subject: str) -> bool:
        """Whether a subject that was not found was looked at."""
        return subject not in self.unjudged


def needs(what: str) -> Findings:
    """The rule cannot be looked at."""
    return Findings(not_available=f"not available: needs {what}")


def discoveries(p_values: Sequence[float], *, false_discovery: float) -> list[bool]:
    """Which of many small probabilities are no chance, when of those named at most this share may be.

    Source: Benjamini, Y. and Hochberg, Y. (1995), Controlling the false discovery rate, JRSS B 57, procedure (1).
    """
    count = len(p_values)
    ranked = sorted(range(count), key=lambda i: p_values[i])
    last = max((rank for rank, i in enumerate(ranked, 1) if p_values[i] <= rank / count * false_discovery), default=0)
    chosen = set(ranked[:last])
    return [i in chosen for i in range(count)]
