"""What the columns of the worklist's export mean."""

from __future__ import annotations

from typing import Final

from dashboards.components.worklist import DUE_HELP, SURE_HELP

_BY_CASES: Final = "Margin lost if nothing is done before the next review, in currency_code"

DEFINITIONS: Final[dict[str, str]] = {
    "recommendation_key": "The suggestion by what it is about; the same from run to run while that stays the same.",
    "rec_id": "Its id in the operational store; blank where only the release knows it.",
    "version": "Its version in the store; a decision is about one version.",
    "state": "What it waits for: To decide, Second person, Stale, Snoozed, Approved or Rejected.",
    "status": "As the operational store has it.",
    "kind": "purchase, transfer, expedite (earlier), defer (later), cancel_po or allocate (share).",
    "kind_name": "The same in words.",
    "due": DUE_HELP,
    "order_by": "The last day on which ordering keeps the service level; what is no order is for the as-of day.",
    "sku": "The item.",
    "title": "Its name.",
    "location_id": "Where the units are wanted.",
    "location": "Its name.",
    "supplier_id": "Who is ordered from; blank where nothing is bought.",
    "supplier": "Its name.",
    "source_location_id": "Where a transfer comes from.",
    "source": "Its name.",
    "reason": "Why, in one sentence. Stock lasts until a unit is asked for and none is there.",
    "recommended_qty": "Units as proposed, in the supplier's packs.",
    "raw_qty": "Units needed before the supplier's packs, minimum and maximum.",
    "qty": "Units as decided, else as proposed.",
    "unit_cost": "Of one unit from the supplier, in currency_code.",
    "cost": "qty at the decided price, else at unit_cost, in currency_code; blank where nothing is bought.",
    "currency_code": "Of all amounts in the row.",
    "p_stockout_if_ignored": "Chance, 0 to 1, that a unit is missed before an order of the next review arrives.",
    "at_risk": "Mean of what waiting for the next review loses that this would save, in currency_code; the list's order.",
    "at_risk_basis": "Whether that is margin, or unit cost where no margin is known.",
    "cost_if_ignored_p50": f"{_BY_CASES}: half of the cases lose more.",
    "cost_if_ignored_p90": f"{_BY_CASES}: one case in ten loses more.",
    "cost_if_accepted": "Mean of holding the units until they are sold and of what is lost all the same, in currency_code.",
    "is_dearer_than_waiting": "cost_if_accepted is above at_risk; proposed for the service level's sake.",
    "service_level": "Chance, 0 to 1, that stock should last until the next order arrives.",
    "need_by": "The last day that stock lasts in the median, deliveries under way counted in; of a change, the day wanted.",
    "expected_receipt": "When it would arrive if it were done today, in the median; of a change, the day expected now.",
    "binding_constraint": "Which term of the supplier, budget or shelf life set the quantity; none where none did.",
    "forecast_gain_rate": "How much less the forecast erred than seasonal naive, as a share of naive's error; blank where not tested.",
    "rests_on": "Other suggestions about the item that the quantity takes as accepted, though nobody has decided.",
    "sure": SURE_HELP,
    "snoozed_until": "When it comes back.",
    "decided_by": "Who decided last.",
    "decided_at": "When, in the shop's time zone.",
    "decided_why": "The reason they gave, or why a second person is needed.",
    "draft_id": "The draft order or change that the approval wrote to.",
    "seen_qty": "Units that held when it was last decided.",
    "seen_unit_cost": "The price of a unit that held then, in currency_code.",
}
