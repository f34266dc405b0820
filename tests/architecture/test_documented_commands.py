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
BLOCK = r"^```[a-z]*\n(.*?)^```"


def shown(text: str) -> list[str]:
    """The lines of code blocks that call the program."""
    blocks = re.findall(BLOCK, text, flags=re.DOTALL | re.MULTILINE)
    found = (re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?ordercast (.+)", line) for block in blocks for line in block.splitlines())
    return [match[1] for match in found if match]


def named(text: str) -> list[str]:
    """What sentences and tables call the program with; a group of commands may be named without one of them."""
    sentences = re.sub(BLOCK, "", text, flags=re.DOTALL | re.MULTILINE)
    found = [" ".join(said.split()) for said in re.findall(r"`(?:\.venv/bin/)?ordercast\s+([^`]+)`", sentences)]
    return [said for said in found if said != "--help" and not is_group(said)]


def is_group(line: str) -> bool:
    """Whether the line is the name of a group of commands."""
    command: Any = typer.main.get_command(app)
    return hasattr(command.commands.get(line), "commands")


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
    pages = [*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if path.name not in GENERATED)]
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in pages}
    lines = {name: [*shown(text), *named(text)] for name, text in texts.items()}

    assert sum(map(len, lines.values())) > 250
    assert [f"{name}: {wrong}" for name, found in lines.items() for line in found if (wrong := what_is_wrong(line))] == []


def test_commands_are_found_in_blocks_sentences_and_tables() -> None:
    text = "Say `ordercast\nrun --json`.\n\n```\n$ ordercast doctor\n```\n\n| E1 | `ordercast rules list` of `ordercast rules` |\n"

    assert (shown(text), named(text)) == (["doctor"], ["run --json", "rules list"])


def test_a_command_or_option_that_is_none_is_found() -> None:
    assert what_is_wrong("forget everything") == "ordercast forget everything: ['forget'] is no command"
    assert what_is_wrong("releases list --newest") == "ordercast releases list --newest: --newest is no option"
