"""Programs that answer in an estimator's place: which there are, that they answer the same, and that a wrong one
is found out.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
import zoo
from hypothesis import given
from hypothesis import settings as examples_of
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

pytest.importorskip("skl2onnx")

from onnx import numpy_helper

from model_store.acceleration import accelerate as accelerating
from model_store.acceleration.accelerate import LEAST_ROWS, accelerate
from model_store.acceleration.conversion import candidates
from model_store.acceleration.probes import LARGEST, probes
from model_store.acceleration.proof import compare
from model_store.acceleration.report import TOLERANCE, Compared
from model_store.estimators.facts import read_schema
from model_store.formats.onnx.checks import parse
from model_store.formats.onnx.program import Session
from model_store.formats.rules import Audit

pytestmark = pytest.mark.extras

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
TREES = {
    "forest of three classes": RandomForestClassifier(30, random_state=0).fit(*IRIS),
    "forest of two classes": RandomForestClassifier(30, max_depth=4, random_state=0).fit(*CANCER),
    "forest of names": RandomForestClassifier(9, random_state=0).fit(IRIS[0], np.array(["a", "b", "c"])[IRIS[1]]),
    "random splits": ExtraTreesClassifier(20, random_state=0).fit(*IRIS),
    "regression forest": RandomForestRegressor(20, max_depth=6, random_state=0).fit(*DIABETES),
    "several outputs": RandomForestRegressor(5, random_state=0).fit(
        DIABETES[0], np.column_stack([DIABETES[1]] * 2)
    ),
    "tree": DecisionTreeClassifier(random_state=0).fit(*IRIS),
    "regression tree": DecisionTreeRegressor(max_depth=8, random_state=0).fit(*DIABETES),
    "boosting of three classes": GradientBoostingClassifier(n_estimators=9, random_state=0).fit(*IRIS),
    "boosting of two classes": GradientBoostingClassifier(n_estimators=9, random_state=0).fit(*CANCER),
    "boosted regression": GradientBoostingRegressor(n_estimators=20, random_state=0).fit(*DIABETES),
    "histograms of three classes": HistGradientBoostingClassifier(max_iter=5).fit(*IRIS),
    "histograms of two classes": HistGradientBoostingClassifier(max_iter=5).fit(*CANCER),
    "histogram regression": HistGradientBoostingRegressor(max_iter=9).fit(*DIABETES),
    "counts": HistGradientBoostingRegressor(loss="poisson", max_iter=9).fit(*DIABETES),
    "scaled": make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)).fit(*CANCER),
    "squeezed": make_pipeline(MinMaxScaler(), RandomForestRegressor(5, random_state=0)).fit(*DIABETES),
}
#: Estimators whose programs answer in the very same bits.
SAME = ("forest of three classes", "forest of names", "random splits", "tree", "regression tree")


def accelerated(estimator: Any) -> tuple[Any, Session]:
    report, data = accelerate(estimator, read_schema(estimator), [])
    assert report.verdict == "passed", report.reason
    return report, Session(parse(data, Audit()), report.program.methods)


@pytest.mark.parametrize("name", [*zoo.names(), *zoo.TOGETHER])
def test_an_estimator_is_accelerated_or_the_report_says_why_not(name: str) -> None:
    if name not in zoo.TOGETHER and zoo.verdict(name).word != "accepted":
        pytest.skip("it is not taken")
    estimator, _ = zoo.together(name) if name in zoo.TOGETHER else zoo.fitted(name)
    report, data = accelerate(estimator, read_schema(estimator), [])
    assert (report.verdict == "passed") == (name in zoo.ACCELERATED), report.reason
    if report.verdict == "passed":
        assert report.rows >= LEAST_ROWS
        assert report.program.size == len(data) > 0
        assert report.program.methods == tuple(one.method for one in report.methods if one.passes)
    else:
        assert report.reason.startswith("The estimator answers itself: ")
        assert not data


@pytest.mark.parametrize("name", TREES)
def test_trees_go_the_same_way_for_rows_that_were_not_compared(name: str) -> None:
    estimator = TREES[name]
    report, program = accelerated(estimator)
    rows = probes(estimator, read_schema(estimator), [], seed=1)
    for method in report.program.methods:
        expected, found = getattr(estimator, method)(rows), program.call(method, rows)
        if name in SAME or expected.dtype.kind != "f":
            np.testing.assert_array_equal(found, expected)
        else:
            assert np.max(np.abs(found - expected)) <= 1e-14 * np.max(np.abs(expected))


@pytest.mark.parametrize("name", TREES)
def test_thresholds_that_are_off_by_the_next_number_are_found_out(name: str) -> None:
    """A check that cannot fail is none: each of these programs is wrong by as little as possible."""
    estimator = TREES[name]
    model = next(iter(candidates(estimator, estimator.n_features_in_))).model
    assert model is not None
    for node in model.graph.node:
        for one in node.attribute:
            if one.name == "nodes_values_as_tensor":
                thresholds = numpy_helper.to_array(one.t)
                one.t.CopyFrom(numpy_helper.from_array(below(thresholds, "_predictors" in vars(estimator))))
    methods = accelerating._answered(model, estimator)
    program = Session(accelerating._renamed(model, methods), methods)
    rows = probes(estimator, read_schema(estimator), [])
    found = [compare(one, getattr(estimator, one), partial(program.call, one), rows) for one in methods]
    assert not all(one.passes for one in found)


def below(thresholds: Any, double: bool) -> Any:
    """The next smaller numbers that rows can be told from, in double precision or in single."""
    if double:
        return np.nextafter(thresholds, -np.inf)
    return np.nextafter(thresholds.astype(np.float32), np.float32(-np.inf)).astype(np.float64)


def test_a_constant_that_is_off_is_found_out() -> None:
    estimator = LinearRegression().fit(*DIABETES)
    rows = probes(estimator, read_schema(estimator), [])
    right = compare("predict", estimator.predict, estimator.predict, rows)
    wrong = compare("predict", estimator.predict, lambda some: estimator.predict(some) * (1 + 1e-5), rows)
    assert right.passes
    assert not wrong.passes
    assert wrong.largest_relative > TOLERANCE


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ([1, 2], [1, 3]),
        ([1, 2], [1.0, 2.0]),
        ([True, False], [1, 0]),
        (["a", "b"], ["a", "c"]),
        ([1.0, np.nan], [1.0, 2.0]),
        ([1.0, np.inf], [1.0, -np.inf]),
        ([[1.0], [2.0]], [1.0, 2.0]),
    ],
)
def test_answers_that_a_client_would_see_differ_are_mismatches(expected: Any, found: Any) -> None:
    compared = compare(
        "predict",
        lambda rows: np.array(expected)[: len(rows)],
        lambda rows: np.array(found)[: len(rows)],
        np.zeros((2, 1)),
    )
    assert compared.mismatches
    assert not compared.passes


def test_what_was_compared_on_no_rows_does_not_pass() -> None:
    compared = Compared(method="predict", rows=0, mismatches=0, largest_absolute=0.0, largest_relative=0.0)
    assert not compared.passes


@given(st.data())
@examples_of(max_examples=40, deadline=None)
def test_a_tree_and_its_program_agree_on_any_row(data: st.DataObject) -> None:
    """Rows of any floating-point numbers that a tree takes, as many as a request may have."""
    estimator = TREES["forest of three classes"]
    value = st.one_of(st.floats(-10, 10), st.floats(-LARGEST, LARGEST), st.sampled_from([0.0, -0.0, 5e-324]))
    rows = np.array(data.draw(st.lists(st.lists(value, min_size=4, max_size=4), min_size=1, max_size=30)))
    np.testing.assert_array_equal(_program().call("predict", rows), estimator.predict(rows))
    np.testing.assert_array_equal(_program().call("predict_proba", rows), estimator.predict_proba(rows))


def _program(made: list[Session] = []) -> Session:  # noqa: B006 - made once
    if not made:
        made.append(accelerated(TREES["forest of three classes"])[1])
    return made[0]


def test_probes_stand_at_every_threshold_of_a_small_tree_and_beside_it() -> None:
    estimator = DecisionTreeClassifier(random_state=0).fit(*IRIS)
    rows = probes(estimator, read_schema(estimator), [])
    tree = estimator.tree_
    for column, threshold in zip(tree.feature, tree.threshold, strict=True):
        if column >= 0:
            single = np.float32(threshold)
            around = (
                np.float64(single),
                np.nextafter(single, np.float32(-9)),
                np.nextafter(single, np.float32(9)),
            )
            for value in (threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf), *around):
                assert value in rows[:, column]


def test_examples_are_compared_as_well() -> None:
    estimator = LogisticRegression(max_iter=500).fit(*IRIS)
    examples = [(5.123456, 3.5, 1.4, 0.2), ("text", 1.0, 1.0, 1.0), (None, 1.0, 1.0, 1.0)]
    rows = probes(estimator, read_schema(estimator), examples)
    assert 5.123456 in rows[:, 0]
    assert len(rows) == len(probes(estimator, read_schema(estimator), [])) + 1


def test_missing_values_are_compared_where_they_are_taken() -> None:
    rows, targets = DIABETES
    gappy = np.where(np.random.default_rng(0).random(rows.shape) < 0.1, np.nan, rows)
    for estimator in (HistGradientBoostingRegressor(max_iter=5), RandomForestRegressor(3, random_state=0)):
        estimator.fit(gappy, targets)
        report, program = accelerated(estimator)
        assert report.program.missing
        assert np.max(np.abs(program.call("predict", gappy) - estimator.predict(gappy))) < 1e-4
    report, _ = accelerated(LinearRegression().fit(rows, targets))
    assert not report.program.missing


def test_labels_that_are_neither_whole_numbers_nor_texts_stay_with_the_estimator() -> None:
    estimator = RandomForestClassifier(3, random_state=0).fit(IRIS[0], IRIS[1] == 1)
    report, data = accelerate(estimator, read_schema(estimator), [])
    assert (report.verdict, data) == ("failed", b"")


def test_a_forest_that_would_take_much_of_the_server_stays_with_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_store.acceleration.trees.MOST_NODES", 10)
    report, _ = accelerate(TREES["forest of three classes"], read_schema(TREES["forest of three classes"]), [])
    assert "more than 10 nodes" in report.reason


def test_an_estimator_that_raises_on_its_probes_answers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Any, _rows: Any) -> Any:
        raise ValueError("not today")

    estimator = LinearRegression().fit(*DIABETES)
    monkeypatch.setattr(LinearRegression, "predict", refuse)
    report, _ = accelerate(estimator, read_schema(estimator), [])
    assert "raised ValueError" in report.reason
