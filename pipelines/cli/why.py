"""Why something is suggested, step by step, or why nothing is: the answer to `recommendations --why`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb
from rich.markup import escape

from pipelines.errors import ReleaseError
from pipelines.stores.recommendations import explanation
from pipelines.stores.releases import open_served

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from pipelines.stores.operational import OperationalStore

LEAST_ID: Final = 6  # letters of a rec_id that name it
_SILENT: Final = """
    SELECT sku, location_id, code, kind, lasts_days, reason, policy_version FROM planning.silent_items
    WHERE sku = ? AND (location_id = ? OR ? IS NULL) ORDER BY location_id
"""
_BASIS_WORDS: Final = {"as_of_date": "with the data of", "method": "method", "service_level": "service level", "ratio": "ratio"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about a recommendation or an item.

    Attributes:
        told: Recommendations, each with `steps`, `evidence` and its `basis` as values.
        silent: Places where nothing is ordered: sku, location_id, code, kind, lasts_days, reason, policy_version.
    """

    told: list[dict[str, Any]]
    silent: list[dict[str, Any]]


def answer(store: OperationalStore | None, releases: Path, rows: list[dict[str, Any]], asked: str) -> Answer:
    """All that speaks for and against suggestions of what was asked: a recommendation's id or its beginning, a SKU, or SKU@LOCATION.

    Args:
        store: The operational store; None where it was never prepared.
        releases: Folder of the releases; the served one says why items have no suggestion.
        rows: Open recommendations that may be seen.
        asked: As it was typed.
    """
    chosen = [row for row in rows if len(asked) >= LEAST_ID and row["rec_id"].startswith(asked)]
    if chosen:
        return Answer([_with_story(store, row) for row in chosen if store is not None], [])
    sku, at, location = asked.rpartition("@")
    for name, place in ((asked, None), *([(sku, location)] if at else [])):  # an id may hold the sign itself
        told = [_with_story(store, row) for row in rows if store is not None and row["sku"] == name and place in (None, row["location_id"])]
        silent = _silent(releases, name, place)
        if told or silent:
            return Answer(told, silent)
    return Answer([], [])


def print_story(console: Console, row: dict[str, Any]) -> None:
    """The reckoning, what else was weighed, and the policy it goes by, below a recommendation's lines."""
    for step in row["steps"]:
        qty = "" if step["qty"] is None else f"{step['qty']:,.1f}".removesuffix(".0")
        note = f"  {escape(step['note'])}" if step["note"] else ""
        console.print(f"  {qty:>9}  {escape(step['step'])}{note}", highlight=False)
    basis = row["basis"]
    known = ", ".join(f"{words} {basis[name]}" for name, words in _BASIS_WORDS.items() if basis.get(name) is not None)
    bound = (row["binding_constraint"] or "none").replace("_", " ")
    console.print(f"  Policy {row['policy_version']}: {known or 'its basis is not kept'}. Bound by: {bound}.", style="dim", highlight=False)
    run_id = row["last_run_id"]
    console.print(f"  Of run {run_id}: ordercast rebuild {run_id} makes it again from what it was made from.", style="dim", highlight=False)


def print_silent(console: Console, one: dict[str, Any]) -> None:
    """Why nothing is ordered for an item, in a line."""
    code = f"{one['code']} " if one["code"] else ""
    policy = f" (policy {one['policy_version']})" if one["policy_version"] else ""
    console.print(
        f"[b]{escape(one['sku'])}[/b] at {escape(one['location_id'])}: nothing to order. {code}{escape(one['reason'])}{policy}",
        highlight=False,
    )


def _with_story(store: OperationalStore, row: dict[str, Any]) -> dict[str, Any]:
    found = explanation(store, row["rec_id"])
    steps = [] if found is None else found.steps.to_dicts()
    evidence = None if found is None else found.evidence
    return row | {"steps": steps, "evidence": evidence, "basis": json.loads(row["basis"] or "{}")}


def _silent(releases: Path, sku: str, place: str | None) -> list[dict[str, Any]]:
    try:
        with open_served(releases) as (_, conn):
            return conn.execute(_SILENT, [sku, place, place]).pl().to_dicts()
    except ReleaseError:
        return []  # nothing is published, so only the store can answer
    except duckdb.CatalogException:
        return []  # a release from before items without a suggestion were kept
