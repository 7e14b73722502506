"""The trials of the store, as short as they still say something; the long runs are in docs/registry.md."""

import json

import pytest
import trials

pytestmark = pytest.mark.hosts


@pytest.mark.system
def test_writers_that_are_killed_lose_nothing_that_was_acknowledged() -> None:
    tally = trials.try_kills(2 * len(trials.POINTS), 7, lambda _line: None)
    assert tally.problems == []
    assert set(tally.kills) <= {*trials.POINTS, "outside"}
    assert tally.acknowledged > 0


@pytest.mark.system
def test_of_many_uploads_of_one_version_from_two_processes_one_is_created() -> None:
    outcomes = trials.try_races(2, lambda _line: None, at_once=20)
    assert [json.loads(outcome)["201"] for outcome in outcomes] == [1] * len(outcomes)
    assert {status for outcome in outcomes for status in json.loads(outcome)} <= {"201", "200", "409"}


def test_each_answer_belongs_to_its_version_while_an_alias_moves() -> None:
    outcomes = trials.try_swaps(3.0, 6, lambda _line: None)
    assert outcomes.keys() == {"right", "move 200"}, outcomes
    assert outcomes["move 200"] == 6
