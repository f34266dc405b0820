"""All settings, in one frozen object, read from the environment, `.env`, a folder of secrets and a TOML file, in this order."""

from __future__ import annotations

import difflib
import os
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from pipelines import setting_sources as sources
from pipelines import setting_values as values
from pipelines.errors import SettingsError
from pipelines.faults.starting import IMPOSSIBLE_SETTING, NO_TIME_ZONE, UNKNOWN_SETTING

PREFIX = "ORDERCAST_"
PROJECT_ROOT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """What a run needs to know beyond the data. `load_settings` refuses unknown names of ours; other programs' are not ours."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(default=Path(".ordercast"), description="Folder that holds all state: store, warehouse, releases, run history.")
    store_url: SecretStr | None = Field(default=None, description="Operational store; default is SQLite in the home folder.")
    dagster_store_url: Annotated[SecretStr, AfterValidator(values.postgresql_url)] | None = Field(
        default=None,
        description="PostgreSQL database, a separate one, that Dagster keeps its history in; default is files in the home folder.",
    )
    as_of: date | None = Field(default=None, description="Last complete local day to report; default is derived from the data.")
    time_zone: Annotated[str, AfterValidator(values.known_zone)] | None = Field(
        default=None, description="Zone of reporting days; default is what the store's merchant row says."
    )
    business_start: date = Field(
        default=date(1990, 1, 1), description="Nothing can have happened before this day; what says so is quarantined."
    )
    service_level: float = Field(
        default=0.95, gt=0.5, lt=1.0, description="Chance that an order is enough, at most; where money asks for less, less is ordered."
    )
    lost_sales_share: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="Share of the units missed that is lost; the rest is bought later. Below 0.5 stock is planned for customers who wait.",
    )
    budget_amount: float | None = Field(
        default=None, ge=0.0, description="Most that one run may suggest to order, in the reporting currency; default is no limit."
    )
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
    operator: str | None = Field(
        default=None,
        min_length=1,
        description="Operator that the pages decide as where nobody signs in (see ordercast operators); without one they are read-only.",
    )
    oidc_metadata_url: Annotated[str, AfterValidator(values.web_address)] | None = Field(
        default=None,
        description="Who people sign in with: the provider's .well-known/openid-configuration; https, or http on this machine.",
    )
    oidc_client_id: str | None = Field(default=None, min_length=1, description="Id that the provider knows the pages under.")
    oidc_client_secret: SecretStr | None = Field(default=None, min_length=1, description="Secret that goes with it.")
    oidc_base_url: Annotated[str, AfterValidator(values.origin)] | None = Field(
        default=None, description="Where browsers reach the pages; the provider has to allow /oauth2callback below it."
    )
    oidc_cookie_secret: Annotated[SecretStr, AfterValidator(values.random_secret)] | None = Field(
        default=None, description="Signs the cookie of who is signed in: at least 32 random characters; a new one signs everybody out."
    )
    draft_days: int = Field(default=3, ge=1, le=90, description="Days after which a draft that nobody submitted counts as inbound no more.")
    outbox_target: Literal["webhook", "email", "folder"] | None = Field(
        default=None, description="Where drafts go that cannot stand in the shop's tables; default is nowhere: they wait in the outbox."
    )
    outbox_attempts: int = Field(default=12, ge=1, le=50, description="Attempts after which a message that could not be delivered is dead.")
    outbox_timeout_seconds: float = Field(default=20.0, ge=1.0, le=60.0, description="Longest wait for the target of a message.")
    webhook_url: Annotated[SecretStr, AfterValidator(values.webhook_url)] | None = Field(
        default=None, description="Receiver of signed POST requests: https, or http on this machine."
    )
    webhook_secret: Annotated[SecretStr, AfterValidator(values.webhook_secret)] | None = Field(
        default=None, description="Secret of the signatures: whsec_ and 24 to 64 random bytes in base64."
    )
    webhook_honours_key: bool = Field(
        default=False,
        description="Whether the receiver does nothing at the second message with the same webhook-id; then what is unknown is sent again.",
    )
    email_host: Annotated[str, AfterValidator(values.host_name)] | None = Field(
        default=None, description="Mail server; TLS is required unless it is this machine."
    )
    email_port: int = Field(default=587, ge=1, le=65_535, description="Its port; 465 is TLS from the first byte on, others STARTTLS.")
    email_user: str | None = Field(default=None, description="Name to log in with; default is without.")
    email_password: SecretStr | None = Field(default=None, description="Its password.")
    email_from: Annotated[str, AfterValidator(values.mail_address)] | None = Field(
        default=None, description="Address that mails come from."
    )
    email_to: Annotated[str, AfterValidator(values.mail_address)] | None = Field(
        default=None, description="The one address that mails go to."
    )
    outbox_folder: Path | None = Field(default=None, description="Folder, there already, that gets a file per message.")
    outbox_file_format: Literal["csv", "json"] = Field(default="csv", description="What the files are.")
    metrics_token: Annotated[SecretStr, AfterValidator(values.random_secret)] | None = Field(
        default=None, description="Who asks `ordercast exporter` for figures has to send it as a bearer token; default is nobody has to."
    )
    refused_days: int = Field(
        default=30, ge=1, description="Days for which refused files and rejected rows are kept; they may hold personal data."
    )
    history_days: int = Field(default=90, ge=3, description="Days for which Dagster's history of runs is kept.")
    log_days: int = Field(default=30, ge=1, description="Days for which logs of runs are kept.")
    releases_kept: int = Field(default=5, ge=2, description="Published releases kept for rollback, the newest.")
    release_days_kept: int = Field(
        default=7,
        ge=0,
        description="Days of whole runs whose last release is kept besides, however often refreshes publish; older plans cannot be rebuilt.",
    )
    runs_by_itself: bool = Field(
        default=False,
        description="Whether the daily and weekly schedules and the change sensor of `ordercast dagster` are on from the start.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is nearer to this process counts before what is farther."""
        del file_secret_settings  # of a folder that is fixed when the class is made
        secrets, toml = sources.secrets_source(settings_cls), sources.TomlSource(settings_cls)
        return init_settings, env_settings, dotenv_settings, secrets, toml

    @model_validator(mode="after")
    def _target_is_complete(self) -> Self:
        needed = {
            "webhook": ("webhook_url", "webhook_secret"), "email": ("email_host", "email_from", "email_to"), "folder": ("outbox_folder",),
        }  # fmt: skip
        lacking = [f"{PREFIX}{name}".upper() for name in needed.get(self.outbox_target or "", ()) if getattr(self, name) is None]
        if lacking:
            raise ValueError(f"ORDERCAST_OUTBOX_TARGET={self.outbox_target} needs {' and '.join(lacking)}")
        if (self.email_user is None) != (self.email_password is None):
            raise ValueError("ORDERCAST_EMAIL_USER and ORDERCAST_EMAIL_PASSWORD go together")
        return self

    @model_validator(mode="after")
    def _sign_in_is_complete(self) -> Self:
        names = [name for name in type(self).model_fields if name.startswith("oidc_")]
        lacking = [f"{PREFIX}{name}".upper() for name in names if getattr(self, name) is None]
        if 0 < len(lacking) < len(names):
            raise ValueError(f"sign-in needs all of ORDERCAST_OIDC_*: there is no {' and no '.join(lacking)}")
        if not lacking and self.operator is not None:
            raise ValueError("ORDERCAST_OPERATOR names who decides where nobody signs in; with ORDERCAST_OIDC_* people do, so drop one")
        return self

    @property
    def has_sign_in(self) -> bool:
        """Whether people sign in to the pages."""
        return self.oidc_metadata_url is not None

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
    def refused_path(self) -> Path:
        """The folder of files that an import refused, and of the rows it rejected."""
        return self.resolved_home / "refused"

    @property
    def logs_path(self) -> Path:
        """The folder of logs, a file of JSON lines a day."""
        return self.resolved_home / "logs"

    @property
    def releases_path(self) -> Path:
        """The folder of published releases."""
        return self.resolved_home / "releases"


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: A name is unknown or a value impossible. Nothing was started.
    """
    said = tuple(item for item in os.environ.items() if item[0].upper().startswith(PREFIX))
    folder = sources.secrets_folder()
    files = [Path(".env").absolute(), sources.config_file(), *(sorted(folder.iterdir()) if folder else ())]
    return _settings_from(said, tuple(f"{file} {file.stat()}" for file in files if file and file.exists()))


def setting_origins() -> dict[str, str]:
    """Where each setting's value comes from; those that nobody set are not among them."""
    places = {
        "environment": EnvSettingsSource(Settings),
        ".env": DotEnvSettingsSource(Settings),
        str(sources.secrets_folder()): sources.secrets_source(Settings),
        str(sources.config_file()): sources.TomlSource(Settings),
    }
    origins: dict[str, str] = {}
    for place, source in places.items():
        for name in source():
            origins.setdefault(name.lower().removeprefix(PREFIX.lower()), place)
    return {name: origins[name] for name in Settings.model_fields if name in origins}


@lru_cache(maxsize=1)  # they take milliseconds to read, and every open page asks every few seconds
def _settings_from(_said: tuple[tuple[str, str], ...], _files: tuple[str, ...]) -> Settings:
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    of_ours = known | {sources.FILE_VARIABLE, sources.SECRETS_VARIABLE}
    for name in (*os.environ, *dotenv_values(".env")):
        if name.upper().startswith(PREFIX) and name.upper() not in of_ours:
            raise SettingsError(_unknown(name.upper(), known))
    for name in sources.secret_names():
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingsError(f"{_unknown(name, {one.lower() for one in known})} It is a file in {sources.secrets_folder()}.")
    for name in sources.read_config_file():
        if name not in Settings.model_fields:
            raise SettingsError(f"{_unknown(name, set(Settings.model_fields))} It stands in {sources.config_file()}.")
    try:
        return Settings()
    except ValidationError as exc:
        raise SettingsError("\n".join(_problem(dict(error)) for error in exc.errors())) from None


def _problem(error: dict[str, object]) -> str:
    location = error.get("loc")
    why = str(error.get("msg")).removeprefix("Value error, ")
    if not isinstance(location, tuple) or not location:
        return f"{IMPOSSIBLE_SETTING.code} {why}. Correct it and start again."  # about several settings; its input is all of them, with their secrets
    name = str(location[0])
    full = name.upper() if name.upper().startswith(PREFIX) else f"{PREFIX}{name}".upper()
    field = Settings.model_fields.get(full.removeprefix(PREFIX).lower())
    is_secret = field is None or "SecretStr" in str(field.annotation)
    value = "as it is" if is_secret else repr(str(error.get("input"))[:80])
    fault = NO_TIME_ZONE if full == f"{PREFIX}TIME_ZONE" else IMPOSSIBLE_SETTING
    return f"{fault.code} Setting {full} cannot be {value}: {why}. Correct it and start again."


def _unknown(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known settings: {', '.join(sorted(known))}."
    return f"{UNKNOWN_SETTING.code} Unknown setting {name}: {hint}"
