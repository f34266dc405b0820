"""One order's or one customer's story. Never cached: who looks is recorded by the caller, before it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.queries.reading import reading
from pipelines.settings import load_settings
from pipelines.stores.customer_keys import Pseudonyms
from pipelines.stores.timelines import customer_timeline, order_timeline

if TYPE_CHECKING:
    from dashboards.queries.releases import Served
    from pipelines.stores.timelines import Timeline


def order_story(served: Served, order_id: str) -> Timeline:
    """Everything that happened to one order, a guest's as well.

    Raises:
        ReportError: The release has no such order.
        ReleaseError: The release cannot be read.
    """
    with reading(served.release) as conn:
        return order_timeline(conn, order_id)


def customer_story(served: Served, customer: str) -> Timeline:
    """Everything that happened to one customer, named by the source's id or by the key that reports show.

    Raises:
        ReportError: The release has no such customer, or the source names none.
        ReleaseError: The release cannot be read.
    """
    pseudonyms = Pseudonyms.already_of_home(load_settings().resolved_home)
    hashed = (pseudonyms.key_of(customer),) if pseudonyms else ()
    with reading(served.release) as conn:
        return customer_timeline(conn, (*hashed, customer), asked=customer)
