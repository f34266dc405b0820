"""What ops are given: the settings of the process, and the gateways they open."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import dagster as dg

from pipelines.settings import Settings, load_settings
from pipelines.stores.operational import OperationalStore
from pipelines.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from pipelines.stores.grants import Role

WAREHOUSE_POOL: Final = "warehouse"  # limit 1: DuckDB has one writer, and a check that opens it counts too
# How old an asset may be: a day and a half misses one nightly run. Dagster's pages show what is older.
DAILY: Final = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=26), fail_window=timedelta(hours=36))
RETRY: Final = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)


class Platform(dg.ConfigurableResource[None]):
    """The settings from the environment, and the stores they name. `as_of` overrides the setting for one run."""

    as_of: str | None = None

    def settings(self) -> Settings:
        """The process's settings with this run's override."""
        settings = load_settings()
        return settings.model_copy(update={"as_of": date.fromisoformat(self.as_of)}) if self.as_of else settings

    @contextmanager
    def warehouse(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse, open for writing."""
        with open_warehouse(self.settings().warehouse_path) as conn:
            yield conn

    @contextmanager
    def store(self, role: Role) -> Iterator[OperationalStore]:
        """The operational store, migrated; on PostgreSQL with this role's rights, where the address's user was granted it."""
        with OperationalStore.open(self.settings().resolved_store_url, role=role) as store:
            store.migrate()
            yield store
