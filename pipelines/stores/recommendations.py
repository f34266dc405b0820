"""Recommendations in the operational store: proposed once each, and never changed once a person has decided."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.stores.own_tables import recommendation, recommendation_evidence, recommendation_explanation, recommendation_run
from pipelines.stores.recommendation_frames import (
    EVIDENCE,
    PROPOSAL,
    STEP,
    Evidence,
    Proposal,
    Steps,
    frame_type,
    proposals_of,
    seen,
    seen_before,
    with_columns,
)
from pipelines.stores.recommendation_matching import match_to_open

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipelines.stores.operational import OperationalStore

PROPOSED: Final = "proposed"
_ORDERING: Final = ("purchase", "transfer")  # what counts in how broad a run is
ENDED: Final = ("superseded", "expired", "closed")

_SHOWN_EVIDENCE: Final = ("model", "wape_rate", "naive_wape_rate", "windows_count", "backtest_date")
_OPEN: Final = sa.select(recommendation).where(recommendation.c.status.not_in(ENDED))


@dataclass(frozen=True, slots=True)
class RecommendationRun:
    """The run that proposes, and the kinds of recommendation it is complete for: earlier ones it does not repeat are superseded."""

    run_id: str
    as_of_date: date
    release_id: str | None
    code_version: str
    config_hash: str
    seed: int
    gate_status: str
    kinds: tuple[str, ...] = ("purchase",)


@dataclass(frozen=True, slots=True)
class ProposalCounts:
    """What became of a run's proposals, and of earlier ones."""

    proposed: int = 0  # new
    updated: int = 0  # changed in something a planner sees
    unchanged: int = 0
    superseded: int = 0  # proposed earlier, not any more
    protected: int = 0  # decided by a person, left alone


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a recommendation says what it says: steps (step_number, step, qty, note) and how good the forecast behind it has been."""

    rec_id: str
    reason: str
    binding_constraint: str | None
    steps: pl.DataFrame
    evidence: dict[str, Any] | None


def propose(
    store: OperationalStore, run: RecommendationRun, proposals: pl.DataFrame, steps: pl.DataFrame, evidence: pl.DataFrame
) -> ProposalCounts:
    """The store's open proposals of the run's kinds are those of the frame; done twice, the second time changes nothing.

    A proposal that stands already keeps its `rec_id`; its version rises only if something a planner sees has changed. It stands
    already if its key is open, or else if an open one of the same kind, sku, location, supplier and source location is needed
    within 14 days of it (see `match_to_open`): the day of need moves from run to run, and the key, which holds its week, moves
    along in place. What a person has decided stays as it is, its key too, and nothing new is proposed for the same need. All of
    it happens in one transaction, one run after the other.

    Args:
        store: The operational store.
        run: The run that proposes.
        proposals: One row per recommendation: `recommendation_key` (unique), kind, sku, location_id, recommended_qty (> 0),
            priority_score, reason; the other columns of the contract where they are known.
        steps: recommendation_key, step_number, step, qty, note.
        evidence: The columns of `recommendation_evidence`, by recommendation_key or by sku and location_id.

    Raises:
        ValueError: A key occurs twice, or a kind is not one of the run's. Nothing was written.
        StoreUnavailableError: The store did not answer or another run is writing. Nothing was written.
    """
    wanted = proposals_of(proposals, steps, evidence, kinds=run.kinds)
    with store.transaction() as conn:
        if store.dialect == "postgresql":
            conn.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('ordercast.propose'))"))
        standing = _open_rows(conn)
        found = match_to_open({key: proposal.values for key, proposal in wanted.items()}, standing)
        ours = {key: standing[row] for key, row in found.items() if standing[row]["status"] == PROPOSED}
        new = [key for key in wanted if key not in found]
        kept = [key for key in wanted if key in ours]
        shown = _shown(conn)
        changed = [key for key in kept if seen(wanted[key]) != seen_before(ours[key], shown)]
        repeated = set(found.values())
        gone = [row for key, row in standing.items() if key not in repeated and row["status"] == PROPOSED and row["kind"] in run.kinds]

        rec_ids = {key: uuid.uuid4().hex for key in new} | {key: ours[key]["rec_id"] for key in kept}
        _supersede(conn, gone)
        _update_kept(conn, run, [(ours[key], wanted[key], key in set(changed)) for key in kept])
        _insert_new(conn, run, [(rec_ids[key], wanted[key]) for key in new])
        _replace_details(conn, {rec_ids[key]: wanted[key] for key in changed}, is_new=False)
        _replace_details(conn, {rec_ids[key]: wanted[key] for key in new}, is_new=True)
        counts = ProposalCounts(len(new), len(changed), len(kept) - len(changed), len(gone), len(found) - len(kept))
        ordered = {proposal.values["sku"] for proposal in wanted.values() if proposal.values["kind"] in _ORDERING}
        _record_run(conn, run, counts, items=len(ordered))
    return counts


def statuses_of(store: OperationalStore, proposals: pl.DataFrame) -> pl.DataFrame:
    """What has become of proposals as a release holds them; found as `propose` finds them, though their day of need has moved.

    Args:
        store: The operational store.
        proposals: `recommendation_key` (unique), kind, sku, location_id, supplier_id, source_location_id, need_by.

    Returns:
        recommendation_key, rec_id, status: one row per proposal that an open recommendation stands for, in the order of `proposals`.
    """
    wanted = {row["recommendation_key"]: row for row in with_columns(proposals, PROPOSAL).iter_rows(named=True)}
    with store.transaction(writes=False) as conn:
        standing = {row["recommendation_key"]: dict(row) for row in conn.execute(_OPEN).mappings()}
    found = match_to_open(wanted, standing)
    rows = [(key, standing[found[key]]["rec_id"], standing[found[key]]["status"]) for key in wanted if key in found]
    return pl.DataFrame(rows, schema=dict.fromkeys(("recommendation_key", "rec_id", "status"), pl.String), orient="row")


def has_proposals_of(store: OperationalStore, release_id: str) -> bool:
    """Whether the run that published this release has written its proposals back."""
    with store.transaction(writes=False) as conn:
        found = conn.execute(sa.select(recommendation_run.c.run_id).where(recommendation_run.c.release_id == release_id).limit(1))
        return found.first() is not None


def list_recommendations(
    store: OperationalStore,
    *,
    locations: Collection[str] | None = None,
    suppliers: Collection[str] | None = None,
    status: str | None = None,
    kind: str | None = None,
    limit: int | None = None,
) -> pl.DataFrame:
    """Recommendations with all their fields and how good the forecast behind each has been, most urgent first.

    The last day to order decides, then what is at risk. Of the evidence: model, wape_rate, naive_wape_rate, windows_count,
    backtest_date; null where nothing could be tested.

    Args:
        store: The operational store.
        locations: Only those that lie here, both ends of a transfer; None is everywhere.
        suppliers: Only those of these suppliers or of none; None is all.
        status: Only these; without it, all that are open, whatever a person has decided.
        kind: Only of this kind.
        limit: At most this many.
    """
    proof = recommendation_evidence.c
    columns = (*recommendation.columns, *(proof[name] for name in _SHOWN_EVIDENCE))
    chosen = recommendation.c.status.not_in(ENDED) if status is None else recommendation.c.status == status
    rec = recommendation.c
    if kind is not None:
        chosen &= recommendation.c.kind == kind
    if locations is not None:
        chosen &= rec.location_id.in_(locations) & (rec.source_location_id.is_(None) | rec.source_location_id.in_(locations))
    if suppliers is not None:
        chosen &= rec.supplier_id.is_(None) | rec.supplier_id.in_(suppliers)
    urgency = (recommendation.c.order_by.asc().nulls_last(), recommendation.c.priority_score.desc())
    ties = (recommendation.c.sku, recommendation.c.location_id, recommendation.c.rec_id)
    joined = recommendation.outerjoin(recommendation_evidence, proof.rec_id == recommendation.c.rec_id)
    query = sa.select(*columns).select_from(joined).where(chosen).order_by(*urgency, *ties).limit(limit)
    with store.transaction(writes=False) as conn:
        rows = [tuple(row) for row in conn.execute(query)]
    return pl.DataFrame(rows, schema={column.name: frame_type(column.type) for column in columns}, orient="row")


def as_of_run(store: OperationalStore, run_id: str) -> date | None:
    """The last complete day that this run knew; None where no such run has proposed."""
    chosen = sa.select(recommendation_run.c.as_of_date).where(recommendation_run.c.run_id == run_id)
    with store.transaction(writes=False) as conn:
        return conn.execute(chosen).scalar()


def explanation(store: OperationalStore, rec_id: str) -> Explanation | None:
    """Why this recommendation says what it says; None where there is none of this id."""
    details, proof = recommendation_explanation, recommendation_evidence
    with store.transaction(writes=False) as conn:
        row = conn.execute(sa.select(recommendation).where(recommendation.c.rec_id == rec_id)).mappings().first()
        steps = conn.execute(
            sa.select(*(details.c[name] for name in STEP)).where(details.c.rec_id == rec_id).order_by(details.c.step_number)
        )
        step_rows = [tuple(step) for step in steps]
        evidence = conn.execute(sa.select(*(proof.c[name] for name in EVIDENCE)).where(proof.c.rec_id == rec_id)).mappings().first()
    if row is None:
        return None
    schema = {name: frame_type(details.c[name].type) for name in STEP}
    frame = pl.DataFrame(step_rows, schema=schema, orient="row")
    return Explanation(rec_id, row["reason"], row["binding_constraint"], frame, dict(evidence) if evidence else None)


def _open_rows(conn: sa.Connection) -> dict[str, Mapping[str, Any]]:
    """All open recommendations by key, locked until the transaction ends: no decision slips in between."""
    return {
        row["recommendation_key"]: dict(row) for row in conn.execute(_OPEN.order_by(recommendation.c.rec_id).with_for_update()).mappings()
    }


def _shown(conn: sa.Connection) -> tuple[Steps, Evidence]:
    """Steps and evidence of what is proposed now, by rec_id."""
    is_ours = sa.select(recommendation.c.rec_id).where(recommendation.c.status == PROPOSED)
    details, proof = recommendation_explanation, recommendation_evidence
    steps: Steps = {}
    for row in conn.execute(sa.select(details).where(details.c.rec_id.in_(is_ours)).order_by(details.c.step_number)):
        steps.setdefault(row[0], []).append(tuple(row[1:]))
    evidence = {row[0]: tuple(row[1:]) for row in conn.execute(sa.select(proof).where(proof.c.rec_id.in_(is_ours)))}
    return steps, evidence


def _insert_new(conn: sa.Connection, run: RecommendationRun, new: Iterable[tuple[str, Proposal]]) -> None:
    rows = [
        proposal.values | {"rec_id": rec_id, "status": PROPOSED, "version": 1, "first_run_id": run.run_id, "last_run_id": run.run_id}
        for rec_id, proposal in new
    ]
    if rows:
        conn.execute(sa.insert(recommendation), rows)


def _update_kept(conn: sa.Connection, run: RecommendationRun, kept: Iterable[tuple[Mapping[str, Any], Proposal, bool]]) -> None:
    rows = [
        {f"new_{name}": value for name, value in proposal.values.items()}
        | {"this_rec_id": row["rec_id"], "new_last_run_id": run.run_id, "new_version": row["version"] + is_changed}
        for row, proposal, is_changed in kept
    ]
    if rows:
        names = [*PROPOSAL, "last_run_id", "version"]
        statement = sa.update(recommendation).where(recommendation.c.rec_id == sa.bindparam("this_rec_id"))
        conn.execute(statement.values({name: sa.bindparam(f"new_{name}") for name in names}), rows)


def _supersede(conn: sa.Connection, gone: Iterable[Mapping[str, Any]]) -> None:
    rows = [{"this_rec_id": row["rec_id"]} for row in gone]
    if rows:
        statement = sa.update(recommendation).where(recommendation.c.rec_id == sa.bindparam("this_rec_id"))
        conn.execute(statement.values(status="superseded", version=recommendation.c.version + 1), rows)


def _replace_details(conn: sa.Connection, proposals: Mapping[str, Proposal], *, is_new: bool) -> None:
    """Steps and evidence of these recommendations are those of the proposals."""
    for table in (recommendation_explanation, recommendation_evidence):
        if proposals and not is_new:
            conn.execute(
                sa.delete(table).where(table.c.rec_id == sa.bindparam("this_rec_id")), [{"this_rec_id": rec_id} for rec_id in proposals]
            )
    steps = [dict(zip(STEP, step, strict=True)) | {"rec_id": rec_id} for rec_id, proposal in proposals.items() for step in proposal.steps]
    if steps:
        conn.execute(sa.insert(recommendation_explanation), steps)
    evidence = [
        dict(zip(EVIDENCE, proposal.evidence, strict=True)) | {"rec_id": rec_id}
        for rec_id, proposal in proposals.items()
        if proposal.evidence
    ]
    if evidence:
        conn.execute(sa.insert(recommendation_evidence), evidence)


def _record_run(conn: sa.Connection, run: RecommendationRun, counts: ProposalCounts, *, items: int) -> None:
    """The run stands in `recommendation_run`; one that stands there already keeps its first counts."""
    facts = {
        name: getattr(run, name) for name in ("run_id", "as_of_date", "release_id", "code_version", "config_hash", "seed", "gate_status")
    }
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    values = facts | {"counts": json.dumps(asdict(counts) | {"items": items}), "proposed_at": datetime.now(UTC)}
    conn.execute(insert(recommendation_run).values(values).on_conflict_do_nothing())
