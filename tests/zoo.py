"""Every estimator of scikit-learn that answers for new rows, fitted on a little data that suits it."""

import hashlib
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingRegressor
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401 - to be listed
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators
from skops.io.exceptions import UnsupportedTypeException

from model_store.errors import Refused
from model_store.estimators.facts import inspect
from model_store.estimators.loaded import load
from model_store.estimators.methods import function_of
from model_store.estimators.rowwise import answers_row_by_row

X, Y = load_iris(return_X_y=True)
X, Y = X[::3] + 0.5, Y[::3]
TEXTS = ["win money now", "cheap money", "see you at lunch", "the meeting is at noon"] * 3
MODEL, LINE = LogisticRegression(C=0.1, max_iter=500), Ridge()
TWO = np.column_stack([Y % 2, Y > 0]).astype(int)
#: Estimators that need to be told something before they can be fitted.
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"estimator": MODEL} for name in (
        "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "OneVsOneClassifier",
        "OneVsRestClassifier", "OutputCodeClassifier", "RFE", "SelectFromModel", "SelfTrainingClassifier",
        "TunedThresholdClassifierCV",
    )},
    **{name: {"estimator": MODEL, "cv": 2} for name in ("RFECV", "SequentialFeatureSelector")},
    **{name: {"estimator": LINE} for name in ("MultiOutputRegressor", "RegressorChain")},
    **{name: {"estimator": MODEL, "param_grid": {"C": [0.1, 1.0]}, "cv": 2} for name in (
        "GridSearchCV", "HalvingGridSearchCV",
    )},
    **{name: {"estimator": MODEL, "param_distributions": {"C": [0.1, 1.0]}, "cv": 2} for name in (
        "HalvingRandomSearchCV", "RandomizedSearchCV",
    )},
    **{name: {"n_components": 1} for name in ("CCA", "PLSCanonical", "PLSSVD")},
    **{name: {"n_components": 2} for name in ("GaussianRandomProjection", "SparseRandomProjection")},
    "ColumnTransformer": {"transformers": [("a", StandardScaler(), [0, 1]), ("b", "passthrough", [2])]},
    "FeatureUnion": {"transformer_list": [("a", StandardScaler()), ("b", "passthrough")]},
    "LocalOutlierFactor": {"novelty": True},
    "Pipeline": {"steps": [("a", StandardScaler()), ("b", MODEL)]},
    "SparseCoder": {"dictionary": np.eye(4)},
    "StackingClassifier": {"estimators": [("a", MODEL), ("b", DecisionTreeClassifier())], "cv": 2},
    "StackingRegressor": {"estimators": [("a", LINE), ("b", DecisionTreeRegressor())], "cv": 2},
    "VotingClassifier": {"estimators": [("a", MODEL), ("b", DecisionTreeClassifier())]},
    "VotingRegressor": {"estimators": [("a", LINE), ("b", DecisionTreeRegressor())]},
}  # fmt: skip
#: What keeps the others small, and the same each time.
SMALL = {"n_estimators": 5, "random_state": 0}
#: What some estimators are fitted on; all others on rows of four numbers and three classes.
DATA: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("CountVectorizer", "HashingVectorizer", "TfidfVectorizer"), (TEXTS,)),
    **dict.fromkeys(("DictVectorizer", "FeatureHasher"), ([{"a": 1, "b": 2}] * 6,)),
    **dict.fromkeys(("LabelBinarizer", "LabelEncoder"), (Y,)),
    **dict.fromkeys(("ClassifierChain", "MultiOutputClassifier"), (X, TWO)),
    **dict.fromkeys(("FixedThresholdClassifier", "TunedThresholdClassifierCV"), (X, Y % 2)),
    **dict.fromkeys(
        ("MultiOutputRegressor", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
         "MultiTaskLassoCV", "RegressorChain"),
        (X, np.column_stack([Y, X[:, 0]])),
    ),
    "GammaRegressor": (X, Y + 1.0),
    "IsotonicRegression": (X[:, 0], Y),
    "KernelCenterer": (X @ X.T,),
    "MultiLabelBinarizer": ([[1, 2], [2]],),
    "PatchExtractor": (np.ones((2, 8, 8)),),
    "SparseCoder": (X,),
}  # fmt: skip
#: Estimators put together, beside those that scikit-learn lists.
TOGETHER: dict[str, Any] = {
    "a pipeline of text": make_pipeline(TfidfVectorizer(), MODEL),
    "columns of numbers and categories": make_pipeline(
        ColumnTransformer(
            [("n", StandardScaler(), [0, 1]), ("c", OneHotEncoder(handle_unknown="ignore"), [2])]
        ),
        MODEL,
    ),
    "a union in a pipeline": make_pipeline(FeatureUnion([("a", StandardScaler()), ("b", "passthrough")]), MODEL),
    "a stack of pipelines": StackingClassifier(
        [("a", make_pipeline(StandardScaler(), MODEL)), ("b", RandomForestClassifier(3, random_state=0))], cv=2
    ),
    "a vote of pipelines": VotingRegressor(
        [("a", make_pipeline(StandardScaler(), LINE)), ("b", DecisionTreeRegressor())]
    ),
    "a calibrated machine": CalibratedClassifierCV(LinearSVC(), cv=2),
    "a calibrated forest": CalibratedClassifierCV(
        RandomForestClassifier(3, random_state=0), method="isotonic", cv=2
    ),
    "a search over a pipeline": GridSearchCV(
        Pipeline([("s", StandardScaler()), ("m", GaussianNB())]), {"m__var_smoothing": [0.1, 1e-9]}, cv=2
    ),
}  # fmt: skip


#: Estimators whose last bits depend on where their numbers lie in memory. The first is a kernel over few columns,
#: which some processors compute otherwise from an address that is not a multiple of 32; the others multiply with a
#: slice of a larger matrix, which a file holds in one piece.
NEARLY = dict.fromkeys(("KernelRidge", "LabelPropagation", "LabelSpreading"), ("last bits may differ",))


#: Estimators that compute each row by itself, so that it has the same last bits whatever stands beside it.
SAME_BITS = frozenset({
    "AdaBoostClassifier", "AdaBoostRegressor", "AdditiveChi2Sampler", "BaggingClassifier", "BaggingRegressor",
    "Binarizer", "CountVectorizer", "DecisionTreeClassifier", "DecisionTreeRegressor", "DummyClassifier",
    "DummyRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
    "FunctionTransformer", "GenericUnivariateSelect", "GradientBoostingClassifier", "GradientBoostingRegressor",
    "HashingVectorizer", "HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "IsolationForest",
    "IsotonicRegression", "KBinsDiscretizer", "MaxAbsScaler", "MinMaxScaler", "MissingIndicator", "Normalizer",
    "OneHotEncoder", "OrdinalEncoder", "PolynomialFeatures", "PowerTransformer", "QuantileTransformer",
    "RandomForestClassifier", "RandomForestRegressor", "RandomTreesEmbedding", "RobustScaler", "SelectFdr",
    "SelectFpr", "SelectFwe", "SelectKBest", "SelectPercentile", "SequentialFeatureSelector", "SimpleImputer",
    "SplineTransformer", "StandardScaler", "TargetEncoder", "TfidfTransformer", "TfidfVectorizer",
    "VarianceThreshold",
})  # fmt: skip


#: Estimators in whose place a program answers, where the packages for it are installed.
ACCELERATED = frozenset({
    "ARDRegression", "BayesianGaussianMixture", "BayesianRidge", "CalibratedClassifierCV",
    "ColumnTransformer",
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ElasticNet", "ElasticNetCV",
    "ExtraTreeClassifier", "ExtraTreeRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor", "FeatureUnion",
    "FunctionTransformer", "GaussianMixture", "GenericUnivariateSelect",
    "GradientBoostingClassifier", "GradientBoostingRegressor", "GridSearchCV", "HalvingGridSearchCV",
    "HalvingRandomSearchCV", "HistGradientBoostingClassifier", "HistGradientBoostingRegressor",
    "HuberRegressor", "IncrementalPCA", "KMeans", "Lars", "LarsCV", "Lasso", "LassoCV",
    "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearDiscriminantAnalysis", "LinearRegression", "LinearSVC",
    "LinearSVR", "LogisticRegression", "LogisticRegressionCV", "MLPClassifier", "MLPRegressor", "MaxAbsScaler",
    "MinMaxScaler", "MiniBatchKMeans", "MultiOutputRegressor", "MultiTaskElasticNet", "MultiTaskElasticNetCV",
    "MultiTaskLasso", "MultiTaskLassoCV", "NuSVC", "NuSVR", "OneClassSVM",
    "OneHotEncoder", "OrdinalEncoder", "OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV", "PCA",
    "PLSRegression", "PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "Perceptron", "Pipeline",
    "QuantileRegressor", "RANSACRegressor", "RandomForestClassifier", "RandomForestRegressor",
    "RandomizedSearchCV", "Ridge", "RidgeCV", "RidgeClassifier", "RidgeClassifierCV", "RobustScaler",
    "SGDClassifier", "SGDRegressor", "SVC", "SVR", "SelectFdr", "SelectFpr", "SelectFromModel", "SelectFwe",
    "SelectKBest", "SelectPercentile", "SimpleImputer", "StackingClassifier", "StackingRegressor",
    "StandardScaler", "TargetEncoder", "TruncatedSVD", "TunedThresholdClassifierCV",
    "VarianceThreshold", "VotingRegressor", "a stack of pipelines",
    "a vote of pipelines", "a calibrated machine", "columns of numbers and categories",
})  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What becomes of an estimator: accepted, refused, or it has no skops form; why; and if rows are joined."""

    name: str
    kind: str
    word: str
    why: str = ""
    joined: str = ""


def names() -> list[str]:
    """Every estimator that scikit-learn lists and that answers for new rows."""
    return [name for name, class_ in all_estimators() if any(hasattr(class_, m) for m in ("predict", "transform"))]


def fitted(name: str) -> tuple[Any, Any]:
    """An estimator and the rows that it was fitted on."""
    class_ = dict(all_estimators())[name]
    data = DATA.get(name, (X, Y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "FrozenEstimator":
            return class_(MODEL.fit(X, Y)), X
        estimator = class_(**SETTINGS.get(name, {}))
        given = estimator.get_params(deep=False)
        estimator.set_params(**{name: value for name, value in SMALL.items() if name in given})
        return estimator.fit(*data), data[0]


def together(name: str) -> tuple[Any, Any]:
    """One of `TOGETHER`, fitted, and its rows."""
    rows, targets = (TEXTS, [0, 0, 1, 1] * 3) if "text" in name else (X.round(), Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TOGETHER[name].fit(rows, targets), rows


def judge(name: str, estimator: Any, rows: Any) -> Verdict:
    """Whether an estimator is taken; and then it answers, method by method, exactly as before."""
    try:
        data = skops.io.dumps(estimator)
    except UnsupportedTypeException as error:
        return Verdict(name, kind_of(estimator), "no skops form", str(error))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.skops"
        path.write_bytes(data)
        try:
            found = inspect(path)
        except Refused as error:
            return Verdict(name, kind_of(estimator), "refused", str(error))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about logarithms of zero and the like, which are as before
            check_answers(name, estimator, rows, path, found)
    assert found.facts.faults == (), name
    changed = sorted({finding.rule for finding in found.safety.normalised})
    why = ", ".join([*changed, *NEARLY.get(name, ())])
    return Verdict(name, kind_of(estimator), "accepted", why, joined(name, estimator))


def joined(name: str, estimator: Any) -> str:
    """What becomes of an answer whose rows stand in one call with those of other requests."""
    if not answers_row_by_row(estimator):
        return "never"
    return "same bits" if name in SAME_BITS else "nearly"


def check_answers(name: str, estimator: Any, rows: Any, path: Path, found: Any) -> None:
    """Fails unless every method gives the same after the way through the file."""
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    loaded = load(path, digest, found.facts.format)
    for method in found.facts.methods:
        given = (
            (None, [(rows, None)]) if found.facts.schema.text else (np.asarray(rows).reshape(len(rows), -1), [])
        )
        expected = function_of(estimator, method)(rows)
        for one, other in zip(_parts(loaded.call([method], *given)[0]), _parts(expected), strict=True):
            if name in NEARLY:
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
            else:
                np.testing.assert_array_equal(one, other)


def _parts(result: Any) -> Iterator[Any]:
    for part in result if isinstance(result, list | tuple) else [result]:
        yield part.toarray() if hasattr(part, "toarray") else np.asarray(part)


def kind_of(estimator: Any) -> str:
    """What scikit-learn calls it."""
    kinds = {
        "classifier": is_classifier, "regressor": is_regressor, "outlier detector": is_outlier_detector,
        "clusterer": is_clusterer,
    }  # fmt: skip
    found = next((kind for kind, is_one in kinds.items() if is_one(estimator)), None)
    return found or ("mixture" if hasattr(estimator, "predict") else "transformer")


@cache
def verdict(name: str) -> Verdict:
    """The verdict on an estimator."""
    estimator, rows = fitted(name)
    return judge(name, as_fitted_on_two_cores(estimator), rows)


def as_fitted_on_two_cores(estimator: Any) -> Any:
    """Some estimators keep how many threads they were fitted with, which the page must not depend on."""
    for part in (estimator, getattr(estimator, "_bin_mapper", None)):
        for name in ("_n_threads", "n_threads"):
            if hasattr(part, name):
                setattr(part, name, 2)
    return estimator


def verdicts() -> tuple[Verdict, ...]:
    """The verdict on every estimator."""
    return tuple(verdict(name) for name in names())


def release() -> str:
    """The scikit-learn that the verdicts are about."""
    return ".".join(metadata.version("scikit-learn").split(".")[:2])


def page() -> str:
    """The text of docs/estimators.md."""
    found = verdicts()
    with_form = [one for one in found if one.word != "no skops form"]
    accepted = [one for one in found if one.word == "accepted"]
    head = HEAD.format(
        release=release(), accepted=len(accepted), total=len(with_form),
        share=100 * len(accepted) / len(with_form),
        together="\n".join(f"- {name}" for name in TOGETHER),
    )  # fmt: skip
    rows = (
        f"| {one.name} | {one.kind} | {one.word} | {engine(one)} | {one.joined} | {one.why} |\n" for one in found
    )
    return head + "".join(rows)


def engine(one: Verdict) -> str:
    """What answers for an estimator where the packages for programs are installed."""
    return "" if one.word != "accepted" else "onnx" if one.name in ACCELERATED else "native"


HEAD = """# Estimators

What becomes of each estimator that scikit-learn {release} lists in `all_estimators()` and that answers for new
rows: fitted on a little data, written with skops, uploaded, and asked for every method that it has. An accepted
one answers exactly as before (where the last column says "last bits may differ", to nine digits).

Accepted are {accepted} of the {total} that have a skops form ({share:.1f} %). For accepted ones the last column
names what is changed on loading (see `wsgi-service inspect`), for the others it says why they are refused.

When a version is busy, requests that wait for it are joined in one call. With "same bits" a row's answer is bit by
bit what it is alone; with "nearly" the last bits of its numbers may differ, by less than 1e-9 (of 1, or of the
number if that is larger), since linear algebra adds up in another order; "never" means that rows depend on each
other, so requests are not joined. `"exact": true` in a request asks for an answer for its rows alone.

With the extra `onnx` installed, a program answers in the place of those whose engine is `onnx`: it was compared
with the estimator on thousands of rows at the upload (`GET /models/NAME/versions/N/acceleration` has the report).
That is so for these fits on a little data; with others the report may say that the estimator answers itself.

Put together, these are accepted and answer exactly as before as well:

{together}

This page is made by `tests/zoo.py` (`python3 scripts/dev.py docs` writes it), and a test compares it.

| estimator | kind | verdict | engine | joined | changed on loading, or why not |
|---|---|---|---|---|---|
"""
