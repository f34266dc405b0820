"""Many tabs open at once, as people use them: going to pages, narrowing them, and thinking in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from page_client import page_session
from websockets.exceptions import WebSocketException

if TYPE_CHECKING:
    from page_client import PageSession, Rendered

PERIODS = ("28 days", "91 days", "364 days")
SHARE_NARROWED = 0.3  # of a person's steps; the rest go to another page


@dataclass(slots=True)
class Load:
    """What many tabs saw: seconds by page of what a person asked for, of the watch for a newer release, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    watch_seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, name: str, rendered: Rendered) -> None:
        """One more answer."""
        self.seconds[name].append(rendered.seconds)
        self.problems.extend(f"{name}: {problem}" for problem in rendered.problems)

    @property
    def all_seconds(self) -> list[float]:
        """Of every page."""
        return [second for seconds in self.seconds.values() for second in seconds]


async def many_tabs(port: int, *, tabs: int, seconds: float, think_seconds: float, members: dict[str, list[str]], seed: int = 1) -> Load:
    """So many tabs, each doing something every `think_seconds` on average, for so long; they begin spread over one such time."""
    load, until = Load(), time.perf_counter() + seconds
    chance = [random.Random(seed * 1_000 + number) for number in range(tabs)]
    await asyncio.gather(*(_one_tab(port, load, one, until=until, think_seconds=think_seconds, members=members) for one in chance))
    return load


async def _one_tab(
    port: int, load: Load, chance: random.Random, *, until: float, think_seconds: float, members: dict[str, list[str]]
) -> None:
    await asyncio.sleep(chance.uniform(0, think_seconds))
    try:
        async with page_session(port) as tab:
            path = ""
            load.add("first page", await tab.open(path))
            while time.perf_counter() < until:
                await _think(tab, load, seconds=chance.uniform(0.5, 1.5) * think_seconds)
                open_filters = [name for name in ("days", *members) if tab.can_narrow(name)]
                if open_filters and chance.random() < SHARE_NARROWED:
                    name = chance.choice(open_filters)
                    values = [chance.choice(PERIODS)] if name == "days" else chance.sample(members[name], 1)
                    load.add(f"{path or 'overview'}, narrowed", await tab.narrow(name, values))
                else:
                    path = chance.choice([other for other in tab.paths if other != path])
                    load.add(path or "overview", await tab.open(path))
    except (OSError, WebSocketException, TimeoutError) as exc:
        load.problems.append(f"connection: {exc!r}")


async def _think(tab: PageSession, load: Load, *, seconds: float) -> None:
    """A person looks; what the page asks for by the clock goes on."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        every = min(tab.rerun_every.values(), default=seconds)
        await asyncio.sleep(min(every, left))
        if time.perf_counter() >= until:
            return
        for fragment in list(tab.rerun_every):
            if fragment not in tab.rerun_every:
                continue  # the whole page was drawn anew meanwhile
            rendered = await tab.rerun_fragment(fragment)
            load.watch_seconds.append(rendered.seconds)
            load.problems.extend(f"watch: {problem}" for problem in rendered.problems)
