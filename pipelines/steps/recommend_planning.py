"""Each item's demand is simulated once, and all that is decided about it rests on the same courses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from forecasting.paths import path_chunks
from forecasting.spread import fit_spread
from inventory.changes import apply_changes, propose_changes
from inventory.explain_targets import Step
from inventory.money import bounded_ratio, money_ratio, unit_money
from inventory.moves import weigh_holding
from inventory.protection_demand import cumulative_demand
from inventory.reorder import plan_reorder
from inventory.reorder_decision import NoOrder, Reorder
from inventory.schema import OrderTerms, Position
from inventory.suppliers import Offer, choose_offer, loser_words, weigh_offers
from pipelines.steps.recommend_overrides import like_paths
from pipelines.steps.recommend_wording import money_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from forecasting.pooled import PooledFit
    from forecasting.schema import FloatArray, PathArray
    from forecasting.spread import SumDistribution
    from inventory.changes import OrderChange
    from inventory.moves import Holding
    from inventory.schema import Inbound, LeadTime, ReorderPolicy, RoundedOrder
    from inventory.suppliers import Weighed
    from pipelines.steps.recommend_overrides import SeriesOverride
    from pipelines.steps.recommend_policies import Item

METHODS_VERSION: Final = 4
PATHS: Final = 400
HORIZON_STEPS: Final = (7, 14, 21, 28, 42, 56, 84, 112, 168, 252, 365)  # items of like protection time are simulated together


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """What was decided about one item at one location.

    Attributes:
        item: As read from the marts, with the terms of the supplier that was chosen.
        position: Stock and what is on its way, as it stands.
        decision: The order, or why there is none.
        changes: Of orders that stand; the decision takes them as made.
        rejected: Alternatives that were weighed and not taken.
        holding: What its units are worth here; None where nothing could be moved.
    """

    item: Mapping[str, Any]
    position: Position
    decision: Reorder | NoOrder
    changes: tuple[OrderChange, ...] = ()
    rejected: tuple[Step, ...] = ()
    holding: Holding | None = None
    policy: ReorderPolicy = field(kw_only=True)

    @property
    def key(self) -> Item:
        """Sku and location_id."""
        return self.item["sku"], self.item["location_id"]

    @property
    def is_short(self) -> bool:
        """An order is wanted, also where the smallest one is not worth its holding."""
        return isinstance(self.decision, Reorder) or self.decision.kind == "not_worth"

    @property
    def policy_version(self) -> str:
        """Of the rule that set the policy, or its method and the version of how methods are reckoned."""
        return self.policy.version or f"{self.policy.method}/{METHODS_VERSION}"


@dataclass(frozen=True, slots=True)
class Planner:
    """All that deciding about items takes; `delays` by supplier and sku, the rest by sku and location.

    `transfer_days` says for each location how long a transfer takes to it, for those where that is known.
    `offers` holds for each sku the terms of all its suppliers that can be ordered from, the first priority first.
    """

    as_of: date
    seed: int
    fit: PooledFit
    policies: Mapping[Item, ReorderPolicy]
    delays: Mapping[tuple[str, str], LeadTime]
    offers: Mapping[str, Sequence[Mapping[str, Any]]]
    inbound: Mapping[Item, tuple[Inbound, ...]]
    overrides: Mapping[Item, SeriesOverride]
    like_means: Mapping[Item, FloatArray]
    spreads: dict[int, SumDistribution]
    transfer_days: Mapping[str, int]

    def plan(self, items: Sequence[Mapping[str, Any]], orders: Mapping[Item, RoundedOrder] | None = None) -> Iterator[ItemPlan]:
        """What to do about each item; items of like protection time are simulated together.

        Args:
            items: Rows of `read_items` that nothing excludes.
            orders: Quantities that are decided already, for the items they name.
        """
        positions = {key: index for index, key in enumerate(self.fit.matrix.keys.iter_rows())}
        groups: dict[int, dict[int, Mapping[str, Any]]] = {}
        for item in items:
            usual = self.delays[item["supplier_id"], item["sku"]].quantile(0.5) + self._policy(item).review_period_days
            step = next((step for step in HORIZON_STEPS if step >= usual), usual)
            groups.setdefault(step, {})[positions[item["sku"], item["location_id"]]] = item
        for step, members in sorted(groups.items()):
            longest = max(self.longest(item) for item in members.values())
            rows = np.array(sorted(members), dtype=np.int64)
            if step not in self.spreads:
                self.spreads[step] = fit_spread(self.fit, periods=step)
            for chunk, paths in path_chunks(
                self.fit, rows, periods=max(step, longest), paths=PATHS, seed=self.seed, spread_periods=step, spread=self.spreads[step]
            ):
                for row, demand in zip(chunk.tolist(), paths, strict=True):
                    item = members[row]
                    yield self._plan_item(item, demand, (orders or {}).get((item["sku"], item["location_id"])))

    def longest(self, item: Mapping[str, Any]) -> int:
        """Days that an item's demand has to be simulated for, whichever supplier is taken."""
        suppliers = {item["supplier_id"], *(offer["supplier_id"] for offer in self.offers.get(item["sku"], ()))}
        return max(int(self.delays[supplier, item["sku"]].sample[-1]) for supplier in suppliers) + self._policy(item).review_period_days

    def _policy(self, item: Mapping[str, Any]) -> ReorderPolicy:
        return self.policies[item["sku"], item["location_id"]]

    def _plan_item(self, item: Mapping[str, Any], demand: PathArray, order: RoundedOrder | None) -> ItemPlan:
        key, policy = (item["sku"], item["location_id"]), self._policy(item)
        statistical = like_paths(demand, self.like_means[key]) if key in self.like_means else demand
        override = self.overrides.get(key)
        paths = statistical if override is None else override.applied(statistical)
        position = item_position(item, self.inbound.get(key, ()))
        changes = self._changes(item, paths, position)
        changed = replace(position, inbound=tuple(apply_changes(position.inbound, changes))) if changes else position
        plan = ItemPlan(item, position, self._reorder(item, item, paths, changed, order), tuple(changes), policy=policy)
        if plan.is_short and order is None and len(self.offers.get(item["sku"], ())) > 1:
            plan = self._chosen(plan, paths, changed)
        if isinstance(plan.decision, Reorder) and override is not None:
            plan = replace(plan, decision=override.explained(plan.decision, statistical, seed=self.seed))
        if not self.transfer_days or order is not None:
            return plan
        return replace(plan, holding=self._holding(plan.item, paths, changed, is_short=plan.is_short))

    def _holding(self, item: Mapping[str, Any], paths: PathArray, position: Position, *, is_short: bool) -> Holding:
        return weigh_holding(
            paths, position=position, lead_time=self.delays[item["supplier_id"], item["sku"]], policy=self._policy(item),
            as_of=self.as_of, transfer_days=self.transfer_days.get(item["location_id"]) if is_short else None, seed=self.seed,
        )  # fmt: skip

    def _reorder(
        self, item: Mapping[str, Any], offer: Mapping[str, Any], paths: PathArray, position: Position, order: RoundedOrder | None
    ) -> Reorder | NoOrder:
        return plan_reorder(
            paths,
            position=position,
            lead_time=self.delays[offer["supplier_id"], item["sku"]],
            terms=order_terms(item, offer),
            policy=self._policy(item),
            as_of=self.as_of,
            shelf_life_days=item["shelf_life_days"],
            order=order,
            seed=self.seed,
        )

    def _changes(self, item: Mapping[str, Any], paths: PathArray, position: Position) -> list[OrderChange]:
        if all(one.po_line_id is None for one in position.inbound):
            return []
        policy, terms = self._policy(item), order_terms(item, item)
        money = unit_money(terms, policy)
        return propose_changes(
            cumulative_demand(paths), position=position, lead_time=self.delays[item["supplier_id"], item["sku"]], policy=policy,
            money=money, unit_cost_amount=terms.unit_cost_amount, ratio=bounded_ratio(money_ratio(money, policy), policy), as_of=self.as_of,
        )  # fmt: skip

    def _chosen(self, plan: ItemPlan, paths: PathArray, position: Position) -> ItemPlan:
        """The plan with the terms and the order of the supplier that costs least in all, and why the others were not taken."""
        item = plan.item
        plans = {item["supplier_id"]: plan.decision} if isinstance(plan.decision, Reorder) else {}
        for offer in self.offers[item["sku"]]:
            if offer["supplier_id"] != item["supplier_id"] and offer["currency_code"] == item["currency_code"]:
                decision = self._reorder(item, offer, paths, position, None)
                if isinstance(decision, Reorder):
                    plans[offer["supplier_id"]] = decision
        if set(plans) <= {item["supplier_id"]}:
            return plan
        offers = [Offer(supplier, plan.lead_time, plan.terms, plan.rounded.qty) for supplier, plan in plans.items()]
        weighed = weigh_offers(
            cumulative_demand(paths), offers, position=position, policy=self._policy(item), as_of=self.as_of, seed=self.seed
        )
        best = choose_offer(weighed)
        rejected = tuple(_rejected(one, best, item["currency_code"]) for one in weighed if one is not best)
        if isinstance(plan.decision, NoOrder):
            rejected = (Step(f"Rejected: order from {item['supplier_id']}", None, plan.decision.reason), *rejected)
        terms = next(offer for offer in self.offers[item["sku"]] if offer["supplier_id"] == best.offer.supplier_id)
        return replace(plan, item={**item, **terms}, decision=plans[best.offer.supplier_id], rejected=rejected)


def item_position(item: Mapping[str, Any], inbound: tuple[Inbound, ...]) -> Position:
    """Stock of an item as it stands; what the source does not say is 0."""
    return Position(
        on_hand_qty=item["on_hand_qty"],
        committed_qty=item["committed_qty"] or 0,
        reserved_qty=item["reserved_qty"] or 0,
        damaged_qty=item["damaged_qty"] or 0,
        backorder_qty=item["backorder_qty"] or 0,
        inbound=inbound,
    )


def order_terms(item: Mapping[str, Any], offer: Mapping[str, Any]) -> OrderTerms:
    """An offer's terms for the item; a list price in another currency than the supplier's is not known."""
    is_one_currency = item["list_price_currency_code"] == offer["currency_code"]
    return OrderTerms(
        unit_cost_amount=offer["unit_cost_amount"],
        list_price_amount=item["list_price_amount"] if is_one_currency else None,
        min_order_qty=offer["min_order_qty"],
        order_multiple=offer["order_multiple"],
        max_order_qty=offer["max_order_qty"],
    )


def _rejected(loser: Weighed, winner: Weighed, currency: str) -> Step:
    amount = money_words(abs(loser.cost_amount - winner.cost_amount), currency)
    return Step(f"Rejected: order from {loser.offer.supplier_id}", None, loser_words(loser, winner, amount=amount))
