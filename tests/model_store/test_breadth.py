"""Families of estimators that are taken, and predict the same after the way through a file."""

import warnings
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
    StackingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier, TweedieRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, SplineTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from model_store.artifacts.local import digest_of
from model_store.estimators import loaded
from model_store.formats.sniffing import sniff

X, Y = load_iris(return_X_y=True)
X = X + 0.5
FAMILIES = [
    AdaBoostClassifier(n_estimators=3),
    BaggingRegressor(n_estimators=3),
    CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2),
    CalibratedClassifierCV(LinearSVC(), cv=2),
    DecisionTreeClassifier(),
    ExtraTreesRegressor(5),
    GaussianProcessClassifier(1.0 * RBF() + WhiteKernel(), optimizer=None),
    GaussianProcessRegressor(ConstantKernel() * Matern() + WhiteKernel(), optimizer=None),
    GradientBoostingClassifier(n_estimators=3),
    GradientBoostingRegressor(loss="huber", n_estimators=3),
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    HistGradientBoostingClassifier(max_iter=3),
    HistGradientBoostingRegressor(loss="poisson", max_iter=3),
    IsolationForest(n_estimators=5, random_state=0),
    KNeighborsClassifier(),
    MLPClassifier(4, max_iter=30),
    MLPRegressor(hidden_layer_sizes=4, max_iter=30, solver="sgd"),
    OneVsRestClassifier(LogisticRegression()),
    RandomForestRegressor(5),
    SGDClassifier(loss="modified_huber"),
    StackingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())], cv=2),
    SVC(probability=False),
    SVR(),
    TweedieRegressor(power=1),
    VotingRegressor([("a", LinearRegression()), ("b", RandomForestRegressor(3))]),
    make_pipeline(FunctionTransformer(np.log1p), SelectKBest(f_classif, k=2), LogisticRegression()),
    make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression()),
    make_pipeline(SplineTransformer(), LinearRegression()),
]


@pytest.mark.parametrize("estimator", FAMILIES, ids=lambda e: type(e).__name__)
def test_a_family_is_taken_and_predicts_equal(estimator: Any, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, Y)
    path = folder / "model.skops"
    path.write_bytes(models.skops_bytes(estimator))
    with path.open("rb") as file:
        digest = digest_of(file)
    again = loaded.load(path, digest, sniff(path))
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(estimator, method):
            np.testing.assert_array_equal(again.call([method], X, [])[0], getattr(estimator, method)(X))
