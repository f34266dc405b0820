"""A release holds what its plans were made from: they are made again to the byte, or it is said what is gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from inventory.rules import PolicyRule, RuleScope, RuleValues
from pipelines.errors import ContractError, ReleaseError
from pipelines.settings import PROJECT_ROOT
from pipelines.steps import rebuild as rebuilding
from pipelines.steps.rebuild import rebuild
from pipelines.stores.release_files import read_release
from tests.integration.small_release import RUN_ID, publish_small_release
from tests.integration.test_planning_steps import AS_OF
from tests.resealing import reseal

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.stores.releases import Release

RULE = PolicyRule("busy", 1, RuleScope(sku="busy"), RuleValues(service_level=0.99), date(2025, 1, 1), datetime(2025, 1, 1))
DUE = AS_OF + timedelta(days=4)


def arrange(conn: duckdb.DuckDBPyConnection) -> None:
    """An override, a draft and an order on their way, lines that wait for a short item, promotions, and forecasts of past days."""
    conn.execute(
        "INSERT INTO meta.forecast_overrides VALUES ('o-1', 'busy', 'main', ?, ?, 'factor', 1.5, 'Fair', 'ann', '2025-06-01')",
        [AS_OF + timedelta(days=1), AS_OF + timedelta(days=40)],
    )
    for line, status, sku, days in (("d-1", "draft", "busy", 4), ("po-2-1", "confirmed", "calm", 30), ("po-3-1", "confirmed", "gone", 30)):
        conn.execute(
            "INSERT INTO marts.fct_inbound VALUES (?, ?, 's1', ?, ?, 'main', ?, 40)",
            [line, line[:4], status, sku, AS_OF + timedelta(days=days)],
        )
    conn.execute("UPDATE marts.fct_inventory_position SET on_hand_qty = 50 WHERE sku = 'calm'")
    conn.execute(
        "INSERT INTO marts.fct_open_order_lines SELECT line, 'o-' || line, 'calm', 'main', 'web', 1, ?, ?, qty "
        "FROM (VALUES ('l1', 40), ('l2', 30)) AS t(line, qty)",
        [AS_OF, AS_OF],
    )
    conn.execute(
        "INSERT INTO marts.fct_promotion_days SELECT sku, day::DATE, 1 FROM (VALUES ('busy'), ('calm')) AS t(sku), "
        "generate_series(DATE '2024-07-01', DATE '2025-07-20', INTERVAL 1 DAY) AS g(day) WHERE extract(day FROM day) BETWEEN 11 AND 15"
    )
    conn.execute(
        "INSERT INTO history.forecasts SELECT $day - 30, sku, 'main', $day - days::INTEGER, mean, low, high "
        "FROM (VALUES ('busy', 9.4, 5.0, 14.0), ('calm', 2.0, 0.1, 4.0)) AS t(sku, mean, low, high), range(0, 28) AS r(days)",
        {"day": AS_OF},
    )


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return publish_small_release(tmp_path_factory.mktemp("planned"), rules=[RULE], arrange=arrange)


@pytest.fixture
def release(published: Release, tmp_path: Path) -> Release:
    """A copy that a test may damage."""
    folder = tmp_path / "home" / "releases"
    shutil.copytree(published.path.parent, folder)
    return read_release(folder, RUN_ID)


def change(release: Release, *statements: str) -> Release:
    """The release with another content, sealed as if it had been published so."""
    with duckdb.connect(str(release.path)) as conn:
        for statement in statements:
            conn.execute(statement)
    reseal(release.path)
    return read_release(release.path.parent, release.release_id)


def test_what_a_run_recommended_is_made_again_to_the_byte(published: Release) -> None:
    made = rebuild(published)

    assert [table.table for table in made.tables if not table.is_same] == []
    assert made.is_same
    assert made.is_evidence_rebuilt
    assert made.code_differences == ()
    kinds = {table.table: table.rows_count for table in made.tables}
    assert kinds["recommendations"] >= 3
    assert kinds["forecast_daily"] > 0
    with duckdb.connect(str(published.path), read_only=True) as conn:
        held = dict(conn.sql("SELECT kind, count(*) FROM planning.recommendations GROUP BY kind").fetchall())
        assert {"purchase", "allocate", "cancel_po"} <= set(held)
        assert conn.sql("SELECT count(*) FROM planning.recent_forecasts").fetchone() == (56,)
        assert conn.sql("SELECT count(*) FROM planning.recommendations WHERE policy_version LIKE 'busy/1%'").fetchone() != (0,)


def test_evidence_of_an_earlier_run_is_taken_as_it_was_kept(release: Release) -> None:
    kept = change(release, "UPDATE planning.backtest_run SET run_id = 'earlier', as_of_date = as_of_date")

    made = rebuild(kept)

    assert made.is_same
    assert not made.is_evidence_rebuilt
    assert "backtest_weeks" not in {table.table for table in made.tables}


def test_other_threads_and_another_hash_seed_give_the_same_bytes(release: Release) -> None:
    found = []
    for seed, threads, cores in (("1", "1", {0}), ("4242", "5", os.sched_getaffinity(0))):
        environment = os.environ | {
            "PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads,
            "ORDERCAST_HOME": str(release.path.parents[1]), "PYTHONPATH": str(PROJECT_ROOT),
        }  # fmt: skip
        script = (
            f"import os; os.sched_setaffinity(0, {cores!r})\n"
            "from pathlib import Path\n"
            "from pipelines.steps.rebuild import rebuild\n"
            "from pipelines.stores.release_files import read_release\n"
            f"print(rebuild(read_release(Path({str(release.path.parent)!r}), {RUN_ID!r})).sha256)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout.strip())

    assert found[0] == found[1] == rebuild(release).sha256


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE marts.fct_inventory_position SET on_hand_qty = on_hand_qty + 7 WHERE sku = 'busy'", "recommendations"),
        ("UPDATE marts.dim_supplier_items SET unit_cost_amount = unit_cost_amount + 1 WHERE sku = 'busy'", "recommendations"),
        ("UPDATE meta.policy_rules SET settings = '{\"service_level\": 0.6}'", "recommendations"),
        ("UPDATE meta.forecast_overrides SET value = 1.6", "forecast_daily"),
        ("UPDATE planning.recent_forecasts SET demand_p90_qty = 0.2", "forecast_checks"),
        (
            "UPDATE planning.planning_run SET settings = replace(settings, '\"service_level\": 0.95', '\"service_level\": 0.7')",
            "silent_items",
        ),
    ],
)
def test_an_input_that_was_changed_is_found(release: Release, statement: str, table: str) -> None:
    made = rebuild(change(release, statement))

    differing = {one.table: one for one in made.tables if not one.is_same}
    assert table in differing
    assert differing[table].differing_counts
    assert differing[table].examples


def test_a_recommendation_that_was_changed_is_named_by_row_and_column(release: Release) -> None:
    made = rebuild(
        change(
            release, "UPDATE planning.recommendations SET recommended_qty = recommended_qty + 1 WHERE kind = 'purchase' AND sku = 'busy'"
        )
    )

    (differing,) = [one for one in made.tables if not one.is_same]
    assert (differing.table, differing.differing_counts) == ("recommendations", {"recommended_qty": 1})
    (example,) = differing.examples
    assert example.column == "recommended_qty"
    assert example.published == example.rebuilt + 1
    assert set(example.row) == {"recommendation_key"}


def test_a_row_that_one_side_lacks_is_counted(release: Release) -> None:
    made = rebuild(change(release, "DELETE FROM planning.silent_items WHERE sku = 'gone'"))

    (differing,) = [one for one in made.tables if not one.is_same]
    assert differing.differing_counts == {"(row)": 1}
    assert (differing.examples[0].published, differing.examples[0].rebuilt) == (False, True)


def test_a_damaged_file_is_not_read(release: Release) -> None:
    with release.path.open("r+b") as file:
        file.seek(200_000)
        file.write(b"\xff\x00\xff")

    with pytest.raises(ReleaseError, match="is damaged"):
        rebuild(release)


@pytest.mark.parametrize("table", ["marts.dim_product_classes", "planning.recent_forecasts", "meta.source_fields"])
def test_a_release_that_lacks_an_input_says_which(release: Release, table: str) -> None:
    lacking = change(release, f"DROP TABLE {table}")

    with pytest.raises(ReleaseError, match=f"does not hold {table}"):
        rebuild(lacking)


def test_a_release_from_before_inputs_were_kept_says_so(release: Release) -> None:
    old = change(release, "DROP TABLE planning.planning_run")

    with pytest.raises(ReleaseError, match=r"does not hold planning\.planning_run: it was made before"):
        rebuild(old)


def test_plans_that_no_run_has_finished_are_not_made_again(release: Release) -> None:
    unfinished = change(release, "DELETE FROM planning.planning_run")

    with pytest.raises(ReleaseError, match="no run has finished"):
        rebuild(unfinished)


def test_a_release_with_the_plans_of_another_run_names_that_run(release: Release) -> None:
    refreshed = change(release, "UPDATE planning.planning_run SET run_id = '20250630T060000-bbbbbb'")

    with pytest.raises(ReleaseError, match="carries the plans of run 20250630T060000-bbbbbb"):
        rebuild(refreshed)


def test_code_that_reads_what_the_release_does_not_keep_is_refused(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "gather_panel", lambda conn: conn.sql("FROM raw.orders").fetchall())

    with pytest.raises(ReleaseError, match=r"cannot read what release .* keeps"):
        rebuild(release)


def test_another_code_is_named_part_by_part(release: Release) -> None:
    other = change(release, 'UPDATE planning.planning_run SET code = json_merge_patch(code, \'{"polars": "1.0.0", "inventory": "older"}\')')

    made = rebuild(other)

    assert made.is_same
    assert {(one.part, one.then) for one in made.code_differences} == {("polars", "1.0.0"), ("inventory", "older")}


def test_the_tables_are_written_as_canonical_text(release: Release, tmp_path: Path) -> None:
    changed = change(release, "UPDATE planning.silent_items SET reason = 'Other.' WHERE sku = 'gone'")

    rebuild(changed, to=tmp_path / "out")

    lines = [json.loads(line) for line in (tmp_path / "out" / "silent_items.jsonl").read_text().splitlines()]
    kept = [json.loads(line) for line in (tmp_path / "out" / "silent_items.published.jsonl").read_text().splitlines()]
    assert lines == sorted(lines, key=lambda row: (row["code"] is not None, row["code"] or "", row["kind"]))
    assert [row["reason"] for row in kept if row["sku"] == "gone"] == ["Other."]
    assert not (tmp_path / "out" / "recommendations.published.jsonl").exists()


def test_a_folder_that_holds_something_is_not_written_to(published: Release, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(ContractError, match="is not empty"):
        rebuild(published, to=tmp_path)
