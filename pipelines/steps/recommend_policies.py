"""How each item is kept: the merchant's settings, or the rule that names it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from inventory.schema import ReorderPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from inventory.schema import Method
    from pipelines.settings import Settings

Item = tuple[str, str]
MOSTLY_LOST: Final = 0.5  # share of lost sales from which stock is planned for customers who do not wait


def item_policies(
    items: Iterable[Mapping[str, Any]], *, settings: Settings, rules: Mapping[Item, ReorderPolicy] | None = None
) -> dict[Item, ReorderPolicy]:
    """The policy of each item at each location, by sku and location.

    A rule's policy holds as it is. Without one the settings decide: where at least half of what is missed is lost, the path newsvendor,
    else the order-up-to level; the supplier's review period and the location's holding cost go before the settings'.

    Args:
        items: sku, location_id, review_period_days, holding_cost_rate; the last two may be null.
        settings: Service level, share of lost sales, review period, holding cost.
        rules: Policies that rules set, for the items they name.
    """
    usual = ReorderPolicy(
        service_level=settings.service_level,
        review_period_days=settings.review_period_days,
        holding_cost_rate=settings.holding_cost_rate,
        method=usual_method(settings),
        lost_sales_share=settings.lost_sales_share,
    )
    found: dict[Item, ReorderPolicy] = {}
    for item in items:
        key = (item["sku"], item["location_id"])
        rate = item["holding_cost_rate"]
        found[key] = (rules or {}).get(key) or replace(
            usual,
            review_period_days=int(item["review_period_days"] or usual.review_period_days),
            holding_cost_rate=usual.holding_cost_rate if rate is None else rate,
        )
    return found


def usual_method(settings: Settings) -> Method:
    """How stock is planned where no rule says."""
    return "path_newsvendor" if settings.lost_sales_share >= MOSTLY_LOST else "order_up_to"
