"""The settings that can change a number, as plain values that a release keeps, and read back as settings."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from pipelines.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

# Where things lie, who decides, how messages travel and how long things are kept change no number.
_ELSEWHERE: Final = ("outbox_", "webhook_", "email_", "oidc_", "metrics_")
_NO_NUMBER: Final = frozenset(
    {
        "home", "store_url", "releases_kept", "release_days_kept", "runs_by_itself", "refused_days", "log_days", "history_days",
        "one_person_amount", "operator",
    }
)  # fmt: skip


def number_settings(settings: Settings) -> dict[str, Any]:
    """Every setting that can change a number, by name, as values for JSON; secrets are never among them."""
    return settings.model_dump(mode="json", include=_names())


def config_hash(settings: Settings) -> str:
    """A short hash of `number_settings`."""
    return hashlib.sha256(json.dumps(number_settings(settings), sort_keys=True).encode()).hexdigest()[:16]


def settings_of(kept: Mapping[str, Any]) -> Settings:
    """The settings that `number_settings` gave these values of; one that is not among them has its default, whatever this process says."""
    fields = Settings.model_fields
    values = {name: kept[name] if name in kept else fields[name].get_default(call_default_factory=True) for name in _names()}
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]  # pydantic-settings takes it, its stub does not say so


def _names() -> set[str]:
    return {
        name
        for name, field in Settings.model_fields.items()
        if name not in _NO_NUMBER and not name.startswith(_ELSEWHERE) and "SecretStr" not in str(field.annotation)
    }
