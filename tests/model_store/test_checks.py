"""What is held against what before an alias moves."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store import environment
from model_store.entities import Version
from model_store.environment import drift
from model_store.errors import InvalidExamples
from model_store.proof.checks import check_environment, check_examples, check_schema, verdict_of
from model_store.proof.comparison import Answered, compare
from model_store.proof.examples import Examples, agree, completed, mismatches, wanted
from model_store.proof.examples import check_examples as check_form
from model_store.schema import Column, Output, Schema

pytestmark = pytest.mark.extras

LENGTH = Column(name="length", type="number")
COLOUR = Column(name="colour", type="string", categories=("red", "green"), other_categories=False)
SCHEMA = Schema(inputs=(LENGTH, COLOUR), outputs=(Output(name="prediction", type="string"),), classes=("a", "b"))
OLD = Version(
    model="m", version=1, digest="sha256:a", size=1, format="skops", estimator="SVC",
    methods=("predict", "predict_proba", "decision_function"), schema=SCHEMA,
)  # fmt: skip


def with_schema(**changes: Any) -> Version:
    return msgspec.structs.replace(OLD, version=2, schema=msgspec.structs.replace(SCHEMA, **changes))


def with_column(index: int, **changes: Any) -> Version:
    columns = list(SCHEMA.inputs)
    columns[index] = msgspec.structs.replace(columns[index], **changes)
    return with_schema(inputs=tuple(columns))


def with_methods(*methods: str) -> Version:
    return msgspec.structs.replace(OLD, version=2, methods=methods)


NEW = Column(name="width", type="number")


@pytest.mark.parametrize(
    ("new", "status", "words"),
    [
        (msgspec.structs.replace(OLD, version=2), "passed", "takes and gives what version 1 does"),
        (with_schema(inputs=(LENGTH,)), "failed", "'colour' was removed"),
        (with_schema(inputs=(LENGTH, COLOUR, NEW)), "failed", "'width' was added"),
        (with_schema(inputs=(COLOUR, LENGTH)), "failed", "another order"),
        (with_column(0, type="string"), "failed", "'length' was number and is string"),
        (with_column(0, type="integer"), "failed", "'length' was number and is integer"),
        (with_column(0, type="any"), "warning", "'length' was number and is any"),
        (with_column(0, nullable=True), "warning", "takes missing values now"),
        (with_column(1, categories=("red",)), "failed", "categories of the column 'colour'"),
        (with_column(1, categories=("red", "green", "blue")), "warning", "categories of the column 'colour'"),
        (with_column(1, other_categories=True), "warning", "categories of the column 'colour'"),
        (with_schema(classes=("a", "c")), "warning", "the classes are others"),
        (with_schema(outputs=(Output(name="prediction", type="number"),)), "warning", "the outputs are others"),
        (with_methods("predict", "decision_function"), "failed", "the method predict_proba is gone"),
        (with_methods("predict", "predict_proba"), "warning", "the method decision_function is gone"),
        (with_methods(*OLD.methods, "transform"), "warning", "the method transform is new"),
    ],
)
def test_a_request_that_was_valid_stays_valid_or_the_check_fails(new: Version, status: str, words: str) -> None:
    check = check_schema(OLD, new)
    assert (check.status, words in check.message) == (status, True), check.message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (with_column(0, nullable=True), OLD),
        (with_column(0, required=False), OLD),
        (with_column(1, other_categories=True), OLD),
        (with_schema(text=True), OLD),
        (with_column(0, type="integer"), with_column(0, type="string")),
    ],
)
def test_what_was_allowed_and_is_not_any_more_fails(old: Version, new: Version) -> None:
    assert check_schema(old, new).status == "failed"


def test_a_report_about_very_many_columns_stays_short() -> None:
    many = tuple(Column(name=f"column {index}", type="number") for index in range(5000))
    check = check_schema(OLD, with_schema(inputs=many))
    assert "and 4982 more" in check.message
    assert len(msgspec.json.encode(check)) < 5000


def test_the_verdict_is_the_worst_status() -> None:
    passed, warning, failed = (
        check_schema(OLD, new) for new in (OLD, with_schema(classes=("x",)), with_schema(inputs=()))
    )
    assert verdict_of([passed]) == "passed"
    assert verdict_of([passed, warning]) == "warning"
    assert verdict_of([warning, failed, passed]) == "failed"


RUNNING = {"python": "3.11.2", "scikit-learn": "1.9.1", "numpy": "2.4.6", "scipy": "1.18.0"}


@pytest.mark.parametrize(
    ("fitted", "uploaded", "expected"),
    [
        ({}, RUNNING, []),
        ({}, {}, []),
        ({"scikit-learn": "1.9.0"}, RUNNING, ["Fitted with scikit-learn 1.9.0, served with 1.9.1"]),
        ({}, RUNNING | {"numpy": "2.4.1", "python": "3.11.9"}, []),
        ({}, RUNNING | {"numpy": "1.26.4"}, ["Uploaded with numpy 1.26.4, served with 2.4.6"]),
        ({"scikit-learn": "1.9.1"}, RUNNING | {"scikit-learn": "1.8.0"}, []),
        ({}, RUNNING | {"python": "3.13.1"}, ["Uploaded with Python 3.13.1, served with 3.11.2"]),
    ],
)
def test_drift_is_another_release_of_what_a_model_was_made_with(
    monkeypatch: pytest.MonkeyPatch, fitted: dict[str, str], uploaded: dict[str, str], expected: list[str]
) -> None:
    monkeypatch.setattr(environment, "running", lambda: RUNNING)
    found = [str(entry).partition(":")[0] for entry in drift("skops", fitted, uploaded)]
    assert found == expected
    version = msgspec.structs.replace(OLD, fitted=fitted, environment=uploaded)
    for on_drift, status in (("refuse", "failed"), ("warn", "warning"), ("allow", "passed")):
        assert check_environment(version, on_drift).status == (status if expected else "passed")  # type: ignore[arg-type]


def test_the_releases_that_run_are_those_of_the_hosts() -> None:
    from model_store.estimators.facts import environment as judged_with

    running = {name: release for name, release in environment.running().items() if name != "onnxruntime"}
    assert running.items() <= judged_with().items()


def test_what_a_program_depends_on_is_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "running", lambda: RUNNING | {"onnxruntime": "1.31.1"})
    then = {"python": "3.9.1", "scikit-learn": "1.2.0", "onnxruntime": "1.22.0"}
    assert [entry.package for entry in drift("onnx", {}, then)] == ["onnxruntime"]
    assert [entry.package for entry in drift("npz", {}, then | {"numpy": "1.26.0"})] == ["numpy"]
    monkeypatch.setattr(environment, "running", lambda: RUNNING)
    assert drift("onnx", {}, then) == ()


@pytest.mark.parametrize(
    ("expected", "answered", "same"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1.0, 1.0 + 1e-7, True),
        (1.0, 1.0 + 1e-5, False),
        (1e9, 1e9 + 1, True),
        (1, True, False),
        (True, True, True),
        ("1", 1, False),
        (None, None, True),
        (None, 0.0, False),
        ([1.0, [2.0]], [1.0, [2.0 + 1e-9]], True),
        ([1.0], [1.0, 2.0], False),
        ([1.0], 1.0, False),
    ],
)
def test_outputs_agree_if_labels_are_equal_and_numbers_near(expected: Any, answered: Any, same: bool) -> None:
    assert agree(expected, answered) is same
    assert agree(answered, expected) is same


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists
    )
)
def test_whatever_was_answered_agrees_with_itself(value: Any) -> None:
    assert agree(value, value, 0.0)


def test_examples_name_their_mismatches() -> None:
    examples = Examples(rows=((1.0, "red"), (2.0, "red")), outputs={"predict": ["a", "b"]}, given=("predict",))
    assert check_examples(examples, {"predict": ["a", "b"]}, True).status == "passed"
    failed = check_examples(examples, {"predict": ["a", "c"]}, True)
    assert (failed.status, failed.details["mismatches"]) == ("failed", 1)
    assert [mismatch.row for mismatch in mismatches(examples, {"predict": ["x", "b"]}, True)] == [0]
    assert check_examples(None, {}, False).status == "warning"


def test_the_outputs_that_are_kept_are_the_usual_ones() -> None:
    assert wanted(("predict", "predict_proba", "transform")) == ("predict", "predict_proba")
    assert wanted(("transform",)) == ("transform",)
    assert wanted(("score_samples",)) == ("score_samples",)


def test_labels_are_equal_or_not_however_near_their_numbers_are() -> None:
    examples = Examples(rows=((1.0,),), outputs={"predict": [10_000_001]}, tolerance=5.0)
    assert len(list(mismatches(examples, {"predict": [10_000_002]}, classes=True))) == 1
    assert list(mismatches(examples, {"predict": [10_000_002]}, classes=False)) == []


def test_examples_without_anything_to_compare_are_a_warning() -> None:
    for outputs in ({}, {"predict": [None]}):
        examples = Examples(rows=((1.0,),), outputs=outputs)
        assert check_examples(examples, {"predict": [None]}, False).status == "warning"


def test_numbers_that_no_float_holds_do_not_agree() -> None:
    assert agree(10**400, 1.5) is False
    assert agree(10**400, 10**400) is True


def test_a_mismatch_shows_the_beginning_of_what_is_long() -> None:
    examples = Examples(rows=((1.0,),), outputs={"predict": [[0.0] * 5000]})
    (found,) = mismatches(examples, {"predict": [["x" * 5000] * 5000]}, False)
    assert found.expected == [*[0.0] * 10, "…"]
    assert len(msgspec.json.encode(found)) < 3000


def test_very_many_categories_are_compared_at_once() -> None:
    many = tuple(range(200_000))
    old, new = with_column(1, categories=many), with_column(1, categories=(*many, "one more"))
    assert (check_schema(old, new).status, check_schema(new, old).status) == ("warning", "failed")


@pytest.mark.parametrize(
    "examples",
    [
        Examples(rows=()),
        Examples(rows=((1.0,),) * 1001),
        Examples(rows=((1.0,),), tolerance=float("nan")),
        Examples(rows=((1.0,),), outputs={"predict": []}),
        Examples(rows=((1.0,),), outputs={"transform": [1]}),
    ],
)
def test_examples_that_have_no_form_are_refused(examples: Examples) -> None:
    with pytest.raises(InvalidExamples):
        check_form(examples, ("predict",))


def test_examples_with_very_large_outputs_are_refused() -> None:
    with pytest.raises(InvalidExamples, match="larger than 4 MB"):
        completed(Examples(rows=((1.0,),)), {"predict": ["x" * (5 << 20)]})


def test_labels_of_several_kinds_and_classes_that_only_one_knows_are_compared() -> None:
    one = Answered(predictions=["a", "b"], probabilities=np.array([[0.5, 0.5], [0.1, 0.9]]), classes=("a", "b"))
    other = Answered(predictions=["c", "b"], probabilities=np.array([[0.2, 0.8], [0.9, 0.1]]), classes=("b", "c"))
    found = compare(one, other)
    assert found.agreement == 0.5
    assert found.confusion is not None
    assert (found.confusion.labels, found.confusion.counts) == (["a", "b", "c"], [[0, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert found.largest_probability_change == {"row": 0, "class": "b", "change": pytest.approx(-0.3)}


def test_outputs_of_several_columns_are_compared_by_all_their_differences() -> None:
    found = compare(Answered(predictions=[[1.0, 2.0]]), Answered(predictions=[[1.0, 5.0]]))
    assert (found.differences or {})["1"] == 3.0
    assert compare(Answered(predictions=["x"]), Answered(predictions=[1.0])).differences is None


def test_true_is_not_one_in_a_confusion() -> None:
    one = Answered(predictions=[1, 0], classes=(0, 1))
    other = Answered(predictions=[True, False], classes=(False, True))
    found = compare(one, other)
    assert (found.agreement, found.confusion is not None) == (0.0, True)
    assert found.confusion is not None
    assert sum(row[index] for index, row in enumerate(found.confusion.counts)) == 0


def test_rows_of_several_labels_have_no_confusion() -> None:
    both = Answered(predictions=[[0, 1]], classes=(0, 1))
    assert compare(both, both).confusion is None
    assert compare(both, Answered(predictions=[1], classes=(0, 1))).confusion is None


def test_differences_that_are_too_large_are_left_out() -> None:
    found = compare(Answered(predictions=[-1.7e308]), Answered(predictions=[1.7e308]))
    assert (found.differences, found.agreement) == (None, 0.0)
