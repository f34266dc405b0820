"""The answers of the page about customers in a sentence each, for those who read nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.components.customer_groups import best_title, lateness_title, named_segments, pair_title, segment_title
from dashboards.components.customer_parts import alive_title, cohort_title
from dashboards.components.formats import escape_markdown
from dashboards.queries import customers
from dashboards.queries.reports import report

if TYPE_CHECKING:
    from dashboards.filters import Filters
    from dashboards.queries.releases import Served


def answers(served: Served, filters: Filters) -> list[tuple[str, str]]:
    """Part of the page, and what it says; without those that the source cannot feed or that have nothing to say."""
    found: list[tuple[str, str]] = []
    if not report(served, "cohorts_monthly", limit=1).missing:
        found.append(("Coming back", cohort_title(customers.cohort_change(served), served.context.currency_code, is_rate=True)))
    if (bands := customers.alive_bands(served)).height:
        found.append(("Leaving", alive_title(bands)))
    if (groups := named_segments(served)).height:
        found.append(("Segments", segment_title(groups)))
    if (best := customers.top_customers(served, filters.report_days)).height:
        found.append(("Best customers", best_title(best)))
    if not report(served, "basket_pairs", limit=1).missing and (pairs := customers.basket_pairs(served, "sku")).height:
        found.append(("Bought together", pair_title(pairs.row(0, named=True))))
    if (
        not report(served, "review_scores", limit=1).missing
        and (scores := customers.scores_by_lateness(served, filters.report_days)).height
    ):
        found.append(("Satisfaction", lateness_title(scores)))
    return [(part, escape_markdown(answer)) for part, answer in found]
