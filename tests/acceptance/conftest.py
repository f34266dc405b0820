"""The command line, driven as a person drives it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.settings import Settings
from pipelines.steps.transform import prepare_manifest
from tests.acceptance import warm_start


@cache
def parsed_project() -> tempfile.TemporaryDirectory[str]:
    """A home that holds the parsed dbt project and nothing else; parsing takes as long as building a small merchant."""
    folder = tempfile.TemporaryDirectory(prefix="ordercast-parsed-")
    prepare_manifest(Settings(home=Path(folder.name)))
    return folder


@dataclass(frozen=True)
class CommandLine:
    """`ordercast` on a home folder, and on a store elsewhere where one is named."""

    home: Path
    store_url: str | None = None

    def __post_init__(self) -> None:
        """A new home knows the parsed project already."""
        if not self.home.exists():
            shutil.copytree(parsed_project().name, self.home)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Standard output of the command, or standard error where it must end with another exit code."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ORDERCAST_")}
        environment |= {"ORDERCAST_HOME": str(self.home), "COLUMNS": "200"}
        if self.store_url:
            environment["ORDERCAST_STORE_URL"] = self.store_url
        with tempfile.TemporaryDirectory(prefix="ordercast-said-") as folder:
            output, errors = Path(folder, "output"), Path(folder, "errors")
            ended = warm_start.run(arguments, environment=environment, folder=self.home.parent, output=output, errors=errors)
            said, complained = (path.read_text(encoding="utf-8") for path in (output, errors))

        assert ended == code, complained
        assert "Traceback" not in complained
        assert "emitted no result" not in complained  # what Dagster says of a check that a run forgot
        return said if code == 0 else complained

    def json(self, *arguments: str) -> Any:
        """What the command prints as JSON."""
        return json.loads(self(*arguments, "--json"))
