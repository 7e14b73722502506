"""Rows of several requests in one call: the answers are those that each request would get alone."""

import warnings
from typing import Any

import numpy as np
import pytest
import zoo
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - to be imported
from sklearn.impute import IterativeImputer
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from model_store.estimators.methods import function_of, methods_of
from model_store.estimators.rowwise import answers_row_by_row

NEARLY = 1e-9


def accepted() -> list[str]:
    return [name for name in zoo.names() if zoo.verdict(name).word == "accepted"]


def parts_of(result: Any) -> list[Any]:
    return list(zoo._parts(result))


@pytest.mark.parametrize("name", [*zoo.names(), *zoo.TOGETHER])
def test_a_row_gets_the_same_answer_beside_others_as_alone(name: str) -> None:
    if name in zoo.TOGETHER:
        estimator, rows = zoo.together(name)
    else:
        if zoo.verdict(name).joined in {"", "never"}:
            pytest.skip("rows are never joined")
        estimator, rows = zoo.fitted(name)
    assert answers_row_by_row(estimator)
    rows = rows[:12] if isinstance(rows, list) else np.asarray(rows).reshape(len(rows), -1)[:21]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in methods_of(estimator):
            for size in (1, 2, 5):
                hold(function_of(estimator, method), rows, size, name in zoo.SAME_BITS)


def hold(function: Any, rows: Any, size: int, exactly: bool) -> None:
    whole = parts_of(function(rows))
    for start in range(0, len(rows) - size + 1, size):
        for joined, one in zip(whole, parts_of(function(rows[start : start + size])), strict=True):
            part = joined[start : start + size]
            alone = one.reshape(part.shape)  # sparse PCA forgets that one row is a row
            if exactly or part.dtype.kind != "f":
                np.testing.assert_array_equal(part, alone)
            else:
                np.testing.assert_array_less(np.abs(part - alone), NEARLY * np.maximum(1, np.abs(alone)))


@pytest.mark.parametrize(
    ("estimator", "joinable"),
    [
        (IterativeImputer(), False),
        (DummyClassifier(strategy="prior"), True),
        (DummyClassifier(strategy="stratified", random_state=0), False),
        (DummyClassifier(strategy="uniform", random_state=0), False),
        (TransformedTargetRegressor(zoo.LINE, func=np.log1p, inverse_func=np.expm1), True),
        (TransformedTargetRegressor(zoo.LINE, func=np.cumsum, inverse_func=np.cumsum, check_inverse=False), False),
        (NearestNeighbors(), True),
    ],
)
def test_estimators_that_look_at_all_rows_or_draw_are_not_joined(estimator: Any, joinable: bool) -> None:
    assert answers_row_by_row(estimator.fit(zoo.X, zoo.Y)) == joinable


class Outside(FunctionTransformer):
    """Not one of scikit-learn's, so nobody knows."""


@pytest.mark.parametrize(
    ("transformer", "joinable"),
    [
        (FunctionTransformer(), True),
        (FunctionTransformer(np.log1p), True),
        (FunctionTransformer(np.sum, kw_args={"axis": 1, "keepdims": True}), True),
        (FunctionTransformer(np.unique, kw_args={"axis": 1}), False),
        (FunctionTransformer(np.log1p, np.cumsum, check_inverse=False), False),
        (FunctionTransformer(np.cumsum, kw_args={"axis": 0}), False),
        (FunctionTransformer(np.sort), False),
        (FunctionTransformer(euclidean_distances), False),
        (FunctionTransformer(lambda rows: rows - rows.mean(axis=0)), False),
        (Outside(np.log1p), False),
    ],
)
def test_rows_are_joined_only_where_it_is_known_that_they_do_not_matter_to_each_other(
    transformer: Any, joinable: bool
) -> None:
    assert answers_row_by_row(transformer.fit(zoo.X)) == joinable
    assert answers_row_by_row(make_pipeline(transformer, zoo.MODEL)) == joinable
