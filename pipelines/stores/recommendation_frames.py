"""Recommendations as frames say them and as the store's tables hold them: which columns, of what type, and what a planner sees of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import sqlalchemy as sa

from pipelines.stores.own_tables import Amount, Day, Timestamp, recommendation, recommendation_evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LIFE: Final = frozenset({"rec_id", "status", "version", "first_run_id", "last_run_id", "snoozed_until"})
PROPOSAL: Final = tuple(column.name for column in recommendation.columns if column.name not in _LIFE)
# What identifies a proposal or what a decision is checked against rather than shown: kept current without asking the planner to look again.
_UNSEEN: Final = frozenset({"recommendation_key", "policy_version", "basis", "basis_version", "expires_at"})
_SEEN: Final = tuple(name for name in PROPOSAL if name not in _UNSEEN)
STEP: Final = ("step_number", "step", "qty", "note")
EVIDENCE: Final = tuple(column.name for column in recommendation_evidence.columns if column.name != "rec_id")
_ITEM: Final = ("sku", "location_id")
Steps = dict[str, list[tuple[Any, ...]]]
Evidence = dict[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Proposal:
    """One recommendation of a run: the columns `PROPOSAL`, rows of the columns `STEP`, and the columns `EVIDENCE` where there is any."""

    values: dict[str, Any]
    steps: list[tuple[Any, ...]]
    evidence: tuple[Any, ...] | None


def proposals_of(proposals: pl.DataFrame, steps: pl.DataFrame, evidence: pl.DataFrame, *, kinds: Sequence[str]) -> dict[str, Proposal]:
    """The frames that `propose` takes as one object per recommendation key, in the order of the frame.

    Raises:
        ValueError: A key occurs twice, or a kind is not one of these.
    """
    repeated = proposals.filter(pl.col("recommendation_key").is_duplicated())
    if repeated.height:
        raise ValueError(f"Recommendation {repeated['recommendation_key'][0]} is proposed {repeated.height} times in one run.")
    if foreign := set(proposals["kind"].unique()) - set(kinds):
        raise ValueError(f"The run says it proposes {', '.join(kinds)}, but its rows are also of kind {', '.join(sorted(foreign))}.")
    steps_by_key: Steps = {}
    for key, *step in steps.sort("step_number").select("recommendation_key", *STEP).iter_rows():
        steps_by_key.setdefault(key, []).append(tuple(step))
    by = ("recommendation_key",) if "recommendation_key" in evidence.columns else _ITEM
    known = with_columns(evidence, (*by, *EVIDENCE)).unique(by, keep="first", maintain_order=True)
    proofs = {row[: len(by)]: row[len(by) :] for row in known.iter_rows()}
    return {
        row["recommendation_key"]: Proposal(
            row, steps_by_key.get(row["recommendation_key"], []), proofs.get(tuple(row[name] for name in by))
        )
        for row in with_columns(proposals, PROPOSAL).iter_rows(named=True)
    }  # fmt: skip


def with_columns(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The frame with exactly these columns; those it lacks are null, as is NaN, which would differ from itself at every run."""
    return frame.select(pl.col(name) if name in frame.columns else pl.lit(None).alias(name) for name in names).fill_nan(None)


def seen(proposal: Proposal) -> tuple[Any, ...]:
    """What a planner sees of the proposal."""
    return [proposal.values[name] for name in _SEEN], proposal.steps, proposal.evidence


def seen_before(row: Mapping[str, Any], shown: tuple[Steps, Evidence]) -> tuple[Any, ...]:
    """What a planner saw of a recommendation until now, to be compared with `seen`."""
    steps, evidence = shown
    return [row[name] for name in _SEEN], steps.get(row["rec_id"], []), evidence.get(row["rec_id"])


def frame_type(column_type: sa.types.TypeEngine[Any]) -> pl.DataType:
    """What a column of our own tables is in a frame."""
    if isinstance(column_type, Amount):
        return pl.Decimal(18, 4)
    if isinstance(column_type, Day):
        return pl.Date()
    if isinstance(column_type, Timestamp):
        return pl.Datetime("us")
    if isinstance(column_type, sa.BigInteger):
        return pl.Int64()
    return pl.Float64() if isinstance(column_type, sa.Double) else pl.String()
