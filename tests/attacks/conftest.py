"""Attacks run small with every test run and at full size with `make torture`; each tells its figures at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_FIGURES = "attack"


class Size(Protocol):
    """How large an attack is in this run."""

    def __call__(self, *, small: int, full: int) -> int: ...


@pytest.fixture
def size(request: pytest.FixtureRequest) -> Size:
    """The number for this run: small, or full with `--full`."""
    is_full = bool(request.config.getoption("--full"))
    return lambda *, small, full: full if is_full else small


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say one line of figures, which stands in the summary of the run."""
    return lambda line: record_property(_FIGURES, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every attack's figures, in the order they came."""
    lines = [
        str(text) for reports in terminalreporter.stats.values() for report in reports if isinstance(report, pytest.TestReport)
        for name, text in report.user_properties if name == _FIGURES and report.when == "call"
    ]  # fmt: skip
    if lines:
        terminalreporter.section("attacks")
        for line in lines:
            terminalreporter.write_line(line)
