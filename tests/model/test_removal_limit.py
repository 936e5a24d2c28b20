"""How many may be removed within an hour, as a table."""

import pytest

from webhook.model.removal import PruneRules


@pytest.mark.parametrize(
    ("there", "removed", "left"),
    [
        (0, 0, 3),
        (5, 0, 3),
        (5, 3, 0),
        (20, 0, 4),
        (16, 4, 0),
        (19, 1, 3),
        (100, 0, 20),
        (81, 19, 1),
        (80, 20, 0),
        (70, 30, 0),
    ],
)
def test_a_fifth_of_those_at_the_beginning_of_the_hour_may_be_removed_and_three_at_least(
    there: int, removed: int, left: int
) -> None:
    assert PruneRules(grace=600, fraction=0.2).left(there, removed) == left
