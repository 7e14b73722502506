"""A short run of random programs against their bounds; the long run's figures are in docs/security.md."""

import pytest

pytest.importorskip("onnxruntime")

import fuzz_bounds
import random_programs

PROGRAMS = 150


def test_random_programs_stay_within_their_bounds() -> None:
    """Nobody dies, and time, memory and results are what was stated."""
    tally = fuzz_bounds.run(0, PROGRAMS)
    assert not tally.faults, fuzz_bounds.text(tally)
    assert sum(tally.words.values()) == PROGRAMS
    assert tally.words["computed"] > PROGRAMS // 3
    assert tally.words["for a host"] > PROGRAMS // 10


def test_a_program_can_be_made_again() -> None:
    for seed in range(20):
        assert random_programs.made(seed) == random_programs.made(seed)
