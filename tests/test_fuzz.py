"""A short run of the mutation fuzzer; the long run's figures are in docs/security.md."""

import random
import sys

import fuzz
import models
import mutations
import pytest

FILES = 120 if sys.platform != "win32" else 40
KINDS = ("KNeighborsClassifier", "OneHotEncoder", "Pipeline", "RandomForestClassifier", "SVC", "TfidfVectorizer")


@pytest.mark.hosts
def test_changed_files_neither_end_the_server_nor_change_its_answers() -> None:
    """Promise P3, in small: no death, no 500, no wrong answer of a neighbour, and nothing left behind."""
    make = fuzz.changed(fuzz.seeds(*KINDS, "HistGradientBoostingClassifier"), seed=7)
    tally = fuzz.run(make, range(FILES), clients=3)
    assert tally.held, fuzz.text(tally)
    assert sum(tally.verdicts.values()) == FILES
    assert set(tally.neighbour) == {"200"}
    assert all(word.startswith(("201", "415", "422", "501")) for word in tally.verdicts), tally.verdicts
    assert tally.verdicts["422 unsafe-artifact"] > 0


@pytest.mark.parametrize("number", range(20))
def test_a_change_can_be_made_again(number: int) -> None:
    """Otherwise nothing that is found could be looked at."""
    data = models.skops_bytes(models.iris())
    others = [data, models.skops_bytes(models.forest())]
    first = mutations.change(data, random.Random(number), others)
    assert first == mutations.change(data, random.Random(number), others)


def test_changes_are_changes() -> None:
    data = models.skops_bytes(models.iris())
    made = {mutations.change(data, random.Random(number), [data]) for number in range(50)}
    assert len(made) > 40
