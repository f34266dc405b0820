"""Why nothing is recommended for an item, by the names that `inventory.eligibility` gives."""

from __future__ import annotations

from typing import Final

from pipelines.faults.fault import Fault


def _left_out(code: str, what: str, next_step: str) -> Fault:
    return Fault(code, "not recommended", what, next_step)


ITEM_INACTIVE: Final = _left_out("E601", "the item is inactive or discontinued", "nothing, or activate it in the shop")
LOCATION_INACTIVE: Final = _left_out("E602", "the location is inactive", "nothing, or activate it in the shop")
NO_STOCK_LEVEL: Final = _left_out("E603", "the item has no stock level there", "count it and enter its stock")
NO_SUPPLIER: Final = _left_out("E604", "no supplier sells the item", "add its supplier's terms")
TWO_SUPPLIERS: Final = _left_out("E605", "several suppliers share the first priority", "give one of them a lower number")
NO_CURRENCY: Final = _left_out("E606", "the supplier's price has no currency", "add the currency to the terms or the supplier")
NO_COST: Final = _left_out("E607", "the supplier's price is missing", "add it to the terms")
NO_LEAD_TIME: Final = _left_out("E608", "the supplier's lead time is missing", "add it to the terms")
BAD_LEAD_TIME: Final = _left_out("E609", "the supplier's lead time is negative", "correct it in the terms")
NO_PACK_SIZE: Final = _left_out("E610", "the pack size is missing", "add it to the terms")
BAD_PACK_SIZE: Final = _left_out("E611", "the pack size is below 1", "correct it in the terms")
MAXIMUM_BELOW_MINIMUM: Final = _left_out("E612", "the most that can be ordered is below the smallest order", "correct the terms")
NO_FORECAST: Final = _left_out("E613", "the item has no forecast", "nothing, or wait until it has sold for longer")

FAULTS: Final = tuple(one for one in tuple(vars().values()) if isinstance(one, Fault))
BY_KIND: Final = {name.lower(): one for name, one in tuple(vars().items()) if isinstance(one, Fault)}
