"""Small fitted estimators for the tests, and the files that hold them."""

import io
import json
import zipfile
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model_store.proof.examples import Examples
from model_store.publication import GivenExamples

SPECIES = ["setosa", "versicolor", "virginica"]
MEASURES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


@cache
def iris() -> Pipeline:
    """Four numbers, three classes, no names."""
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*load_iris(return_X_y=True))


@cache
def forest() -> RandomForestClassifier:
    return RandomForestClassifier(20, random_state=0).fit(*load_breast_cancer(return_X_y=True))


def forest_of_counts() -> RandomForestClassifier:
    """A forest as a later scikit-learn reads one of 1.3: with counts where it takes the leaves for shares."""
    counting = RandomForestClassifier(10, random_state=0).fit(*load_iris(return_X_y=True))
    for tree in counting.estimators_:
        shares = tree.tree_.value
        shares *= tree.tree_.weighted_n_node_samples[:, None, None]
    return counting


@cache
def boosting() -> HistGradientBoostingRegressor:
    """Ten numbers by name, any of them may be missing."""
    features, target = gappy_diabetes()
    return HistGradientBoostingRegressor(max_iter=20).fit(features, target)


def gappy_diabetes() -> Any:
    features, target = load_diabetes(return_X_y=True)
    features = features.copy()
    features[::7, 2] = np.nan
    return features, target


@cache
def line() -> LinearRegression:
    """One number in, one number out: 2 x + 1."""
    return LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])


@cache
def colours() -> Pipeline:
    """One category of two, which must be one of them."""
    table = np.array([["red"], ["green"]] * 5, dtype=object)
    return make_pipeline(OneHotEncoder(), LogisticRegression()).fit(table, ["warm", "cold"] * 5)


@cache
def spam() -> Pipeline:
    """A text in, a word out."""
    texts = ["win money now", "cheap money", "see you at lunch", "the meeting is at noon"] * 3
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["spam", "spam", "ham", "ham"] * 3)


@cache
def people_table() -> Any:
    """A DataFrame with numbers, categories, one free text and a column that is not used."""
    pd = pytest.importorskip("pandas")
    return pd.DataFrame(
        {
            "age": [31.0, np.nan, 54.0, 22.0, 41.0, 67.0] * 5,
            "visits": [1, 2, 3, 4, 5, 6] * 5,
            "city": ["Oslo", "Rome", None, "Oslo", "Rome", "Rome"] * 5,
            "note": ["all good", "very late", "late again", "good", "good day", "too late"] * 5,
            "unused": list(range(30)),
        }
    )


@cache
def people() -> Pipeline:
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "visits"]),
            ("category", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("text", TfidfVectorizer(), "note"),
        ]
    )
    labels = ["stay", "go", "go", "stay", "stay", "go"] * 5
    return make_pipeline(columns, LogisticRegression()).fit(people_table(), labels)


@cache
def homes() -> Pipeline:
    """A regression on numbers, categories, booleans and a column that is not used; missing ones are filled."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(
        {
            "rooms": [1, 2, 3, 4, 5, 6] * 5,
            "city": ["Oslo", "Rome", None, "Oslo", "Rome", "Bonn"] * 5,
            "garden": [True, False, True] * 10,
            "unused": ["a"] * 30,
        }
    )
    filled = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["rooms"]),
            ("category", filled, ["city"]),
            ("yes", "passthrough", ["garden"]),
        ]
    )
    return make_pipeline(columns, LinearRegression()).fit(table, np.arange(30.0) ** 1.5)


def examples_of(rows: list[list[Any]]) -> Examples:
    """Examples of these rows, whose outputs are recorded."""
    return Examples(rows=tuple(map(tuple, rows)))


def given_examples(examples: Examples) -> GivenExamples:
    """The same as they come with an upload."""
    return GivenExamples("none", lambda _facts, _names: examples)


def skops_bytes(estimator: Any) -> bytes:
    return skops.io.dumps(estimator)


def edited(data: bytes, edit: Callable[[dict[str, Any]], Any]) -> bytes:
    """A skops file whose schema was changed by `edit`, which may return another one altogether."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as changed:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                replaced = edit(schema)
                content = json.dumps(schema if replaced is None else replaced).encode()
            changed.writestr(name, content)
    return target.getvalue()
