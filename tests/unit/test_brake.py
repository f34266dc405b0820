"""When a run is unusually broad for its shop: the border on both sides."""

from __future__ import annotations

import pytest

from pipelines.decisions.brake import is_unusually_broad


@pytest.mark.parametrize(
    ("every", "earlier", "most"),
    [
        (300, [30, 30, 30], 60),  # a fifth of all items is never unusual
        (300, [90, 100, 110], 150),  # 1.5 times the usual
        (300, [220, 226, 227], 263),  # halfway from the usual to all
        (30, [22, 24, 24], 27),
        (30, [30, 30, 30], 30),  # a shop that always proposes for all
        (40, [2, 2, 2], 10),  # ten are read one by one
        (30, [], 27),  # before three days are known, nine tenths
        (30, [2, 2], 27),
    ],
)
def test_a_run_may_propose_for_so_many_items_and_for_one_more_two_persons_are_asked(every: int, earlier: list[int], most: int) -> None:
    assert not is_unusually_broad(most, every=every, earlier=earlier)
    assert is_unusually_broad(most + 1, every=every, earlier=earlier)
