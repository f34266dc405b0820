"""What ids are called: members of dimensions by name, and what the global filters offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dashboards.queries.reading import read_frame

if TYPE_CHECKING:
    from dashboards.queries.releases import Served

NAMES: Final = {
    "sku": "select sku as id, any_value(title) as name from marts.dim_products group by sku",
    "location": "select location_id as id, any_value(name) as name from marts.dim_locations group by location_id",
    "supplier": "select supplier_id as id, any_value(supplier_name) as name from marts.dim_supplier_items group by supplier_id",
}
_OFFERED: Final = {
    "channel": "select distinct channel_id as id from marts.fct_orders where channel_id is not null order by id",
    "location": "select location_id as id from marts.dim_locations order by coalesce(name, location_id), location_id",
    "category": "select distinct category as id from marts.dim_products where category is not null order by id",
    "currency": "select distinct currency_code as id from marts.fct_orders where currency_code is not null order by id",
}
_CODES: Final = frozenset({"reason", "condition", "restock_type", "segment", "match_basis"})


def told(dimension: str, member: str) -> str:
    """A member without a name as people read it: `changed_mind` is "changed mind"; ids stay as they are."""
    return member.replace("_", " ") if dimension in _CODES else member


def member_names(served: Served, dimension: str) -> dict[str, str]:
    """A name for each id that has one; ids without are their own name. Two ids of one name are told apart by the id."""
    if dimension not in NAMES:
        return {}
    frame = read_frame(served.release, NAMES[dimension]).drop_nulls()
    seen = frame["name"].value_counts()
    doubled = set(seen.filter(seen["count"] > 1)["name"])
    return {member: f"{name} ({member})" if name in doubled else name for member, name in frame.iter_rows()}


def offered(served: Served, dimension: str) -> dict[str, str]:
    """The members that a global filter offers, id to name, in the order in which they are listed."""
    names = member_names(served, dimension)
    return {member: names.get(member, member) for member in read_frame(served.release, _OFFERED[dimension])["id"]}
