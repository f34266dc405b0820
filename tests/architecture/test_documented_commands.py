"""Every command that the documentation shows is one, with options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import typer.main

from pipelines.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"cli.md"}


def shown(text: str) -> list[str]:
    """The lines of code blocks that call the program."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    found = (re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?ordercast (.+)", line) for block in blocks for line in block.splitlines())
    return [match[1] for match in found if match]


def what_is_wrong(line: str) -> str:
    """Why the program would not understand the line; empty where it would."""
    command: Any = typer.main.get_command(app)
    words = shlex.split(line, comments=True)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    if getattr(command, "commands", None) and not command.invoke_without_command:
        return f"ordercast {line}: {words[:1]} is no command"
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"ordercast {line}: {', '.join(unknown)} is no option" if unknown else ""


def test_every_documented_command_is_one_with_options_that_it_has() -> None:
    pages = [ROOT / "README.md", *(path for path in (ROOT / "docs").rglob("*.md") if path.name not in GENERATED)]
    lines = {path.name: shown(path.read_text(encoding="utf-8")) for path in pages}

    assert sum(map(len, lines.values())) > 50
    assert [f"{name}: {wrong}" for name, found in lines.items() for line in found if (wrong := what_is_wrong(line))] == []


def test_a_command_or_option_that_is_none_is_found() -> None:
    assert what_is_wrong("forget everything") == "ordercast forget everything: ['forget'] is no command"
    assert what_is_wrong("releases list --newest") == "ordercast releases list --newest: --newest is no option"
