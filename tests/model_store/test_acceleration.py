"""Programs that answer in an estimator's place: which there are, that they answer the same, and that a wrong one
is found out.
"""

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import zoo
from hypothesis import given
from hypothesis import settings as examples_of
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier, TheilSenRegressor
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, MinMaxScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

pytest.importorskip("skl2onnx")

from onnx import TensorProto, helper, numpy_helper

from model_store.acceleration import accelerate as accelerating
from model_store.acceleration import trust
from model_store.acceleration.accelerate import LEAST_ROWS, accelerate
from model_store.acceleration.conversion import convert
from model_store.acceleration.decisions import with_margin
from model_store.acceleration.differences import relative, smallest
from model_store.acceleration.probes import LARGEST, Block, Probes, probes
from model_store.acceleration.proof import compare, leaps, turns
from model_store.acceleration.report import PROVEN, TOLERANCE, ComparedMethod, Unconvertible
from model_store.estimators.facts import read_schema
from model_store.formats.onnx.checks import parse, width_of
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


class Program:
    """A program as the server uses it: the rows that it answers, and its results."""

    def __init__(self, methods: tuple[str, ...], data: bytes) -> None:
        model = parse(data, Audit())
        self.trust = trust.read(model, width_of(model))
        names = methods if self.trust.least is None else (*methods, trust.MARGIN)
        self.session = Session(model, names)

    def answers(self, rows: Any) -> Any:
        inside = np.broadcast_to(self.trust.within(rows), len(rows))
        if self.trust.least is None:
            return inside
        return inside & (self.session.call(trust.MARGIN, rows)[:, 0] > self.trust.least)

    def call(self, method: str, rows: Any) -> Any:
        return self.session.call(method, rows)


def accelerated(estimator: Any, examples: Any = ()) -> tuple[Any, Program]:
    report, data = accelerate(estimator, read_schema(estimator), examples)
    assert report.verdict == "passed", report.reason
    return report, Program(report.program.methods, data)


def compared(
    name: str, native: Any, program: Any, rows: Any, margin: Any = None, least: float = 0.0
) -> ComparedMethod:
    """One method on one block of rows."""
    width = rows.shape[1]
    block = Probes((Block("data", rows),), np.full(width, -1.0), np.full(width, 1.0), np.full(width, True))
    return compare(name, native, program, margin or (lambda some: np.full(len(some), np.inf)), least, block)


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
    rows = probes(estimator, read_schema(estimator), [], seed=1).rows
    rows = rows[program.answers(rows)]
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
    model = convert(estimator, estimator.n_features_in_)
    for node in model.graph.node:
        for one in node.attribute:
            if one.name == "nodes_values_as_tensor":
                thresholds = numpy_helper.to_array(one.t)
                one.t.CopyFrom(numpy_helper.from_array(below(thresholds, "_predictors" in vars(estimator))))
    methods = accelerating._answered(model, estimator)
    program = Session(accelerating._renamed(model, methods), methods)
    rows = probes(estimator, read_schema(estimator), []).rows
    found = [compared(one, getattr(estimator, one), partial(program.call, one), rows) for one in methods]
    assert not all(one.passes for one in found)


def below(thresholds: Any, double: bool) -> Any:
    """The next smaller numbers that rows can be told from, in double precision or in single."""
    if double:
        return np.nextafter(thresholds, -np.inf)
    return np.nextafter(thresholds.astype(np.float32), np.float32(-np.inf)).astype(np.float64)


def test_a_constant_that_is_off_is_found_out() -> None:
    estimator = LinearRegression().fit(*DIABETES)
    rows = probes(estimator, read_schema(estimator), []).blocks[0].rows
    right = compared("predict", estimator.predict, estimator.predict, rows)
    wrong = compared("predict", estimator.predict, lambda some: estimator.predict(some) * (1 + 1e-10), rows)
    assert right.passes
    assert not wrong.passes
    assert wrong.largest_relative > PROVEN


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
    result = compared(
        "predict",
        lambda rows: np.array(expected)[: len(rows)],
        lambda rows: np.array(found)[: len(rows)],
        np.zeros((2, 1)),
    )
    assert result.mismatches
    assert not result.passes


def test_what_was_compared_on_no_rows_does_not_pass() -> None:
    result = ComparedMethod(method="predict", rows=0, mismatches=0, largest_absolute=0.0, largest_relative=0.0)
    assert not result.passes


@given(st.data())
@examples_of(max_examples=40, deadline=None)
def test_a_tree_and_its_program_agree_on_any_row(data: st.DataObject) -> None:
    """Rows of any floating-point numbers that a tree takes, as many as a request may have."""
    estimator = TREES["forest of three classes"]
    value = st.one_of(st.floats(-10, 10), st.floats(-LARGEST, LARGEST), st.sampled_from([0.0, -0.0, 5e-324]))
    rows = np.array(data.draw(st.lists(st.lists(value, min_size=4, max_size=4), min_size=1, max_size=30)))
    np.testing.assert_array_equal(_program().call("predict", rows), estimator.predict(rows))
    np.testing.assert_array_equal(_program().call("predict_proba", rows), estimator.predict_proba(rows))


def _program(made: list[Program] = []) -> Program:  # noqa: B006 - made once
    if not made:
        made.append(accelerated(TREES["forest of three classes"])[1])
    return made[0]


def test_probes_stand_at_every_threshold_of_a_small_tree_and_beside_it() -> None:
    estimator = DecisionTreeClassifier(random_state=0).fit(*IRIS)
    rows = probes(estimator, read_schema(estimator), []).rows
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
    found = probes(estimator, read_schema(estimator), examples)
    assert [block.rows.tolist() for block in found.blocks if block.name == "examples"] == [[list(examples[0])]]


def test_missing_values_are_compared_where_they_are_taken() -> None:
    rows, targets = DIABETES
    gappy = np.where(np.random.default_rng(0).random(rows.shape) < 0.1, np.nan, rows)
    for estimator in (HistGradientBoostingRegressor(max_iter=5), RandomForestRegressor(3, random_state=0)):
        estimator.fit(gappy, targets)
        _, program = accelerated(estimator)
        assert any(program.trust.missing)
        assert program.answers(gappy).all()
        assert np.max(np.abs(program.call("predict", gappy) - estimator.predict(gappy))) < 1e-10
    _, program = accelerated(LinearRegression().fit(rows, targets))
    assert not any(program.trust.missing)


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


RANDOM = np.random.default_rng(0)
#: Prices near 250,000 and distances near 120,000, times of one day, and numbers around 0.
PRICES = RANDOM.normal([250_000, 120_000], [400, 300], (300, 2))
TIMES = np.column_stack([1.7e12 + RANDOM.uniform(0, 86_400_000, 300), RANDOM.normal(size=300)])
VALUE = (PRICES[:, 0] - 250_000) / 400 - (PRICES[:, 1] - 120_000) / 300 + RANDOM.normal(size=300) * 0.1
SIDE = (VALUE > 0).astype(int)
THIRD = np.digitize(VALUE, [-1, 1])
ROUNDING = {
    "lengths of prices": (make_pipeline(Normalizer(), LinearRegression()), PRICES % 1000, VALUE),
    "robust lengths": (make_pipeline(Normalizer(), TheilSenRegressor(random_state=0)), PRICES, VALUE),
    "sides of lengths": (make_pipeline(Normalizer(), LogisticRegression(C=1e8, max_iter=5000)), PRICES, SIDE),
    "sums of absolute prices": (make_pipeline(Normalizer("l1"), LogisticRegression()), PRICES, SIDE),
    "a mixture of prices": (GaussianMixture(3, random_state=0), PRICES, None),
    "a diagonal mixture": (GaussianMixture(2, covariance_type="diag", random_state=0), TIMES, None),
    "a mixture with one covariance": (GaussianMixture(2, covariance_type="tied", random_state=0), PRICES, None),
    "a round mixture": (GaussianMixture(2, covariance_type="spherical", random_state=0), PRICES, None),
    "a bayesian mixture": (BayesianGaussianMixture(n_components=2, random_state=0), PRICES, None),
    "sides of components": (make_pipeline(PCA(2), RidgeClassifier()), PRICES, SIDE),
    "a machine": (SVC(), PRICES, THIRD),
    "a machine of pairs": (
        SVC(decision_function_shape="ovo", kernel="poly"),
        (PRICES - PRICES.mean(0)) / 300,
        THIRD,
    ),
    "a machine that breaks ties": (SVC(break_ties=True), PRICES, THIRD),
    "a machine for numbers": (SVR(kernel="sigmoid"), PRICES, VALUE),
    "outliers": (OneClassSVM(nu=0.1), PRICES, None),
    "clusters of times": (KMeans(4, n_init=2, random_state=0), TIMES, None),
    "two classes by covariance": (LinearDiscriminantAnalysis(), PRICES, SIDE),
    "a tuned threshold": (TunedThresholdClassifierCV(LogisticRegression(), cv=3), PRICES - PRICES.mean(0), SIDE),
    "a calibrated machine": (CalibratedClassifierCV(LinearSVC(), cv=2), (PRICES - PRICES.mean(0)) / 300, SIDE),
    "leaves with parts of votes": (RandomForestClassifier(10, max_depth=2, random_state=0), PRICES, THIRD),
}


#: Of these nothing but examples says where the data lies.
UNLOCATED = ("lengths of prices", "robust lengths", "sides of lengths", "sums of absolute prices")


@pytest.mark.parametrize("name", UNLOCATED)
def test_an_estimator_that_does_not_say_where_its_data_lies_has_no_program_without_examples(name: str) -> None:
    estimator, rows, target = ROUNDING[name]
    report, data = accelerate(estimator.fit(rows, target), read_schema(estimator), [])
    assert not data
    assert "examples with the version would say it" in report.reason


@pytest.mark.parametrize("name", ROUNDING)
def test_a_program_answers_labels_of_its_estimator_and_numbers_within_the_tolerance(name: str) -> None:
    """Training rows, rows between them, and rows at the edges between labels, if the program answers them."""
    estimator, rows, target = ROUNDING[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge
        estimator.fit(rows, target)
    examples = rows[:30].tolist() if name in UNLOCATED else []
    report, data = accelerate(estimator, read_schema(estimator), examples)
    assert data, report.reason
    program = Program(report.program.methods, data)
    assert program.answers(rows).mean() >= 0.99
    part = RANDOM.random((300, 1))
    every = [rows, rows + part * (rows[RANDOM.permutation(300)] - rows)]
    if report.program.methods[0] == "predict" and estimator.predict(rows[:1]).dtype.kind != "f":
        every += [turns(estimator.predict, rows, np.array([True, True]), seed) for seed in (7, 8)]
    asked = np.vstack(every)
    asked = asked[program.answers(asked)]
    for method in report.program.methods:
        expected, found = getattr(estimator, method)(asked), program.call(method, asked)
        if expected.dtype.kind != "f":
            assert found.tolist() == expected.tolist()
        else:
            assert relative(expected, found, smallest(getattr(estimator, method)(rows))).max() <= TOLERANCE


def test_rows_outside_of_what_was_compared_are_the_estimators() -> None:
    program = accelerated(make_pipeline(StandardScaler(), LinearRegression()).fit(PRICES, VALUE))[1]
    far = PRICES * [[1.0, 2.0]]
    assert program.answers(PRICES).all()
    assert not program.answers(far).any()
    assert not program.answers(np.array([[np.nan, 120_000.0]])).any()
    mixed = program.answers(np.vstack([PRICES[:2], far[:1]]))
    assert mixed.tolist() == [True, True, False]


def test_a_tree_behind_numbers_that_were_computed_stays_with_its_estimator() -> None:
    estimator = make_pipeline(PCA(2), DecisionTreeClassifier(random_state=0)).fit(PRICES, SIDE)
    report, data = accelerate(estimator, read_schema(estimator), [])
    assert not data
    assert "its trees are asked about numbers that were computed before" in report.reason


def test_an_operator_in_single_precision_is_refused() -> None:
    rows = helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [None, 2])
    nodes = [
        helper.make_node("Cast", ["rows"], ["short"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["short", "short"], ["twice"]),
        helper.make_node("Cast", ["twice"], ["transform"], to=TensorProto.DOUBLE),
    ]
    output = helper.make_tensor_value_info("transform", TensorProto.DOUBLE, [None, 2])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [rows], [output]), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 9
    with pytest.raises(Unconvertible, match="Add in single precision"):
        with_margin(model, PRICES[:2])


@pytest.mark.parametrize("last", [None, LinearRegression()])
def test_numbers_that_leap_over_computed_ones_are_the_estimators_near_the_leap(last: Any) -> None:
    rows = RANDOM.normal(1e6, 1, (300, 2))
    steps = [PCA(2), Binarizer(threshold=0.1), *([] if last is None else [last])]
    estimator = make_pipeline(*steps).fit(rows, VALUE)
    method = "transform" if last is None else "predict"
    report, program = accelerated(estimator)
    assert report.program.methods == (method,)
    assert program.answers(rows).mean() >= 0.99
    asked = np.vstack([leaps(getattr(estimator, method), rows, np.array([True, True]), seed) for seed in (5, 6)])
    asked = np.vstack([asked * (1 + off) for off in (0, 1e-15, -1e-15, 1e-13, -1e-13, 1e-12)])
    assert len(asked)
    asked = asked[program.answers(asked)]
    expected, found = getattr(estimator, method)(asked), program.call(method, asked)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
