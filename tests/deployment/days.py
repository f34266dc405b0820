"""Days of a shop on a running platform: its changes arrive, people decide, things break and are mended."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipelines.stores.releases import open_served, served_id
from tests.deployment.living_shop import raised, resolved
from tests.deployment.running_platform import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.attacks.tcp_proxy import CuttingProxy
    from tests.deployment.living_shop import Asked, Commit, Shop
    from tests.deployment.running_platform import Platform, Watch
    from tests.integration.receivers import HttpReceiver

log = logging.getLogger("ordercast.days")
WHOLE, REFRESH = "ordercast", "refresh"
SMALLEST: Final = 4 * 1024**2  # bytes that a file may have on the full disk: less than any release


@dataclass(frozen=True, slots=True)
class Plan:
    """How many days, and what happens on which."""

    days: int
    whole_runs: frozenset[int]
    breaks: dict[int, str]


SHORT = Plan(2, frozenset({2}), {1: "a bad batch"})
FULL = Plan(
    14, frozenset({14}),  # and those that heal a break
    {2: "a full disk", 4: "a source that is down", 7: "a schema change", 10: "a bad batch", 12: "a killed worker"},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Break:
    """Something that went wrong: what the channel was told while it lasted and once it was over, and the releases before and during it."""

    name: str
    subjects: tuple[str, ...]
    served_before: str | None
    served_during: str | None


@dataclass(slots=True)
class Life:
    """What happened in these days, and what stands at their end."""

    plan: Plan
    platform: Platform
    shop: Shop
    channel: HttpReceiver
    watch: Watch
    proxy: CuttingProxy
    seconds: list[float] = field(default_factory=list)  # from each day's commit to the release that holds it
    breaks: list[Break] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)  # of processes that the supervisor has to start again
    _told: int = 0
    _served_then: str | None = None

    @property
    def releases(self) -> Path:
        return self.platform.home / "releases"

    def run_whole(self) -> None:
        """The day's whole run, and people who decide while it goes on."""
        run = self.platform.launch(WHOLE)
        people = threading.Thread(target=lambda: self.asked.extend(self.shop.decide_some()))
        people.start()
        assert self.platform.ended(run) == "SUCCESS"
        people.join()

    def refresh_by_hand(self) -> None:
        """What a person does who has mended the source and does not wait for the sensor's next try."""
        assert self.platform.ended(self.platform.launch(REFRESH)) == "SUCCESS"

    def fails(self, run: str) -> None:
        assert self.platform.ended(run) == "FAILURE"

    def wait_for_release(self, commit: Commit) -> float:
        """Seconds from the commit to the pointer of the first release seen that holds it."""
        return wait_for("the release that holds the day", lambda: self._pointed_at(commit)) - commit.at

    def _pointed_at(self, commit: Commit) -> float | None:
        pointed = (self.releases / "CURRENT").stat().st_mtime
        with open_served(self.releases) as (_, conn):
            (position,) = conn.execute("SELECT position FROM meta.feed_state").fetchone() or (None,)
        return pointed if position and self.shop.is_in(commit, position) else None

    @contextmanager
    def broken(self, name: str) -> Iterator[None]:
        """In the block something breaks and is mended; the channel has heard of both, by the messages that came meanwhile."""
        over, served = len(resolved(self.channel)), served_id(self.releases)
        self._told = len(raised(self.channel))
        yield
        wait_for(f"the end of {name}", lambda: len(resolved(self.channel)) > over or None)
        subjects = tuple(one["title"] for one in raised(self.channel)[self._told :])
        self.breaks.append(Break(name, subjects, served, self._served_then))

    def hears_of_it(self) -> None:
        """Returns once the channel was told of what is broken; which release is served by then is noted."""
        wait_for("the message about what is broken", lambda: len(raised(self.channel)) > self._told or None)
        self._served_then = served_id(self.releases)


def source_down(life: Life) -> None:
    with life.proxy.down():
        life.fails(life.platform.launch(WHOLE))
        life.hears_of_it()
    life.run_whole()


def bad_batch(life: Life) -> None:
    with life.shop.bad_batch():
        life.hears_of_it()
    life.refresh_by_hand()


def schema_change(life: Life) -> None:
    """Once it is mended nobody does anything: the sensor tries again after its rest."""
    with life.shop.renamed_column():
        life.hears_of_it()


def killed_worker(life: Life) -> None:
    """The worker of a whole run, in the middle of it; and, while nothing runs, the code server."""
    run = life.platform.launch(WHOLE)
    wait_for("the models being built", lambda: life.platform.steps(run).get("transform") == "IN_PROGRESS" or None)
    os.kill(wait_for("its worker", lambda: life.platform.worker(run)), signal.SIGKILL)
    life.fails(run)
    life.hears_of_it()
    assert life.platform.ended(wait_for("its repeat", lambda: life.platform.repeated(run))) == "SUCCESS"
    life.platform.rests()
    code = life.platform.process_id("code")
    os.kill(code, signal.SIGKILL)
    life.kills["code"] += 1
    wait_for("another code server", lambda: life.platform.process_id("code") not in {0, code} or None)
    wait_for("its answer", lambda: life.platform.says_healthy("code") or None)
    life.run_whole()


def full_disk(life: Life) -> None:
    with life.platform.little_room(SMALLEST):
        life.fails(life.platform.launch(WHOLE))
        life.hears_of_it()
    life.run_whole()


BREAKS: Final[dict[str, Callable[[Life], None]]] = {
    "a source that is down": source_down,
    "a bad batch": bad_batch,
    "a schema change": schema_change,
    "a killed worker": killed_worker,
    "a full disk": full_disk,
}


def live_through(life: Life) -> None:
    """All days, one after another, and what happens on them."""
    assert life.platform.ended(life.platform.launch(WHOLE)) == "SUCCESS"
    for day in range(1, life.plan.days + 1):
        life.seconds.append(life.wait_for_release(life.shop.live_a_day()))
        log.info("day %s: %.1f s from commit to release", day, life.seconds[-1])
        if name := life.plan.breaks.get(day):
            life.platform.rests()  # a break that meets two runs is two exceptions
            with life.broken(name):
                BREAKS[name](life)
        if day in life.plan.whole_runs:
            life.run_whole()
