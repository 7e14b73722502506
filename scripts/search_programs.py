"""Looks for rows that a program answers otherwise than its estimator, in random pipelines on everyday data.

    python scripts/search_programs.py 2000 [--first SEED] [--rows 200] [--processes 2]

Each seed makes a pipeline of one of the families that have programs, fits it, accelerates it, and asks both for
rows near the data, at the edges between labels (by halving), at thresholds, far away and special ones. A row
counts as wrong if its label is not the estimator's, or a number is off by more than the tolerance. Each pipeline
has its line, so a run can go on where another one stopped.
"""

import argparse
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import (
    calibration,
    cluster,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    linear_model,
    mixture,
    model_selection,
    naive_bayes,
    neural_network,
    preprocessing,
    svm,
    tree,
)
from sklearn.pipeline import make_pipeline

from model_store.acceleration import trust
from model_store.acceleration.accelerate import accelerate
from model_store.acceleration.differences import dense, relative, smallest, unequal
from model_store.acceleration.proof import leaps, turns
from model_store.acceleration.report import TOLERANCE
from model_store.estimators.facts import read_schema
from model_store.formats.onnx.checks import parse
from model_store.formats.onnx.program import Session
from model_store.formats.rules import Audit

Array = NDArray[np.float64]
FITTED = 300
#: Rows that come as examples with every second pipeline; the others must say themselves where their data lies.
EXAMPLES = 40
#: How close rows beside those of the data are.
NEAR = [1e-15, 1e-12, 1e-9, 1e-6]


class Found(NamedTuple):
    """What came of one pipeline."""

    seed: int
    name: str
    reason: str
    compared: int = 0
    labels: int = 0
    numbers: int = 0
    largest: float = 0.0
    near: float = 1.0
    worst: str = ""


def main() -> int:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipelines", type=int)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--processes", type=int, default=1)
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.pipelines)
    if chosen.processes == 1:
        return report([show(searched(seed, chosen.rows)) for seed in seeds])
    with ProcessPoolExecutor(chosen.processes) as pool:
        return report(
            [show(found) for found in pool.map(searched, seeds, [chosen.rows] * len(seeds), chunksize=4)]
        )


def show(found: Found) -> Found:
    """Print a line about one pipeline, and return it."""
    if found.reason:
        print(f"{found.seed} {found.name}: no program: {found.reason}", flush=True)
    else:
        print(
            f"{found.seed} {found.name}: {found.compared} rows, {found.labels} labels and {found.numbers} numbers "
            f"otherwise, largest {found.largest:.1e}, answers {found.near:.3f} near the data {found.worst}",
            flush=True,
        )
    return found


def report(found: list[Found]) -> int:
    """Print the sums; 1 if anything was answered otherwise."""
    programs = [one for one in found if not one.reason]
    labels, numbers = sum(one.labels for one in programs), sum(one.numbers for one in programs)
    well = sum(one.near >= 0.99 for one in programs)  # noqa: PLR2004
    print(
        f"{len(found)} pipelines, {len(programs)} with programs, {sum(one.compared for one in programs)} rows: "
        f"{labels} labels and {numbers} numbers otherwise; {well} programs answer 0.99 of the rows near their data"
    )
    for reason, count in Counter(one.reason for one in found if one.reason).most_common():
        print(f"  {count} without: {reason}")
    return int(bool(labels or numbers))


def searched(seed: int, rows: int) -> Found:
    """Make one pipeline and compare its program."""
    warnings.simplefilter("ignore")
    random = np.random.default_rng(seed)
    data = columns(random)
    try:
        estimator, name = pipeline(data, random)
    except Exception as error:  # noqa: BLE001 - scikit-learn's own troubles are not looked for here
        return Found(seed, "", f"it cannot be fitted ({type(error).__name__})")
    examples = data[:EXAMPLES].tolist() if seed % 2 else []
    with np.errstate(all="ignore"):
        schema = read_schema(estimator)
        began = time.process_time()
        said, program = accelerate(estimator, schema, examples)
        if not program:
            return Found(seed, name, str(said.reason))
        model = parse(program, Audit())
        trusted = trust.read(model, data.shape[1])
        assert said.program
        assert trusted is not None
        names = [*said.program.methods, *([trust.MARGIN] if trusted.least is not None else [])]
        session = Session(model, names)
        return compared(
            seed, f"{name} ({time.process_time() - began:.1f} s)", estimator, session, trusted, data, rows
        )


def compared(
    seed: int, name: str, estimator: Any, session: Session, trusted: trust.Trust, data: Array, rows: int
) -> Found:
    """Hold a program against its estimator on rows of each kind."""
    random = np.random.default_rng(seed + 1)
    methods = [method for method in session.methods if method != trust.MARGIN]
    count, near, said = 0, 1.0, []
    for kind, every in places(estimator, data, rows, random).items():
        answered = answers_for(session, trusted, every)
        if kind == "data":
            near = float(answered.mean())
        asked = every[answered]
        count += len(asked)
        like = data if "edges" in kind else asked
        said += [(kind, *differences(method, estimator, session, asked, like)) for method in methods if len(asked)]
    worst = max(said, key=lambda one: (one[1], one[3]), default=("", 0, 0, 0.0))
    labels, numbers = sum(one[1] for one in said), sum(one[2] for one in said)
    return Found(seed, name, "", count, labels, numbers, worst[3], near, f"[{worst[0]}]" if worst[3] else "")


def differences(
    method: str, estimator: Any, session: Session, asked: Array, like: Array
) -> tuple[int, int, float]:
    """Labels and numbers that are the estimator's no more, and the largest difference of numbers."""
    try:
        expected = dense(getattr(estimator, method)(asked))
    except ValueError:  # it refuses such rows, and so does the server
        return 0, 0, 0.0
    found = session.call(method, asked)
    if expected.dtype.kind != "f":
        return int(unequal(expected, found).sum()), 0, 0.0
    size = smallest(dense(getattr(estimator, method)(like)))
    off = relative(expected, found, size).reshape(len(asked), -1).max(axis=1)
    return 0, int(np.sum(~(off <= TOLERANCE))), float(off.max())


def answers_for(session: Session, trusted: trust.Trust, rows: Array) -> NDArray[np.bool_]:
    """Which rows the program answers."""
    inside = np.broadcast_to(trusted.within(rows), len(rows))
    if trusted.least is None:
        return inside
    margins = session.call(trust.MARGIN, rows).reshape(-1)
    return np.asarray(inside & (margins > trusted.least))


def places(estimator: Any, data: Array, rows: int, random: np.random.Generator) -> dict[str, Array]:
    """Rows of each kind, by its name."""
    some = data[random.integers(len(data), size=rows)]
    others = data[random.integers(len(data), size=rows)]
    found = {
        "data": some,
        "between": some + random.random((rows, 1)) * (others - some),
        "close": some * (1 + random.choice(NEAR, size=some.shape) * random.normal(size=some.shape)),
        "shuffled": np.column_stack([random.permutation(column) for column in some.T]),
        "far": some * 10 ** random.uniform(0, 6, (rows, 1)),
        "scaled": random.normal(size=some.shape) * 10 ** random.uniform(-6, 9, (rows, 1)),
        "special": random.choice([0.0, -0.0, 1.0, -1.0, 5e-324, 1e15, -1e15, 0.5, 2.0**24 + 1], size=some.shape),
    }
    moving = np.ones(data.shape[1], dtype=np.bool_)
    for method in methods_of(estimator):
        native = getattr(estimator, method)
        for place, near in (("edges", data), ("edges in the box", found["shuffled"])):
            sought = leaps if dense(native(near[:2])).dtype.kind == "f" else turns
            name = f"{place} of {method}"
            found[name] = sought(native, near, moving, int(random.integers(1 << 30)))
            found[f"beside {name}"] = found[name] * (1 + 1e-14 * random.normal(size=found[name].shape))
    return {name: asked for name, asked in found.items() if len(asked)}


def methods_of(estimator: Any) -> list[str]:
    """What is asked of an estimator."""
    return [name for name in ("predict", "predict_proba", "transform") if hasattr(estimator, name)]


def columns(random: np.random.Generator) -> Array:
    """A table of everyday columns: prices, times, money, counts, shares and tiny numbers."""
    kinds = [
        lambda: random.normal(250_000, 400, FITTED),
        lambda: random.normal(120_000, 300, FITTED),
        lambda: 1.7e12 + random.uniform(0, 86_400_000, FITTED),
        lambda: random.lognormal(8, 1.2, FITTED),
        lambda: random.integers(1990, 2025, FITTED).astype(float),
        lambda: random.poisson(3, FITTED).astype(float),
        lambda: random.random(FITTED),
        lambda: random.normal(0, 1e-6, FITTED),
        lambda: random.normal(5, 2, FITTED),
        lambda: random.normal(0, 1, FITTED),
        lambda: random.exponential(1e6, FITTED),
        lambda: np.round(random.normal(20, 8, FITTED), 1),
    ]
    plain = random.random() < 0.4  # noqa: PLR2004
    chosen = [8, 9, 6] if plain else range(len(kinds))
    return np.column_stack([kinds[random.choice(list(chosen))]() for _ in range(random.integers(2, 7))])


def pipeline(data: Array, random: np.random.Generator) -> tuple[Any, str]:
    """A fitted pipeline, and what it is made of."""
    scaled = (data - data.mean(axis=0)) / data.std(axis=0)
    signal = scaled @ random.normal(size=data.shape[1]) + 0.3 * random.normal(size=len(data))
    kind = random.choice(["class", "two", "number", "cluster"], p=[0.3, 0.3, 0.3, 0.1])
    target = {
        "class": np.digitize(signal, np.quantile(signal, [0.3, 0.7])),
        "two": (signal > 0).astype(int),
        "number": signal * 10 ** random.uniform(-4, 4) + random.choice([0.0, 100.0]),
        "cluster": None,
    }[kind]
    steps = [make() for make in _chosen(TRANSFORMERS, random, random.choice([0, 1, 2], p=[0.3, 0.4, 0.3]))]
    last = _chosen(FINALS[kind], random, 1)[0]()
    estimator = make_pipeline(*steps, last) if steps else last
    name = ", ".join(type(step).__name__ for step in [*steps, last])
    try:
        return estimator.fit(data, target), name
    except (ValueError, TypeError):  # such data is not for it
        return make_pipeline(preprocessing.StandardScaler(), last).fit(data, target), f"StandardScaler, {name}"


def _chosen(options: list[Any], random: np.random.Generator, count: int) -> list[Any]:
    return [options[index] for index in random.integers(len(options), size=count)]


def machine(class_: Any, **settings: Any) -> Any:
    """A support vector machine that ends to be fitted, whatever the data is like."""
    return lambda: class_(max_iter=20_000, **settings)


pp, lm = preprocessing, linear_model
TRANSFORMERS: list[Any] = [
    pp.StandardScaler, pp.MinMaxScaler, pp.RobustScaler, pp.MaxAbsScaler, pp.Normalizer, pp.PowerTransformer,
    lambda: pp.Normalizer("l1"), lambda: decomposition.PCA(2), lambda: decomposition.PCA(2, whiten=True),
    lambda: decomposition.TruncatedSVD(1), lambda: feature_selection.SelectKBest(feature_selection.f_classif, k=1),
    feature_selection.VarianceThreshold, lambda: pp.PolynomialFeatures(2),
    lambda: pp.KBinsDiscretizer(3, encode="ordinal"), lambda: pp.Binarizer(threshold=0.1),
]  # fmt: skip
CLASSIFIERS: list[Any] = [
    lambda: lm.LogisticRegression(max_iter=300), lambda: lm.LogisticRegression(C=1e8, max_iter=300),
    lm.RidgeClassifier, lm.SGDClassifier, lambda: lm.SGDClassifier(loss="log_loss"),
    lambda: lm.SGDClassifier(loss="modified_huber"), lm.Perceptron,
    lambda: svm.LinearSVC(max_iter=300), machine(svm.SVC), machine(svm.SVC, kernel="poly"),
    machine(svm.SVC, kernel="sigmoid"),
    machine(svm.SVC, decision_function_shape="ovo"), machine(svm.SVC, probability=True),
    machine(svm.NuSVC, nu=0.1),
    naive_bayes.GaussianNB, discriminant_analysis.LinearDiscriminantAnalysis,
    discriminant_analysis.QuadraticDiscriminantAnalysis,
    lambda: tree.DecisionTreeClassifier(max_depth=5), lambda: ensemble.RandomForestClassifier(10),
    lambda: ensemble.RandomForestClassifier(10, max_depth=3), lambda: ensemble.ExtraTreesClassifier(10),
    lambda: ensemble.GradientBoostingClassifier(n_estimators=8),
    lambda: ensemble.HistGradientBoostingClassifier(max_iter=8),
    lambda: ensemble.AdaBoostClassifier(n_estimators=5),
    lambda: ensemble.BaggingClassifier(n_estimators=4),
    lambda: neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=50),
    lambda: neural_network.MLPClassifier(hidden_layer_sizes=(8,), activation="logistic", max_iter=50),
    lambda: neural_network.MLPClassifier(hidden_layer_sizes=(8,), activation="tanh", max_iter=50),
    lambda: calibration.CalibratedClassifierCV(svm.LinearSVC(max_iter=300), cv=2),
    lambda: calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2, method="isotonic"),
    lambda: ensemble.VotingClassifier([("a", lm.LogisticRegression()), ("b", naive_bayes.GaussianNB())]),
    lambda: ensemble.StackingClassifier(
        [("a", lm.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=3))], cv=2),
    lambda: model_selection.GridSearchCV(lm.LogisticRegression(max_iter=300), {"C": [0.1, 10]}, cv=2),
]  # fmt: skip
FINALS: dict[Any, list[Any]] = {
    "class": CLASSIFIERS,
    "two": [*CLASSIFIERS, lambda: model_selection.TunedThresholdClassifierCV(lm.LogisticRegression(), cv=2)],
    "number": [
        lm.LinearRegression, lm.Ridge, lambda: lm.Lasso(0.01), lambda: lm.ElasticNet(0.01), lm.HuberRegressor,
        lambda: lm.TheilSenRegressor(max_subpopulation=50, random_state=0), lm.BayesianRidge,
        lambda: lm.RANSACRegressor(random_state=0), lambda: lm.QuantileRegressor(alpha=0.01),
        machine(svm.SVR), machine(svm.SVR, kernel="poly"), machine(svm.SVR, kernel="linear"), machine(svm.NuSVR),
        lambda: svm.LinearSVR(max_iter=300), lambda: tree.DecisionTreeRegressor(max_depth=6),
        lambda: ensemble.RandomForestRegressor(8), lambda: ensemble.ExtraTreesRegressor(8),
        lambda: ensemble.GradientBoostingRegressor(n_estimators=10),
        lambda: ensemble.HistGradientBoostingRegressor(max_iter=8),
        lambda: neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=50),
        lambda: ensemble.VotingRegressor([("a", lm.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3))]),
        lambda: lm.SGDRegressor(max_iter=50),
    ],
    "cluster": [
        lambda: cluster.KMeans(3, n_init=1), lambda: cluster.MiniBatchKMeans(3, n_init=1),
        machine(svm.OneClassSVM),
        machine(svm.OneClassSVM, nu=0.1), lambda: mixture.GaussianMixture(2),
        lambda: mixture.GaussianMixture(3, covariance_type="diag"),
        lambda: mixture.GaussianMixture(2, covariance_type="tied"),
        lambda: mixture.GaussianMixture(2, covariance_type="spherical"),
        lambda: mixture.BayesianGaussianMixture(n_components=2), lambda: ensemble.IsolationForest(n_estimators=10),
        lambda: decomposition.PCA(2), pp.StandardScaler,
    ],
}  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
