"""What the next run would order under other policy rules: planned twice on a copy of the release, before anybody decides."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipelines.errors import PolicyRuleError
from pipelines.steps.recommend import recommend
from pipelines.steps.rule_policies import ruled_policies
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from decimal import Decimal

    import duckdb

    from inventory.rules import PolicyRule
    from pipelines.settings import Settings

_SUMS = """
    SELECT currency_code, count(*) AS lines, sum(recommended_qty)::BIGINT AS qty, sum(recommended_qty * unit_cost)::DECIMAL(18, 4) AS amount
    FROM planning.recommendations WHERE kind = 'purchase' GROUP BY currency_code
"""


@dataclass(frozen=True, slots=True)
class OrdersChange:
    """Purchase lines of the next run in one currency: how many, units, and money in major units, before and after."""

    currency_code: str
    lines_before: int
    lines_after: int
    qty_before: int
    qty_after: int
    amount_before: Decimal
    amount_after: Decimal


def preview_orders(
    release: Path, *, before: Sequence[PolicyRule], after: Sequence[PolicyRule], on: date, settings: Settings
) -> tuple[OrdersChange, ...]:
    """What is ordered on what the release knows, under the rules `before` and in their place those `after`, by currency.

    Stock, demand and forecasts are those of the release, whichever day the rules are taken of; nothing is written to it.

    Args:
        release: Its file.
        before: All versions that stand.
        after: All that would stand.
        on: The day whose rules hold.
        settings: As for a run.

    Raises:
        PolicyRuleError: Nothing can be planned; the message says what is needed.
    """
    with tempfile.TemporaryDirectory(prefix="ordercast-preview-") as folder:
        copy = Path(shutil.copy(release, folder))
        with open_warehouse(copy) as conn:
            old, new = (_orders(conn, rules, on=on, settings=settings) for rules in (before, after))
    joined = old.join(new, on="currency_code", how="full", coalesce=True, suffix="_after").fill_null(0).sort("currency_code")
    names = ("currency_code", "lines", "lines_after", "qty", "qty_after", "amount", "amount_after")
    return tuple(OrdersChange(*row) for row in joined.select(names).iter_rows())


def _orders(conn: duckdb.DuckDBPyConnection, rules: Sequence[PolicyRule], *, on: date, settings: Settings) -> pl.DataFrame:
    summary = recommend(conn, settings=settings, rules=ruled_policies(conn, rules, on=on, settings=settings))
    reason = summary.not_available or summary.withheld_reason
    if reason:
        raise PolicyRuleError(f"What would be ordered is not available: {reason}")
    return conn.sql(_SUMS).pl()
