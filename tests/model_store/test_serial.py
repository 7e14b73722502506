"""A model host computes with one thread, and answers what scikit-learn answers with its machinery for several."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from model_store.estimators.serial import Serial, task

X, Y = load_iris(return_X_y=True)
NAMES = ("predict", "predict_proba", "decision_function", "transform", "score_samples", "kneighbors")
PROGRAM = """
import pickle, sys
from model_store.estimators.serial import Serial, compute_serially
compute_serially()
with open(sys.argv[1], "rb") as file:
    estimators, names = pickle.load(file)
def answers(estimator, rows):
    return {name: getattr(estimator, name)(rows) for name in names if hasattr(estimator, name)}
found = {key: answers(*pair) for key, pair in estimators.items()}
left = [name for name, module in sys.modules.items()
        if name.startswith("sklearn.") and getattr(module, "Parallel", Serial) is not Serial]
with open(sys.argv[1], "wb") as file:
    pickle.dump((found, left), file)
"""
LINE, BAYES = LogisticRegression(max_iter=500), GaussianNB()
PAIRS = [("line", LINE), ("bayes", BAYES)]
HALVES = [("first", StandardScaler(), [0, 1]), ("second", MinMaxScaler(), [2, 3])]
ESTIMATORS = {
    "forest": RandomForestClassifier(30, random_state=0),
    "regressing forest": RandomForestRegressor(30, random_state=0),
    "extra trees": ExtraTreesClassifier(30, random_state=0),
    "regressing extra trees": ExtraTreesRegressor(30, random_state=0),
    "isolation forest": IsolationForest(n_estimators=30, random_state=0),
    "embedding": RandomTreesEmbedding(5, random_state=0),
    "bagging": BaggingClassifier(DecisionTreeClassifier(), random_state=0),
    "regressing bagging": BaggingRegressor(random_state=0),
    "voting": VotingClassifier(PAIRS, voting="soft"),
    "stacking": StackingClassifier(PAIRS, LINE),
    "one against the rest": OneVsRestClassifier(LINE),
    "one against one": OneVsOneClassifier(LINE),
    "calibration": CalibratedClassifierCV(BAYES),
    "neighbours": KNeighborsClassifier(algorithm="ball_tree"),
    "neighbours by brute force": KNeighborsClassifier(algorithm="brute", metric="cityblock"),
    "outliers": LocalOutlierFactor(novelty=True),
    "union": make_pipeline(make_union(StandardScaler(), MinMaxScaler()), LINE),
    "columns": make_pipeline(ColumnTransformer(HALVES), LINE),
    "several outputs": MultiOutputRegressor(Ridge()),
}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each estimator with rows, and what it answers in a process that computes serially."""
    path = tmp_path_factory.mktemp("serial") / "estimators.pkl"
    rows = np.random.default_rng(0).uniform(0, 8, (40, 4))
    pairs = {}
    for name, unfitted in ESTIMATORS.items():
        target = X[:, 2:] if name == "several outputs" else Y
        pairs[name] = (clone(unfitted).fit(X, target), rows)
    path.write_bytes(pickle.dumps((pairs, NAMES)))
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=True)
    found, left = pickle.loads(path.read_bytes())
    assert left == []
    return pairs, found


@pytest.mark.parametrize("name", ESTIMATORS)
def test_answers_are_the_same_to_the_last_bit(name: str, answered: Any) -> None:
    pairs, found = answered
    estimator, rows = pairs[name]
    assert found[name]
    for method, answer in found[name].items():
        for one, expected in zip(parts(answer), parts(getattr(estimator, method)(rows)), strict=True):
            np.testing.assert_array_equal(one, expected)


def parts(answer: Any) -> list[Any]:
    """The arrays of an answer: kneighbors has two, and some are sparse."""
    some = answer if isinstance(answer, tuple) else (answer,)
    return [part.toarray() if hasattr(part, "toarray") else part for part in some]


def test_what_is_asked_for_one_by_one_comes_one_by_one() -> None:
    called: list[int] = []
    results = Serial(n_jobs=2, return_as="generator")(task(called.append)(number) for number in (1, 2))
    assert not called
    assert list(results) == [None, None]
    assert called == [1, 2]
