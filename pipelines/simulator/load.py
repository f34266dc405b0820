"""Putting a simulated merchant into an operational store, and letting the store live on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl
import sqlalchemy as sa

from pipelines.errors import ContractError, SettingsError
from pipelines.simulator.clock import Clock
from pipelines.simulator.history import live
from pipelines.simulator.merchant import simulate, tables_as_of
from pipelines.simulator.scenarios import SCENARIOS, Scenario
from pipelines.stores.change_feed import install_feed
from pipelines.stores.operational import Merchant
from pipelines.stores.source_contract import SOURCE_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.stores.operational import OperationalStore

    Progress: TypeAlias = Callable[[str, float], None]

_ORIGIN: Final = "simulator"
_SIMULATING_SHARE: Final = 0.25  # of the time that `load_merchant` takes
_LIVING_SHARE: Final = 0.8  # of the time that `continue_merchant` takes


@dataclass(frozen=True, slots=True)
class LoadCounts:
    """Rows written by table (new and changed together), rows deleted by table, and until when the store's data goes."""

    merchant: Merchant
    rows: dict[str, int] = field(default_factory=dict)
    rows_deleted: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All rows written or deleted."""
        return sum(self.rows.values()) + sum(self.rows_deleted.values())


def scenario_named(name: str) -> Scenario:
    """The scenario of this name.

    Raises:
        SettingsError: There is none.
    """
    if name not in SCENARIOS:
        raise SettingsError(f"There is no scenario {name!r}; choose one of {', '.join(SCENARIOS)}.")
    return SCENARIOS[name]


def load_merchant(store: OperationalStore, scenario: Scenario, *, seed: int, on_progress: Progress | None = None) -> LoadCounts:
    """The store holds this merchant, with the change feed installed; all of it or, on any failure, nothing.

    Args:
        store: A store without a merchant.
        scenario: One of `SCENARIOS`, or a variation of it; only the former can be continued later.
        seed: Same seed, same merchant.
        on_progress: Told what is being done and the share that is done, 0 to 1.

    Raises:
        ContractError: The store has a merchant already; it is unchanged.
    """
    tell = on_progress or _silent
    store.migrate()
    if (present := store.merchant()) is not None:
        raise ContractError(f"The store already holds {present.name} ({present.origin}); continue it, or name an empty store.")
    tell(f"living through {scenario.total_days} days", 0.0)
    simulated = simulate(scenario, seed=seed)
    merchant = Merchant(
        merchant_id=f"{scenario.name}-{seed}",
        name=f"Simulated merchant ({scenario.name})",
        reporting_time_zone=scenario.time_zone,
        currency_code=scenario.currency,
        origin=f"{_ORIGIN}:{scenario.name}:{seed}",
        data_until=simulated.data_until,
    )
    counts = LoadCounts(merchant)
    total, done = sum(frame.height for frame in simulated.tables.values()), 0
    with store.one_transaction():
        store.create_source_tables({name: frame.columns for name, frame in simulated.tables.items()})
        for name, frame in simulated.tables.items():
            tell(name, _SIMULATING_SHARE + (1 - _SIMULATING_SHARE) * done / total)
            store.append(name, frame)
            counts.rows[name] = frame.height
            done += frame.height
        install_feed(store)
        store.save_merchant(merchant)
    return counts


def continue_merchant(store: OperationalStore, *, days: int, on_progress: Progress | None = None) -> LoadCounts:
    """The store has lived through the next `days` days; only rows that these days made or changed were touched.

    Rows that others wrote stay, and so does what others changed in rows that these days leave alone.

    Args:
        store: A store that `load_merchant` filled.
        days: Days to add, at least 1.
        on_progress: Told what is being done and the share that is done, 0 to 1.

    Raises:
        ContractError: The store holds no simulated merchant of a known scenario; it is unchanged.
    """
    if days < 1:
        raise ContractError(f"A merchant can be continued by 1 day or more, not by {days}.")
    tell = on_progress or _silent
    merchant, scenario, seed, lived = _read_origin(store)
    tell(f"living through {lived + days} days", 0.0)
    history = live(scenario.continued(lived + days - scenario.days), seed=seed)
    before, after = tables_as_of(history, days=lived), tables_as_of(history, days=lived + days)
    counts = LoadCounts(replace(merchant, data_until=history.clock.utc(history.clock.now)))
    with store.one_transaction():
        for done, (name, frame) in enumerate(after.items()):
            tell(name, _LIVING_SHARE + (1 - _LIVING_SHARE) * done / len(after))
            changed = frame.join(before[name], on=frame.columns, how="anti", nulls_equal=True)
            gone = before[name].join(frame, on=SOURCE_TABLES[name].key, how="anti")
            if changed.height:
                store.upsert(name, changed)
            _delete(store, name, gone)
            counts.rows[name], counts.rows_deleted[name] = changed.height, gone.height
        store.save_merchant(counts.merchant)
    return counts


def _silent(_detail: str, _share: float) -> None:
    """Nobody wants to know."""


def _read_origin(store: OperationalStore) -> tuple[Merchant, Scenario, int, int]:
    """The store's merchant, its scenario and seed, and the days it has lived."""
    merchant = store.merchant()
    kind, _, rest = (merchant.origin if merchant else "").partition(":")
    name, _, seed = rest.partition(":")
    if merchant is None or kind != _ORIGIN or name not in SCENARIOS or not seed.isdigit() or merchant.data_until is None:
        origin = f"{merchant.name} ({merchant.origin})" if merchant else "no merchant"
        raise ContractError(f"The store holds {origin}; only a store filled by `ordercast simulate` can be continued.")
    scenario = SCENARIOS[name]
    return merchant, scenario, int(seed), Clock(scenario.start, scenario.days, scenario.time_zone).day_of_utc(merchant.data_until)


def _delete(store: OperationalStore, name: str, rows: pl.DataFrame) -> None:
    """Rows with these keys are gone."""
    if rows.height == 0:
        return
    key = SOURCE_TABLES[name].key
    table = sa.table(name, *(sa.column(column) for column in key))
    statement = sa.delete(table).where(*(table.c[column] == sa.bindparam(f"key_{column}") for column in key))
    with store.transaction() as conn:
        conn.execute(statement, [{f"key_{column}": row[column] for column in key} for row in rows.select(key).to_dicts()])
