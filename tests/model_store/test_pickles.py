"""Pickles and types of one's own: only where the operator allows them, and always said in the report."""

import pickle
from pathlib import Path
from typing import Any

import joblib
import models
import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from model_store.errors import Unreadable, Unsafe, UnsupportedFormat
from model_store.estimators.facts import inspect
from model_store.estimators.loaded import Loaded
from model_store.formats import load
from model_store.safety import Policy

PICKLES = Policy(allow_pickle=True)


class Doubler(TransformerMixin, BaseEstimator):
    """A transformer of one's own, as a preprocessing package has it."""

    def fit(self, rows: Any, _targets: Any = None) -> "Doubler":
        self.n_features_in_ = rows.shape[1]
        self.fitted_ = True
        return self

    def transform(self, rows: Any) -> Any:
        return np.asarray(rows) * 2


def doubling() -> Any:
    return make_pipeline(Doubler(), LinearRegression()).fit(np.array([[0.0], [1.0]]), [1.0, 3.0])


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3)])
def test_a_pickle_is_read_where_it_is_allowed_and_the_report_says_so(folder: Path, compress: Any) -> None:
    path = folder / "model.pkl"
    joblib.dump(models.line(), path, compress=compress)
    with pytest.raises(UnsupportedFormat):
        inspect(path)
    found = inspect(path, policy=PICKLES)
    assert (found.facts.format, found.facts.estimator) == ("pickle", "LinearRegression")
    assert [(finding.rule, finding.severity) for finding in found.safety.findings] == [
        ("what-is-read-is-code", "warning")
    ]
    assert found.safety.classes == ("sklearn.linear_model._base.LinearRegression",)


def test_a_stored_pickle_is_not_read_any_more_once_that_is_not_allowed(folder: Path) -> None:
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(models.line()))
    with pytest.raises(UnsupportedFormat, match="--allow-pickle"):
        load("pickle", path)


def test_a_damaged_pickle_is_unreadable(folder: Path) -> None:
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps(models.line())[:-20])
    with pytest.raises(Unreadable):
        inspect(path, policy=PICKLES)


def test_a_type_of_ones_own_is_taken_where_it_is_trusted(folder: Path) -> None:
    path = folder / "model.skops"
    path.write_bytes(skops.io.dumps(doubling()))
    name = f"{Doubler.__module__}.Doubler"
    with pytest.raises(Unsafe, match="Doubler"):
        inspect(path)
    policy = Policy(trusted=(name,))
    found = inspect(path, policy=policy)
    assert [(finding.severity, finding.where) for finding in found.safety.findings] == [("warning", name)]
    assert Loaded(load("skops", path, policy)).call(["predict"], np.array([[2.0]]), [])[0] == pytest.approx([5.0])


def test_trusting_one_type_trusts_no_other_of_its_module(folder: Path) -> None:
    path = folder / "model.skops"
    path.write_bytes(skops.io.dumps(doubling()))
    with pytest.raises(Unsafe):
        inspect(path, policy=Policy(trusted=(f"{Doubler.__module__}.Other", Doubler.__module__)))
