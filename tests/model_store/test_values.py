"""The rules about values: what compiled code would follow out of bounds, and what a server must not act on.

Each crafted model passes skops' own audit (rows F10 to F18, F21 and M1 to M13 of the bad inputs). None of them is
ever asked to predict here: without the rules that would crash or hang.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import skops.io
from scipy import sparse
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import mutual_info_regression
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics.pairwise import linear_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from model_store.errors import Refused, Unsafe
from model_store.formats.rules import Audit
from model_store.formats.skops import load, values
from model_store.formats.skops.gate import RULES as GATE_RULES
from model_store.safety import STRICT, Finding

X, Y = load_iris(return_X_y=True)
TEXTS = ["win money now", "see you at lunch", "the meeting is at noon", "cheap money"]


@pytest.fixture
def audit(folder: Path) -> Callable[[Any], list[Finding]]:
    """Dump an estimator, load it as an upload is loaded, and give the findings."""

    def audit_(estimator: Any) -> list[Finding]:
        path = folder / "model.skops"
        path.write_bytes(estimator if isinstance(estimator, bytes) else skops.io.dumps(estimator))
        noted = Audit()
        load(path, STRICT, noted)
        return noted.findings

    return audit_


def linear() -> LogisticRegression:
    return LogisticRegression(C=0.1, max_iter=500).fit(X, Y)


def rules_of(findings: list[Finding], severity: str = "normalised") -> set[str]:
    return {finding.rule for finding in findings if finding.severity == severity}


def with_tree(estimator: Any, tree: Tree, change: Callable[[dict[str, Any]], None], width: int = 0) -> bytes:
    """The file of an estimator whose tree (one of its own) was changed."""
    state = tree.__getstate__()
    state = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in state.items()}
    change(state)
    target = Tree(width or tree.n_features, np.array(tree.n_classes, dtype=np.intp), tree.n_outputs)
    target.__setstate__(state)
    for owner in [estimator, *np.ravel(getattr(estimator, "estimators_", []))]:
        if getattr(owner, "tree_", None) is tree:
            owner.tree_ = target
    return skops.io.dumps(estimator)


def nodes(name: str, index: int, value: float) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        state["nodes"][name][index] = value

    return change


def both_children_are_one(state: dict[str, Any]) -> None:
    state["nodes"]["right_child"][0] = state["nodes"]["left_child"][0]


def shallow(state: dict[str, Any]) -> None:
    state["max_depth"] = 1


TREE_CHANGES = {
    "child out of range": nodes("left_child", 0, 10_000),
    "negative child": nodes("right_child", 0, -7),
    "a loop": nodes("left_child", 0, 0),
    "shared child": both_children_are_one,
    "feature out of range": nodes("feature", 0, 400),
    "negative feature": nodes("feature", 0, -3),
    "claims to be shallow": shallow,
}


@pytest.mark.parametrize("kind", TREE_CHANGES)
def test_a_tree_that_leads_out_of_itself_is_refused(audit: Any, kind: str) -> None:
    model = DecisionTreeClassifier(random_state=0).fit(X, Y)
    with pytest.raises(Unsafe):
        audit(with_tree(model, model.tree_, TREE_CHANGES[kind]))


@pytest.mark.parametrize(
    "family",
    [
        RandomForestClassifier(3),
        ExtraTreesClassifier(3),
        IsolationForest(n_estimators=3),
        GradientBoostingClassifier(n_estimators=2),
    ],
)
def test_a_tree_in_an_ensemble_is_as_wide_as_the_ensemble(audit: Any, family: Any) -> None:
    model = family.fit(X, Y)
    tree = np.ravel(model.estimators_)[0]
    tree.n_features_in_ = 9
    with pytest.raises(Unsafe):
        audit(with_tree(model, tree.tree_, lambda state: None, width=9))


def test_an_isolation_forest_has_columns_for_each_tree(audit: Any) -> None:
    model = IsolationForest(n_estimators=3, max_features=2).fit(X)
    model.estimators_features_ = [np.arange(1)] * 3
    with pytest.raises(Unsafe, match="another width than its columns"):
        audit(model)


def test_boosting_begins_with_as_many_columns_as_it_has_trees(audit: Any) -> None:
    model = GradientBoostingClassifier(n_estimators=2, init="zero").fit(X, Y)
    model.n_trees_per_iteration_ = 1
    with pytest.raises(Unsafe, match="first guess"):
        audit(model)


def boosted(change: Callable[[Any], None], **settings: Any) -> Any:
    model = HistGradientBoostingClassifier(max_iter=2, **settings).fit(np.round(X), Y)
    change(model)
    return model


def tree_of(model: Any) -> Any:
    return model._predictors[0][0]


HISTOGRAM_CHANGES = {
    "child out of range": lambda model: tree_of(model).nodes["left"].__setitem__(0, 9999),
    "a loop": lambda model: tree_of(model).nodes["left"].__setitem__(0, 0),
    "shared child": lambda model: tree_of(model).nodes["left"].__setitem__(0, tree_of(model).nodes["right"][0]),
    "feature out of range": lambda model: tree_of(model).nodes["feature_idx"].__setitem__(0, 50),
    "number as category": lambda model: tree_of(model).nodes["is_categorical"].__setitem__(0, 1),
    "no nodes": lambda model: setattr(tree_of(model), "nodes", tree_of(model).nodes[:0]),
    "other nodes": lambda model: setattr(tree_of(model), "nodes", np.zeros(3)),
    "other round": lambda model: setattr(model, "n_trees_per_iteration_", 7),
    "other width": lambda model: setattr(model._bin_mapper, "is_categorical_", np.zeros(2, dtype=np.uint8)),
}


@pytest.mark.parametrize("kind", HISTOGRAM_CHANGES)
def test_a_histogram_tree_that_leads_out_of_itself_is_refused(audit: Any, kind: str) -> None:
    with pytest.raises(Refused):
        audit(boosted(HISTOGRAM_CHANGES[kind]))


def test_a_histogram_tree_asks_for_sets_of_categories_that_it_has(audit: Any) -> None:
    def change(model: Any) -> None:
        for trees in model._predictors:
            for tree in trees:
                tree.nodes["bitset_idx"][tree.nodes["is_categorical"] == 1] = 77

    with pytest.raises(Unsafe, match="set of categories"):
        audit(boosted(change, categorical_features=[2]))


def machine(change: Callable[[Any], None], family: Any = SVC) -> Any:
    model = family().fit(X, Y)
    change(model)
    return model


SVM_CHANGES = {
    "counts": lambda model: setattr(model, "_n_support", np.array([1000, 2, 3], dtype=np.int32)),
    "negative counts": lambda model: setattr(model, "_n_support", model._n_support * np.int32(-1)),
    "fewer counts": lambda model: setattr(model, "_n_support", model._n_support[:1]),
    "coefficients": lambda model: setattr(model, "_dual_coef_", model._dual_coef_[:1]),
    "intercepts": lambda model: setattr(model, "_intercept_", model._intercept_[:1]),
    "support": lambda model: setattr(model, "support_", model.support_[:3]),
    "support out of range": lambda model: setattr(model, "support_", model.support_ + np.int32(10_000)),
    "narrow vectors": lambda model: setattr(model, "support_vectors_", model.support_vectors_[:, :2].copy()),
    "probabilities": lambda model: setattr(model, "_probA", np.zeros(1)),
    "classes": lambda model: setattr(model, "classes_", np.arange(40)),
    "kernel": lambda model: setattr(model, "kernel", "unheard of"),
    "implementation": lambda model: setattr(model, "_impl", "epsilon_svr"),
    "no array": lambda model: setattr(model, "_n_support", None),
    "sparse by word alone": lambda model: setattr(model, "_sparse", True),
}


@pytest.mark.parametrize("kind", SVM_CHANGES)
def test_a_support_vector_machine_with_other_lengths_is_refused(audit: Any, kind: str) -> None:
    with pytest.raises(Unsafe):
        audit(machine(SVM_CHANGES[kind]))


@pytest.mark.parametrize("family", [SVR, OneClassSVM])
def test_machines_without_classes_are_held_to_the_same(audit: Any, family: Any) -> None:
    assert not rules_of(audit(machine(lambda model: None, family)), "refused")
    with pytest.raises(Unsafe, match="intercept"):
        audit(machine(lambda model: setattr(model, "_intercept_", np.zeros(0)), family))


def vectorizer(**settings: Any) -> Any:
    """Settings are put in after fitting, as a crafted file has them."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [0, 1, 1, 0])
    for name, value in settings.items():
        setattr(model[0], name, value)
    return model


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"input": "filename"}, "input"),
        ({"input": "file"}, "input"),
        ({"token_pattern": r"(a+)+$"}, "exponential"),
        ({"token_pattern": r"(?:a|a?)+b"}, "exponential"),
        ({"token_pattern": r"(\w+\s?)*x"}, "exponential"),
        ({"token_pattern": r"(a|aa)+b"}, "exponential"),
        ({"token_pattern": r"(a)\1"}, "exponential"),
        ({"token_pattern": r"\w*\w*\w*\w*\w*x"}, "exponential"),
        ({"token_pattern": "x" * 1000}, "exponential"),
        ({"token_pattern": "("}, "exponential"),
        ({"token_pattern": 7}, "exponential"),
        ({"stop_words": [str(number) for number in range(100_001)]}, "stop_words"),
        ({"stop_words": 7}, "stop_words"),
        ({"ngram_range": (1, 10**9)}, "ngram_range"),
        ({"ngram_range": (0, 1)}, "ngram_range"),
        ({"ngram_range": "ab"}, "ngram_range"),
        ({"vocabulary_": {"money": 1_000_000}}, "vocabulary_"),
        ({"vocabulary_": {"money": -1, "now": 0}}, "vocabulary_"),
        ({"vocabulary_": {"money": 0, "now": 0}}, "vocabulary_"),
        ({"vocabulary_": {"money": "0"}}, "vocabulary_"),
    ],
)
def test_a_vectorizer_that_reads_files_or_never_ends_is_refused(audit: Any, settings: Any, words: str) -> None:
    with pytest.raises(Unsafe, match=words):
        audit(vectorizer(**settings))


@pytest.mark.parametrize(
    "pattern", [r"(?u)\b\w\w+\b", r"\b[a-zA-Z]{2,}\b", r"[^\s,;]+", r"\S+", r"(?<=[a-z])\d+(?!x)", r"(?:ab|cd)\w+"]
)
def test_plain_patterns_are_taken(audit: Any, pattern: str) -> None:
    assert not rules_of(audit(vectorizer(token_pattern=pattern)), "refused")


def test_hashes_are_bounded(audit: Any) -> None:
    model = HashingVectorizer()
    model.n_features = 2**40
    with pytest.raises(Unsafe, match="n_features"):
        audit(model)


def test_settings_of_a_workstation_are_changed_and_the_change_is_said(audit: Any) -> None:
    """Row F13 and M8: threads, progress, caches on disk."""
    model = make_pipeline(StandardScaler(), RandomForestClassifier(2, n_jobs=200, verbose=10, warm_start=True))
    model.fit(X, Y).memory = "/tmp/cache"
    findings = audit(model)
    assert rules_of(findings) == {
        "one-thread-only", "nothing-is-printed", "nothing-is-cached-on-disk", "nothing-is-fitted-again",
    }  # fmt: skip
    assert {finding.where for finding in findings} >= {"steps[1][1].n_jobs", "memory"}


def test_changed_settings_are_in_the_loaded_model(folder: Path) -> None:
    path = folder / "forest.skops"
    path.write_bytes(skops.io.dumps(RandomForestClassifier(2, n_jobs=200, verbose=3).fit(X, Y)))
    loaded = load(path)
    assert (loaded.n_jobs, loaded.verbose) == (None, False)


def test_kmeans_gets_one_thread_whatever_it_was_fitted_with(audit: Any) -> None:
    model = KMeans(2, n_init=1).fit(X)
    model._n_threads = 10_000
    assert rules_of(audit(model)) == {"one-thread-only"}


@pytest.mark.parametrize("family", [KMeans, BisectingKMeans])
def test_centers_of_another_width_are_refused(audit: Any, family: Any) -> None:
    model = family(2, random_state=0).fit(X)
    model.cluster_centers_ = model.cluster_centers_[:, :1].copy()
    with pytest.raises(Unsafe, match="another width"):
        audit(model)


def test_a_bisecting_tree_of_another_width_is_refused(audit: Any) -> None:
    model = BisectingKMeans(3, random_state=0).fit(X)
    model._bisecting_tree.left.center = np.zeros(1)
    with pytest.raises(Unsafe, match="tree of clusters"):
        audit(model)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_transformers_give_arrays_whatever_they_were_told(audit: Any, output: str) -> None:
    """Row F21 and M12."""
    model = StandardScaler().fit(X)
    model._sklearn_output_config = {"transform": output}
    assert rules_of(audit(model)) == {"outputs-are-arrays"}


def test_an_attribute_must_not_hide_a_method(audit: Any) -> None:
    model = linear()
    model.decision_function = np.mean
    with pytest.raises(Unsafe, match="hide"):
        audit(model)


@pytest.mark.parametrize("algorithm", ["kd_tree", "ball_tree"])
def test_search_trees_are_built_anew_and_answer_the_same(audit: Any, folder: Path, algorithm: str) -> None:
    model = KNeighborsClassifier(algorithm=algorithm).fit(X, Y)
    assert rules_of(audit(model)) == {"nearest-neighbour-trees-are-built-anew"}
    np.testing.assert_array_equal(load(folder / "model.skops").predict_proba(X), model.predict_proba(X))


def test_a_search_tree_that_points_anywhere_is_not_used(folder: Path) -> None:
    """The order of the rows in a tree is what its search follows; a file's own order is thrown away (M13, F14)."""
    model = KNeighborsClassifier(algorithm="kd_tree").fit(X, Y)
    right = model.predict(X)
    state = list(model._tree.__getstate__())
    state[1] = np.full_like(np.asarray(state[1]), 10**9)
    model._tree.__setstate__(tuple(state))
    path = folder / "model.skops"
    path.write_bytes(skops.io.dumps(model))
    np.testing.assert_array_equal(load(path).predict(X), right)


def test_the_density_of_weighted_rows_survives_the_new_tree(folder: Path) -> None:
    model = KernelDensity().fit(X, sample_weight=np.arange(1.0, len(X) + 1))
    path = folder / "model.skops"
    path.write_bytes(skops.io.dumps(model))
    np.testing.assert_array_equal(load(path).score_samples(X), model.score_samples(X))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "_fit_X", model._fit_X[:, :2].copy()),
        lambda model: setattr(model, "n_samples_fit_", 10**6),
        lambda model: setattr(model, "_y", model._y + 40),
        lambda model: setattr(model, "_y", model._y[:3]),
        lambda model: setattr(model, "_fit_X", np.zeros(4)),
    ],
    ids=["narrow", "many", "labels", "few labels", "no table"],
)
def test_neighbours_are_as_many_as_they_claim(audit: Any, change: Any) -> None:
    model = KNeighborsClassifier(algorithm="brute").fit(X, Y)
    change(model)
    with pytest.raises(Unsafe):
        audit(model)


def test_sparse_rows_of_neighbours_are_taken(audit: Any) -> None:
    assert not rules_of(audit(NearestNeighbors().fit(sparse.csr_matrix(X))), "refused")


def test_a_sparse_matrix_that_leads_out_of_itself_is_refused(audit: Any) -> None:
    """Row F16 and M6."""
    model = linear().sparsify()
    model.coef_.indices[0] = 10_000
    with pytest.raises(Unsafe, match="lead out of it"):
        audit(model)


def test_coordinates_beyond_the_shape_are_refused(audit: Any) -> None:
    model = linear()
    model.coef_ = sparse.coo_matrix(model.coef_)
    model.coef_.coords[1][0] = 10_000
    with pytest.raises(Refused):
        audit(model)


def test_a_spline_without_its_knots_is_refused(audit: Any) -> None:
    model = SplineTransformer().fit(X)
    model.bsplines_[0].t = model.bsplines_[0].t[:3]
    with pytest.raises(Unsafe, match="spline"):
        audit(model)


def test_an_encoder_has_as_many_columns_as_categories(audit: Any) -> None:
    model = OneHotEncoder().fit(np.array([["red"], ["green"]], dtype=object))
    model._n_features_outs = [1]
    with pytest.raises(Unsafe, match="columns"):
        audit(model)


def test_infrequent_categories_stay_within_their_columns(audit: Any) -> None:
    model = OneHotEncoder(min_frequency=2).fit([["a"], ["a"], ["b"], ["c"]])
    model._default_to_infrequent_mappings[0] = np.array([0, 500, 1])
    with pytest.raises(Unsafe, match="columns"):
        audit(model)


def test_targets_have_an_encoding_for_each_category(audit: Any) -> None:
    model = TargetEncoder(random_state=0).fit([["a"], ["b"]] * 5, [0.0, 1.0] * 5)
    model.encodings_ = [np.zeros(1)]
    with pytest.raises(Unsafe, match="encoding"):
        audit(model)


def test_an_interpolation_has_a_value_for_each_threshold(audit: Any) -> None:
    model = IsotonicRegression().fit([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    model.y_thresholds_ = model.y_thresholds_[:1]
    with pytest.raises(Unsafe, match="equally many"):
        audit(model)


@pytest.mark.parametrize("width", [10**9, -1, "4"])
def test_a_width_that_cannot_be_is_refused(audit: Any, width: Any) -> None:
    data = skops.io.dumps(linear())

    def edit(schema: dict[str, Any]) -> None:
        schema["content"]["content"]["n_features_in_"] = {
            "__class__": "int", "__module__": "builtins", "__loader__": "JsonNode", "__id__": 424_242,
            "content": json.dumps(width), "is_json": True,
        }  # fmt: skip

    with pytest.raises(Unsafe, match="n_features_in_"):
        audit(models.edited(data, edit))


def test_a_hundred_thousand_classes_are_too_many(audit: Any) -> None:
    """Row F22."""
    model = linear()
    model.classes_ = np.arange(1_000_000)
    with pytest.raises(Unsafe, match="classes"):
        audit(model)


def test_coefficients_that_are_no_numbers_are_taken_and_said(audit: Any) -> None:
    """Row F18 and M11: the answers will be null, which hurts nobody."""
    model = linear()
    model.coef_[0, 0] = np.nan
    (finding,) = audit(model)
    assert (finding.severity, finding.where) == ("warning", "coef_")


def test_a_finding_names_its_place(audit: Any) -> None:
    model = make_pipeline(StandardScaler(), RandomForestClassifier(2, random_state=0)).fit(X, Y)
    with pytest.raises(Unsafe, match=r"steps\[1\]\[1\]\.estimators_\[\d\]\.tree_"):
        audit(with_tree_in(model))


def with_tree_in(model: Any) -> bytes:
    tree = model[1].estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"] = np.array(state["nodes"])
    state["nodes"]["left_child"][0] = 999
    target = Tree(tree.n_features, np.array(tree.n_classes, dtype=np.intp), tree.n_outputs)
    target.__setstate__(state)
    model[1].estimators_[1].tree_ = target
    return skops.io.dumps(model)


@pytest.mark.parametrize("rule", [*GATE_RULES, *values.RULES], ids=lambda rule: rule.name)
def test_a_rule_has_a_reason_of_one_line(rule: Any) -> None:
    assert 20 < len(rule.reason) < 115
    assert rule.reason.endswith((".", ","))


def test_no_two_rules_share_a_name() -> None:
    names = [rule.name for rule in (*GATE_RULES, *values.RULES)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("setting", [CountVectorizer(), StandardScaler()])
def test_what_was_never_fitted_passes_the_rules(audit: Any, setting: Any) -> None:
    """Whether it can answer is asked afterwards."""
    assert not rules_of(audit(setting), "refused")


# What an attack on these rules found; each of these files once passed them and then crashed its host.


def searching(change: Callable[[Any], None], **settings: Any) -> Any:
    model = KNeighborsClassifier(3, algorithm="kd_tree", **settings).fit(X, Y)
    change(model)
    return model


def test_a_first_guess_that_gives_fewer_rows_is_refused(audit: Any) -> None:
    model = GradientBoostingRegressor(n_estimators=2).fit(X, Y)
    total = FunctionTransformer(np.sum, kw_args={"axis": 0, "keepdims": True})
    model.init_ = make_pipeline(total, LinearRegression()).fit(X[:1], Y[:1])
    with pytest.raises(Unsafe):
        audit(model)


@pytest.mark.parametrize("init", ["zero", LinearRegression(), make_pipeline(StandardScaler(), LinearRegression())])
def test_a_first_guess_by_another_estimator_is_taken(audit: Any, init: Any) -> None:
    assert not rules_of(audit(GradientBoostingRegressor(n_estimators=2, init=init).fit(X, Y)), "refused")


def test_a_mask_must_not_hide_numbers(audit: Any) -> None:
    model = machine(lambda model: None)
    counts = np.array([10**7, 10**7, model._n_support.sum()], np.int32)
    model._n_support = np.ma.MaskedArray(counts, [True, True, False])
    with pytest.raises(Unsafe, match="masked"):
        audit(model)


def test_a_mask_that_stands_in_two_places_is_seen_in_both(audit: Any) -> None:
    hidden = np.ma.MaskedArray(np.zeros(3), [True, True, False])
    model = linear()
    model.cv_results_ = {"param_C": hidden}
    assert not rules_of(audit(model), "refused")
    model.other_ = hidden
    with pytest.raises(Unsafe, match="masked"):
        audit(model)


def test_searches_keep_their_masked_results(audit: Any) -> None:
    search = GridSearchCV(linear(), {"C": [0.1, 1.0]}, cv=2).fit(X, Y)
    assert not rules_of(audit(search), "refused")


HISTOGRAM_ATTACKS = {
    "in the middle of fitting": lambda model: setattr(model, "_in_fit", True),
    "another preprocessor": lambda model: setattr(model, "_preprocessor", StandardScaler().fit(X)),
    "columns of two parts": lambda model: model._preprocessor.transformers_.__setitem__(
        1, ("numerical", model._preprocessor.transformers_[1][1], np.ones(4, dtype=bool))
    ),
}


@pytest.mark.parametrize("kind", HISTOGRAM_ATTACKS)
def test_what_stands_before_histogram_trees_is_what_scikit_learn_puts_there(audit: Any, kind: str) -> None:
    with pytest.raises(Unsafe):
        audit(boosted(HISTOGRAM_ATTACKS[kind], categorical_features=[2]))


def empty_with_pointers() -> Any:
    matrix = sparse.csr_matrix((3, 4))
    matrix.indptr = np.array([0, 10**7, 0, 0], np.int32)
    return matrix


def far_diagonal() -> Any:
    matrix = sparse.dia_matrix((np.ones((1, 4)), [0]), shape=(3, 4))
    matrix.offsets = np.array([2**31 - 1], np.int32)
    return matrix


@pytest.mark.parametrize("make", [empty_with_pointers, far_diagonal])
def test_pointers_and_offsets_of_sparse_matrices_are_looked_at(audit: Any, make: Any) -> None:
    model = linear()
    model.coef_ = make()
    with pytest.raises(Refused):
        audit(model)


def encoder(change: Callable[[Any], None], **settings: Any) -> Any:
    model = OneHotEncoder(handle_unknown="ignore", **settings).fit(np.arange(50).reshape(-1, 1))
    change(model)
    return model


def lost_mapping(model: Any) -> None:
    model._infrequent_enabled, model._infrequent_indices = True, [np.arange(49)]
    model._default_to_infrequent_mappings, model._n_features_outs = [None], [2]


def drops_beyond(model: Any) -> None:
    model._drop_idx_after_grouping = np.array([1000], dtype=object)


ENCODERS = {
    "lost mapping": lambda: encoder(lost_mapping, min_frequency=1),
    "drops beyond": lambda: encoder(drops_beyond, drop="first"),
    "fewer entries": lambda: encoder(lambda model: setattr(model, "_n_features_outs", [])),
    "doubled infrequent": lambda: encoder(
        lambda model: setattr(model, "_infrequent_indices", [np.zeros(49, dtype=int)]), min_frequency=2
    ),
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_an_encoder_that_writes_beyond_its_columns_is_refused(audit: Any, kind: str) -> None:
    with pytest.raises(Unsafe):
        audit(ENCODERS[kind]())


@pytest.mark.parametrize("settings", [{"drop": "first"}, {"min_frequency": 2}, {"max_categories": 3, "drop": [0]}])
def test_encoders_that_group_and_drop_are_taken(audit: Any, settings: Any) -> None:
    model = OneHotEncoder(**settings).fit(np.array([[0], [0], [0], [1], [1], [2], [3], [3]]))
    assert not rules_of(audit(model), "refused")


def sparse_and_given(model: Any) -> None:
    model.kernel, model.shape_fit_ = "precomputed", (4, 4)
    model.support_ = np.zeros_like(model.support_)


def test_a_sparse_machine_has_a_kernel_of_libsvms_own(audit: Any) -> None:
    model = SVC(kernel="linear").fit(sparse.csr_matrix(X), Y)
    assert not rules_of(audit(model), "refused")
    sparse_and_given(model)
    with pytest.raises(Unsafe):
        audit(model)


def test_a_kernel_that_is_a_function_keeps_the_rows_it_was_fitted_on(audit: Any) -> None:
    model = SVC(kernel=linear_kernel).fit(X, Y)
    assert not rules_of(audit(model), "refused")
    model._BaseLibSVM__Xfit = X[:1]
    with pytest.raises(Unsafe):
        audit(model)


@pytest.mark.parametrize("family", [SVC, SVR, OneClassSVM])
def test_machines_with_a_kernel_that_is_given_are_taken(audit: Any, folder: Path, family: Any) -> None:
    given = X @ X.T
    model = family(kernel="precomputed").fit(given, Y)
    assert not rules_of(audit(model), "refused")
    np.testing.assert_array_equal(load(folder / "model.skops").predict(given), model.predict(given))


def test_a_search_tree_that_stands_in_two_places_is_built_anew_in_both(audit: Any, folder: Path) -> None:
    first, second = searching(lambda model: None), searching(lambda model: None)
    right = first.predict_proba(X)
    state = list(first._tree.__getstate__())
    state[1] = np.full_like(np.asarray(state[1]), 10**12)
    first._tree.__setstate__(tuple(state))
    second._tree = first._tree
    vote = VotingClassifier([("a", first), ("b", second)], voting="soft").fit(X, Y)
    vote.estimators_, vote.estimators = [first, second], []
    assert len([one for one in audit(vote) if one.severity == "normalised"]) >= 2
    np.testing.assert_allclose(load(folder / "model.skops").predict_proba(X), right)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (mutual_info_regression, {"n_jobs": 6, "y": [0.0] * 40}),
        (mutual_info_regression, None),
        (np.exp, {"where": False}),
        (np.sum, {"axis": 0, "keepdims": True}),
        (np.sum, None),
        (linear_kernel, {"n_jobs": 4}),
    ],
)
def test_functions_that_start_processes_or_change_rows_are_refused(
    audit: Any, function: Any, arguments: Any
) -> None:
    with pytest.raises(Unsafe):
        audit(FunctionTransformer(function, kw_args=arguments))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(np.log1p, None), (None, None), (np.mean, {"axis": 1, "keepdims": True}), (np.ravel, None)],
)
def test_functions_of_rows_are_taken(audit: Any, function: Any, arguments: Any) -> None:
    assert not rules_of(audit(FunctionTransformer(function, kw_args=arguments)), "refused")


@pytest.mark.parametrize("metric", ["canberra", "braycurtis", "manhattan", "chebyshev"])
def test_usual_metrics_are_taken(audit: Any, metric: str) -> None:
    assert not rules_of(audit(KNeighborsClassifier(algorithm="ball_tree", metric=metric).fit(X, Y)), "refused")


def test_a_report_has_an_end(audit: Any) -> None:
    scalers = [StandardScaler().set_params() for _ in range(900)]
    for scaler in scalers:
        scaler.verbose = 1
    union = FeatureUnion([(str(number), scaler) for number, scaler in enumerate(scalers)])
    assert len(audit(union)) <= 501
