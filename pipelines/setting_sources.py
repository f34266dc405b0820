"""Where settings come from besides the environment and `.env`: a TOML file, and a folder with a file per secret."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic_settings import PydanticBaseSettingsSource, SecretsSettingsSource

from pipelines.errors import SettingsError
from pipelines.faults.starting import IMPOSSIBLE_SETTING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

FILE_VARIABLE: Final = "ORDERCAST_CONFIG"
SECRETS_VARIABLE: Final = "ORDERCAST_SECRETS"
DEFAULT_FILE: Final = "ordercast.toml"


class TomlSource(PydanticBaseSettingsSource):
    """The settings of the TOML file; `[email] host` is the same setting as `email_host`."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        super().__init__(settings_cls)
        self._said = read_config_file()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The file's value of one setting, None where it says nothing."""
        del field
        return self._said.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """All that the file says of settings."""
        return {name: value for name, value in self._said.items() if name in self.settings_cls.model_fields}


def secrets_source(settings_cls: type[BaseSettings]) -> SecretsSettingsSource:
    """Settings from files that are named as environment variables are, one value each, as containers are given secrets."""
    return SecretsSettingsSource(settings_cls, secrets_dir=secrets_folder())


def secret_names() -> list[str]:
    """Names of the files in the folder of secrets; none where there is no folder."""
    folder = secrets_folder()
    return sorted(file.name for file in folder.iterdir()) if folder else []


def config_file() -> Path | None:
    """The TOML file that counts: the one that is named, else `ordercast.toml` in the working folder where there is one.

    Raises:
        SettingsError: One is named and is not there.
    """
    named = os.environ.get(FILE_VARIABLE)
    if named:
        path = Path(named).expanduser().absolute()
        if not path.is_file():
            raise SettingsError(
                f"{IMPOSSIBLE_SETTING.code} {FILE_VARIABLE} names {path}, and no file is there. Correct it and start again."
            )
        return path
    path = Path(DEFAULT_FILE).absolute()
    return path if named is None and path.is_file() else None


def secrets_folder() -> Path | None:
    """The folder of secrets, where one is named.

    Raises:
        SettingsError: It is not there.
    """
    named = os.environ.get(SECRETS_VARIABLE)
    if not named:
        return None
    path = Path(named).expanduser().absolute()
    if not path.is_dir():
        raise SettingsError(
            f"{IMPOSSIBLE_SETTING.code} {SECRETS_VARIABLE} names {path}, and no folder is there. Correct it and start again."
        )
    return path


def read_config_file() -> dict[str, Any]:
    """Every value of the TOML file by the setting's name; names of tables and keys are joined by an underscore.

    Raises:
        SettingsError: It cannot be read, is no TOML, or says a setting twice.
    """
    path = config_file()
    if path is None:
        return {}
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        raise SettingsError(f"{IMPOSSIBLE_SETTING.code} {path} cannot be read: {exc}. Correct it and start again.") from None
    flat: dict[str, Any] = {}
    for name, value in _joined(said):
        if name in flat:
            raise SettingsError(f"{IMPOSSIBLE_SETTING.code} {path} says {name} twice. Leave one and start again.")
        flat[name] = value
    return flat


def _joined(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in table.items():
        pairs += _joined(value, f"{prefix}{key}_") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return pairs
