"""A shortage shared anew among order lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from inventory.fair_share import fair_share

if TYPE_CHECKING:
    from collections.abc import Sequence

_ITEM = "item"  # one item is shared at a time


def share_anew(
    stock_qty: int, line_ids: Sequence[str], wants: Sequence[int], floors: Sequence[int], priorities: Sequence[int | None]
) -> list[int]:
    """Units for each line as `fair_share` gives them: floors first, then one priority after the other in proportion to the wants.

    Args:
        stock_qty: Units to give.
        line_ids: Names of the lines; unique.
        wants: Units that each wants.
        floors: Units that each gets first.
        priorities: The lowest number is served first, None last.
    """
    lines = pl.DataFrame({"location_id": line_ids}, schema={"location_id": pl.String}).with_columns(sku=pl.lit(_ITEM))
    given = fair_share(
        pl.DataFrame({"sku": [_ITEM], "available_qty": [max(0, stock_qty)]}),
        lines.with_columns(
            pl.Series("wanted_qty", wants, dtype=pl.Int64), pl.Series("priority", priorities, dtype=pl.Int64)
        ),
        floors=lines.with_columns(pl.Series("qty", floors, dtype=pl.Int64)),
    )  # fmt: skip
    by_line = dict(given.select("location_id", "qty").iter_rows())
    return [by_line[line_id] for line_id in line_ids]
