"""All settings, in one frozen object, read from the environment and `.env`."""

from __future__ import annotations

import difflib
import os
from datetime import date
from pathlib import Path
from typing import Annotated
from zoneinfo import available_timezones

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.errors import SettingsError
from pipelines.faults.starting import IMPOSSIBLE_SETTING, NO_TIME_ZONE, UNKNOWN_SETTING

PREFIX = "ORDERCAST_"
PROJECT_ROOT = Path(__file__).resolve().parents[1]


def _known_zone(zone: str) -> str:
    if zone not in available_timezones():
        near = difflib.get_close_matches(zone, available_timezones(), n=1)
        raise ValueError(f"{zone!r} is no IANA time zone" + (f"; did you mean {near[0]!r}" if near else ", such as 'Europe/Berlin'"))
    return zone


class Settings(BaseSettings):
    """What a run needs to know beyond the data. `load_settings` refuses unknown names of ours; other programs' are not ours."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".ordercast"), description="Folder that holds all state: store, warehouse, releases, run history.")
    store_url: SecretStr | None = Field(default=None, description="Operational store; default is SQLite in the home folder.")
    as_of: date | None = Field(default=None, description="Last complete local day to report; default is derived from the data.")
    time_zone: Annotated[str, AfterValidator(_known_zone)] | None = Field(
        default=None, description="Zone of reporting days; default is what the store's merchant row says."
    )
    business_start: date = Field(
        default=date(1990, 1, 1), description="Nothing can have happened before this day; what says so is quarantined."
    )
    service_level: float = Field(default=0.95, gt=0.5, lt=1.0, description="Chance that stock lasts over lead and review time.")
    review_period_days: int = Field(
        default=7, ge=1, le=90, description="Days between two looks at the same item, where the supplier names none."
    )
    holding_cost_rate: float = Field(
        default=0.25,
        ge=0.0,
        le=2.0,
        description="Yearly cost of holding stock as a share of its cost, where the location names none.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of every random draw.")
    quarantine_block_rate: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description="Share of a batch's documents in quarantine above which nothing is published.",
    )
    quarantine_block_documents: int = Field(default=20, ge=1, description="Least number of quarantined documents that blocks publishing.")
    quarantine_reject_rate: float = Field(
        default=0.20,
        ge=0.0,
        le=1.0,
        description="Share of a batch's documents in quarantine above which the batch is rejected.",
    )
    one_person_amount: float = Field(
        default=10_000,
        ge=0.0,
        description="Most that one person may order by one decision, in the reporting currency; above it two have to agree.",
    )
    draft_days: int = Field(default=3, ge=1, le=90, description="Days after which a draft that nobody submitted counts as inbound no more.")
    releases_kept: int = Field(default=5, ge=2, description="Published releases kept for rollback.")

    @property
    def resolved_home(self) -> Path:
        """The home folder as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def embedded_store_path(self) -> Path:
        """The SQLite file that serves where no other store is named."""
        return self.resolved_home / "store.db"

    @property
    def resolved_store_url(self) -> str:
        """The store's URL, with the embedded default filled in."""
        return self.store_url.get_secret_value() if self.store_url else f"sqlite:///{self.embedded_store_path}"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file that runs write; nobody else opens it."""
        return self.resolved_home / "warehouse.duckdb"

    @property
    def releases_path(self) -> Path:
        """The folder of published releases."""
        return self.resolved_home / "releases"


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: A name is unknown or a value impossible. Nothing was started.
    """
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    for name in (*os.environ, *dotenv_values(".env")):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingsError(_unknown(name.upper(), known))
    try:
        return Settings()
    except ValidationError as exc:
        raise SettingsError("\n".join(_problem(dict(error)) for error in exc.errors())) from None


def _problem(error: dict[str, object]) -> str:
    location = error.get("loc")
    name = str(location[0]) if isinstance(location, tuple) and location else "?"
    full = name.upper() if name.upper().startswith(PREFIX) else f"{PREFIX}{name}".upper()
    fault = NO_TIME_ZONE if full == f"{PREFIX}TIME_ZONE" else IMPOSSIBLE_SETTING
    why = str(error.get("msg")).removeprefix("Value error, ")
    return f"{fault.code} Setting {full} cannot be {str(error.get('input'))[:80]!r}: {why}. Correct it and start again."


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known settings: {', '.join(sorted(known))}."
    return f"{UNKNOWN_SETTING.code} Unknown setting {name}: {hint}"
