"""The pages: what each answers, where it stands, and by what it can be narrowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

VIEWS: Final = Path(__file__).parent / "views"
EVERYTHING: Final = ("days", "channel", "location", "category", "currency")


@dataclass(frozen=True, slots=True)
class PageSpec:
    """One page.

    Attributes:
        name: File in `views/` and path in the address.
        title: What it is called in the navigation and above its content.
        question: The one question it answers; its subtitle.
        icon: A Material symbol.
        group: Whose page it is in the navigation.
        narrowed_by: Those of the global filters that it follows; on the others it says nothing.
    """

    name: str
    title: str
    question: str
    icon: str
    group: str
    narrowed_by: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The page's file."""
        return VIEWS / f"{self.name}.py"


PAGES: Final = (
    PageSpec("overview", "Overview", "How are we doing, and what needs me?", "monitoring", "Manage", EVERYTHING),
    PageSpec("customers", "Customers", "Who comes back, what are they worth, and who is leaving?", "group", "Manage", EVERYTHING),
    PageSpec("suppliers", "Suppliers and cash", "Do suppliers keep their word, and when does the money come?", "local_shipping", "Manage",
             ("days", "channel", "location", "currency")),
    PageSpec("reorder", "Reorder", "What should we order today?", "shopping_cart", "Plan"),
    PageSpec("allocation", "Allocation and transfers", "Who gets what is scarce, and what should move where?", "call_split", "Plan"),
    PageSpec("demand", "Demand", "What will be wanted, and how good have such forecasts been?", "show_chart", "Plan",
             ("location", "category")),
    PageSpec("stock", "Stock", "Where is our stock, will it last, and what lies idle?", "inventory_2", "Plan",
             ("days", "location", "category")),
    PageSpec("replay", "What-if and replay", "What if something were otherwise, and what would last year have cost?", "replay", "Plan"),
    PageSpec("fulfilment", "Fulfilment", "Do orders arrive complete and on time, and where do they wait?", "deployed_code_history",
             "Operate", ("days", "channel", "location", "currency")),
    PageSpec("at_risk", "Orders at risk", "Which orders will miss their promise, why, and who does what until when?", "running_with_errors",
             "Operate", ("channel", "location")),
    PageSpec("orders", "Open orders", "Which orders are open, which are stuck, and what happened to this one?", "pending_actions",
             "Operate", ("days", "channel", "location")),
    PageSpec("returns", "Returns", "What comes back, why, and what does it cost?", "assignment_return", "Operate", EVERYTHING),
    PageSpec("health", "Data health", "Can I trust what I see?", "verified", "Trust"),
    PageSpec("metrics", "Metrics", "What does each figure mean, and where does it come from?", "rule", "Trust", EVERYTHING),
)  # fmt: skip


def page_spec(name: str) -> PageSpec:
    """The page of this name."""
    return next(page for page in PAGES if page.name == name)
