"""Every estimator of scikit-learn, through the gate and back: what is taken answers as before."""

from pathlib import Path

import pytest
import zoo

ROOT = Path(__file__).resolve().parent.parent.parent
#: Not taken, because they take something other than rows of a table.
REFUSED = {
    "DictVectorizer",
    "FeatureHasher",
    "LabelBinarizer",
    "LabelEncoder",
    "MultiLabelBinarizer",
    "PatchExtractor",
}
NO_FORM = {"Birch"}


@pytest.mark.parametrize("name", zoo.names())
def test_an_estimator_is_taken_and_answers_as_before(name: str) -> None:
    verdict = zoo.verdict(name)
    expected = "refused" if name in REFUSED else "no skops form" if name in NO_FORM else "accepted"
    assert verdict.word == expected, verdict.why


@pytest.mark.parametrize("name", zoo.TOGETHER)
def test_estimators_put_together_are_taken_and_answer_as_before(name: str) -> None:
    assert zoo.judge(name, *zoo.together(name)).word == "accepted"


def test_at_least_95_of_100_are_taken() -> None:
    with_form = [verdict for verdict in zoo.verdicts() if verdict.word != "no skops form"]
    assert sum(verdict.word == "accepted" for verdict in with_form) / len(with_form) >= 0.95


def test_the_page_of_estimators_is_what_was_found() -> None:
    page = (ROOT / "docs/estimators.md").read_text(encoding="utf-8")
    if f"scikit-learn {zoo.release()} lists" not in page:
        pytest.skip("the page was written for another release of scikit-learn")
    assert page == zoo.page()
