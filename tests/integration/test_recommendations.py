from __future__ import annotations

import threading
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from pipelines.stores.operational import OperationalStore
from pipelines.stores.own_tables import metadata
from pipelines.stores.recommendations import ProposalCounts, RecommendationRun, explanation, list_recommendations, propose, statuses_of

STEPS = pl.DataFrame(
    {
        "recommendation_key": ["k1", "k1", "k2"], "step_number": [2, 1, 1], "step": ["On hand", "Demand", "Demand"],
        "qty": [-4.0, 46.5, 9.0], "note": ["in stock", None, ""],
    }
)  # fmt: skip
EVIDENCE = pl.DataFrame(
    {
        "sku": [None, "A", "B"], "location_id": [None, "L", "L"], "model": ["pooled_ensemble"] * 3, "wape_rate": [0.3, 0.25, float("nan")],
        "windows_count": [6, 6, 6],
    }
)  # fmt: skip


NEED_BY = date(2026, 7, 8)


def run(run_id: str) -> RecommendationRun:
    return RecommendationRun(run_id, date(2026, 6, 30), "R1", "0.1.0", "c0ffee", 0, "passed")


def proposals(**changes: Any) -> pl.DataFrame:
    """Two purchases; `changes` go to the first."""
    common = {
        "kind": "purchase", "location_id": "L", "source_location_id": None, "supplier_id": "S", "raw_qty": 42, "recommended_qty": 48,
        "unit_cost": Decimal("3.5000"), "currency_code": "EUR", "order_by": date(2026, 7, 1), "need_by": date(2026, 7, 8),
        "expected_receipt": date(2026, 7, 7), "priority_score": 10.5, "p_stockout_if_ignored": 0.4,
        "cost_if_ignored_p50": Decimal("12.0000"),
        "cost_if_ignored_p90": None, "cost_if_accepted": Decimal("0.1250"), "reason": "It runs out.",
        "binding_constraint": "order_multiple",
        "policy_version": "1", "basis": "{}", "basis_version": 7, "expires_at": datetime(2026, 7, 8),
    }  # fmt: skip
    rows = [
        {"recommendation_key": "k1", "sku": "A"} | common | changes,
        {"recommendation_key": "k2", "sku": "B"} | common | {"priority_score": 20.0},
    ]
    money = dict.fromkeys(("unit_cost", "cost_if_ignored_p50", "cost_if_ignored_p90", "cost_if_accepted"), pl.Decimal(18, 4))
    return pl.DataFrame(rows, schema_overrides={**money, "source_location_id": pl.String})


def write(store: OperationalStore, run_id: str, frame: pl.DataFrame, steps: pl.DataFrame = STEPS) -> ProposalCounts:
    return propose(store, run(run_id), frame, steps, EVIDENCE)


def decide(store: OperationalStore, key: str, status: str) -> None:
    with store.transaction() as conn:
        conn.execute(sa.text("UPDATE recommendation SET status = :status WHERE recommendation_key = :key"), {"status": status, "key": key})


def everything(store: OperationalStore) -> dict[str, list[tuple[Any, ...]]]:
    with store.transaction(writes=False) as conn:
        return {
            name: sorted((tuple(row) for row in conn.execute(sa.select(table))), key=repr)
            for name, table in metadata.tables.items() if name.startswith("recommendation")
        }  # fmt: skip


def test_proposals_stand_in_the_store_as_they_were_made_most_urgent_first(store: OperationalStore) -> None:
    counts = write(store, "r1", proposals())

    listed = list_recommendations(store)
    assert counts == ProposalCounts(proposed=2)
    assert listed["recommendation_key"].to_list() == ["k2", "k1"]
    assert set(listed["status"]) == {"proposed"}
    assert all(len(rec_id) == 32 for rec_id in listed["rec_id"])
    assert listed.sort("recommendation_key").select(proposals().columns).rows() == proposals().rows()


def test_what_has_to_be_ordered_first_stands_first_and_then_what_risks_most(store: OperationalStore) -> None:
    write(store, "r1", proposals(order_by=date(2026, 6, 30), priority_score=1.0))
    earlier_first = list_recommendations(store)["recommendation_key"].to_list()
    write(store, "r2", proposals(order_by=None, priority_score=99.0))

    undated_last = list_recommendations(store, limit=2)["recommendation_key"].to_list()

    assert earlier_first == ["k1", "k2"]
    assert undated_last == ["k2", "k1"]


def test_a_recommendation_explains_itself(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    ids = dict(list_recommendations(store).select("sku", "rec_id").iter_rows())

    first, second = explanation(store, ids["A"]), explanation(store, ids["B"])

    assert first is not None
    assert second is not None
    assert first.steps.rows() == [(1, "Demand", 46.5, None), (2, "On hand", -4.0, "in stock")]
    assert (first.reason, first.binding_constraint) == ("It runs out.", "order_multiple")
    assert first.evidence is not None
    assert (first.evidence["wape_rate"], first.evidence["windows_count"], first.evidence["mase"]) == (0.25, 6, None)
    assert second.evidence is not None
    assert second.evidence["wape_rate"] is None
    assert explanation(store, "nobody") is None


def test_the_same_call_twice_changes_nothing(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    before = everything(store)

    counts = write(store, "r1", proposals())

    assert counts == ProposalCounts(unchanged=2)
    assert everything(store) == before


def test_a_later_run_with_the_same_numbers_keeps_id_and_version(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    before = list_recommendations(store)

    counts = write(store, "r2", proposals(basis='{"as_of_date": "2026-07-01"}', basis_version=8))

    after = list_recommendations(store)
    assert counts == ProposalCounts(unchanged=2)
    assert after.select("rec_id", "version", "first_run_id").equals(before.select("rec_id", "version", "first_run_id"))
    assert set(after["last_run_id"]) == {"r2"}
    assert after.filter(sku="A")["basis_version"].item() == 8


def test_a_later_run_with_other_numbers_updates_its_own_proposal_in_place(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    before = list_recommendations(store).filter(sku="A")

    counts = write(store, "r2", proposals(recommended_qty=60))

    after = list_recommendations(store).filter(sku="A")
    assert counts == ProposalCounts(updated=1, unchanged=1)
    assert after["rec_id"].item() == before["rec_id"].item()
    assert after.select("recommended_qty", "version", "first_run_id", "last_run_id").row(0) == (60, 2, "r1", "r2")


def test_another_reason_in_the_steps_is_a_new_version(store: OperationalStore) -> None:
    write(store, "r1", proposals())

    counts = write(store, "r2", proposals(), STEPS.with_columns(qty=pl.col("qty") + 1))

    rec_id, version = list_recommendations(store).filter(sku="A").select("rec_id", "version").row(0)
    found = explanation(store, rec_id)
    assert counts == ProposalCounts(updated=2)
    assert version == 2
    assert found is not None
    assert found.steps["qty"].to_list() == [47.5, -3.0]


def test_what_is_not_proposed_again_is_superseded_and_may_come_back_as_a_new_one(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    before = list_recommendations(store).filter(sku="B")["rec_id"].item()

    gone = write(store, "r2", proposals().head(1))
    superseded = list_recommendations(store, status="superseded")
    back = write(store, "r3", proposals())

    assert gone == ProposalCounts(unchanged=1, superseded=1)
    assert superseded.select("rec_id", "version").rows() == [(before, 2)]
    assert back == ProposalCounts(proposed=1, unchanged=1)
    assert list_recommendations(store).filter(sku="B")["rec_id"].item() != before


def test_a_run_that_proposes_nothing_supersedes_only_its_own_kinds(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    nothing = proposals().clear()

    other = propose(
        store, RecommendationRun("r2", date(2026, 7, 1), "R2", "0.1.0", "c", 0, "passed", kinds=("transfer",)), nothing, STEPS, EVIDENCE
    )
    own = write(store, "r3", nothing)

    assert (other, own) == (ProposalCounts(), ProposalCounts(superseded=2))


@pytest.mark.parametrize("status", ["approved", "applied", "snoozed", "rejected", "stale", "failed"])
def test_a_rerun_never_overwrites_what_a_person_decided(store: OperationalStore, status: str) -> None:
    write(store, "r1", proposals())
    decide(store, "k1", status)
    before = list_recommendations(store, status=status)

    again = write(store, "r2", proposals(recommended_qty=500))
    without = write(store, "r3", proposals().tail(1))

    assert again == ProposalCounts(unchanged=1, protected=1)
    assert without == ProposalCounts(unchanged=1)
    assert list_recommendations(store, status=status).equals(before)


def test_what_has_ended_makes_room_for_a_new_proposal(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    decide(store, "k1", "closed")

    counts = write(store, "r2", proposals())

    assert counts == ProposalCounts(proposed=1, unchanged=1)


def test_a_failure_half_way_writes_nothing(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    before = everything(store)

    with pytest.raises(sa.exc.IntegrityError):
        write(store, "r2", proposals(recommended_qty=0))

    assert everything(store) == before


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.concat([proposals(), proposals().head(1)]), "k1 is proposed 2 times"),
        (proposals(kind="transfer"), "also of kind transfer"),
    ],
)
def test_a_run_that_contradicts_itself_is_refused(store: OperationalStore, frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(store, "r1", frame)

    assert list_recommendations(store).is_empty()


def test_two_runs_at_once_make_each_proposal_once(store: OperationalStore, store_url: str) -> None:
    counts: list[ProposalCounts] = []

    def one_run(number: int) -> None:
        with OperationalStore.open(store_url) as own:
            counts.append(write(own, f"r{number}", proposals()))

    runs = [threading.Thread(target=one_run, args=(number,)) for number in range(4)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()

    assert sorted((count.proposed, count.unchanged) for count in counts) == [(0, 2), (0, 2), (0, 2), (2, 0)]
    assert list_recommendations(store).height == 2


def test_the_database_itself_refuses_a_second_open_recommendation_of_a_key(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    copy = (
        "INSERT INTO recommendation (rec_id, recommendation_key, kind, sku, location_id, recommended_qty, priority_score, reason, status, "
        "version, first_run_id, last_run_id) VALUES ('x', 'k1', 'purchase', 'A', 'L', 1, 0, '', 'approved', 1, 'r', 'r')"
    )

    with pytest.raises(sa.exc.IntegrityError), store.transaction() as conn:
        conn.execute(sa.text(copy))

    assert list_recommendations(store).height == 2


def test_the_run_keeps_its_first_counts(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    write(store, "r1", proposals())

    with store.transaction(writes=False) as conn:
        row = conn.execute(sa.select(metadata.tables["recommendation_run"])).mappings().one()

    assert (row["run_id"], row["as_of_date"], row["release_id"]) == ("r1", date(2026, 6, 30), "R1")
    assert row["counts"] == '{"proposed": 2, "updated": 0, "unchanged": 0, "superseded": 0, "protected": 0, "items": 2}'


def test_only_as_many_as_asked_for_are_listed(store: OperationalStore) -> None:
    write(store, "r1", proposals())

    assert list_recommendations(store, limit=1)["sku"].to_list() == ["B"]


@pytest.mark.parametrize("days", [-14, -3, 14])
def test_a_need_whose_day_moves_keeps_its_id_and_takes_the_new_key(store: OperationalStore, days: int) -> None:
    write(store, "r1", proposals())
    before = list_recommendations(store).filter(sku="A")["rec_id"].item()
    moved = NEED_BY + timedelta(days=days)

    counts = write(store, "r2", proposals(recommendation_key="k1-later", need_by=moved))

    after = list_recommendations(store).filter(sku="A")
    assert counts == ProposalCounts(updated=1, unchanged=1)
    assert after.select("rec_id", "recommendation_key", "need_by", "version").rows() == [(before, "k1-later", moved, 2)]


def test_a_key_that_moves_alone_is_no_new_version(store: OperationalStore) -> None:
    write(store, "r1", proposals(), STEPS.clear())

    counts = write(store, "r2", proposals(recommendation_key="k1-later"), STEPS.clear())

    after = list_recommendations(store).filter(sku="A")
    assert counts == ProposalCounts(unchanged=2)
    assert after.select("recommendation_key", "version").row(0) == ("k1-later", 1)


@pytest.mark.parametrize("status", ["approved", "applied", "snoozed", "rejected"])
def test_what_a_person_decided_stays_decided_though_the_day_of_need_moves(store: OperationalStore, status: str) -> None:
    write(store, "r1", proposals())
    decide(store, "k1", status)
    before = list_recommendations(store, status=status)
    later = proposals(recommendation_key="k1-later", need_by=NEED_BY + timedelta(days=7))

    counts = write(store, "r2", later)

    assert counts == ProposalCounts(unchanged=1, protected=1)
    assert list_recommendations(store, status=status).equals(before)
    assert statuses_of(store, later).rows() == [("k1-later", before["rec_id"].item(), status), ("k2", rec_id_of(store, "k2"), "proposed")]


@pytest.mark.parametrize(
    "other",
    [
        {"need_by": NEED_BY + timedelta(days=15)}, {"need_by": None}, {"supplier_id": "T"}, {"supplier_id": None},
        {"location_id": "M"}, {"source_location_id": "L2"}, {"sku": "C"},
    ],
)  # fmt: skip
def test_another_need_is_another_recommendation(store: OperationalStore, other: dict[str, Any]) -> None:
    write(store, "r1", proposals())
    decide(store, "k1", "rejected")

    counts = write(store, "r2", proposals(**{"recommendation_key": "k3"} | other))

    assert counts == ProposalCounts(proposed=1, unchanged=1)


def test_the_nearest_day_wins_and_a_row_takes_one_proposal(store: OperationalStore) -> None:
    one = proposals().head(1)
    needed = [of_day(one, f"k{day}", day) for day in (0, 10, 30)]
    write(store, "r1", pl.concat(needed))
    before = dict(list_recommendations(store).select("recommendation_key", "rec_id").iter_rows())

    counts = write(store, "r2", pl.concat([of_day(one, f"n{day}", day) for day in (9, 8, 11, 1)]))

    after = dict(list_recommendations(store).select("recommendation_key", "rec_id").iter_rows())
    # 11 is as near to 10 as 9 is: the key decides; 30 is too far from all.
    assert counts == ProposalCounts(proposed=2, updated=2, superseded=1)
    assert {key for key, rec_id in after.items() if rec_id == before["k10"]} == {"n11"}
    assert {key for key, rec_id in after.items() if rec_id == before["k0"]} == {"n1"}


def test_keys_that_move_along_a_row_of_needs_never_meet(store: OperationalStore) -> None:
    one = proposals().head(1)
    write(store, "r1", pl.concat([of_day(one, "w1", 0), of_day(one, "w2", 7), of_day(one, "w3", 14)]))
    before = set(list_recommendations(store)["rec_id"])

    counts = write(store, "r2", pl.concat([of_day(one, "w4", 21), of_day(one, "w3", 15), of_day(one, "w2", 8)]))
    back = write(store, "r3", pl.concat([of_day(one, "w1", 0), of_day(one, "w2", 7), of_day(one, "w3", 14)]))

    assert (counts.proposed, counts.updated, counts.superseded) == (1, 2, 1)
    assert (back.proposed, back.superseded) == (1, 1)
    assert len(before & set(list_recommendations(store)["rec_id"])) == 2


def test_a_key_and_its_row_may_change_places(store: OperationalStore) -> None:
    write(store, "r1", proposals())
    before = dict(list_recommendations(store).select("recommendation_key", "rec_id").iter_rows())
    swapped = proposals().with_columns(recommendation_key=pl.col("recommendation_key").reverse())

    counts = write(store, "r2", swapped)

    assert counts == ProposalCounts(updated=2)
    assert dict(list_recommendations(store).select("recommendation_key", "rec_id").iter_rows()) == before


def of_day(proposal: pl.DataFrame, key: str, day: int) -> pl.DataFrame:
    return proposal.with_columns(recommendation_key=pl.lit(key), need_by=pl.lit(NEED_BY + timedelta(days=day)))


def rec_id_of(store: OperationalStore, key: str) -> str:
    found: str = list_recommendations(store).filter(recommendation_key=key)["rec_id"].item()
    return found
