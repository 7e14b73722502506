"""What does not make sense in the answers of an estimator is found at its inspection; what makes sense is not."""

import pickle
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
import toys
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from model_store import Attribution, open_catalog
from model_store.entities import Inspection
from model_store.errors import Implausible
from model_store.formats import npz
from model_store.inspection import LocalInspector
from model_store.proof.alias_moves import Switch, Switchboard
from model_store.proof.rehearsal import LocalRehearsal
from model_store.publication import Publication
from model_store.safety import Policy

BY = Attribution("ann", "notebook")
X, Y = load_iris(return_X_y=True)
SEVERAL = np.column_stack([Y == 0, Y > 0, Y < 2]).astype(int)
PICKLES = Policy(allow_pickle=True)


def inspected(folder: Path, content: bytes) -> Inspection:
    path = folder / "model"
    path.write_bytes(content)
    return LocalInspector(PICKLES).inspect(path, None)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("counts", "gives 1.7, and a probability lies between 0 and 1"),
        ("negative", "gives -0.5, and a probability"),
        ("sums", "add up to 0.53, and not to 1"),
        ("columns", "rows of 3, and there are 2 classes"),
        ("one column", "rows of 1, and there are 2 classes"),
        ("texts", "predict_proba gives something else than numbers"),
        ("logarithms", "predict_log_proba gives 1.28403"),
        ("label", "a label that is not among the classes"),
        ("label's kind", "a label that is not among the classes"),
        ("one entry", "predict does not give one entry for each row"),
        ("no rows", "decision_function does not give one entry"),
        ("kind", "decision_function gives something else"),
        ("records", "decision_function gives something else"),
    ],
)
def test_what_makes_no_sense_is_found(folder: Path, how: str, words: str) -> None:
    found = inspected(folder, pickle.dumps(toys.Odd(how).fit([])))
    assert any(words in fault for fault in found.facts.faults), found.facts.faults
    assert found.silent == ""


def test_answers_that_make_sense_have_no_faults(folder: Path) -> None:
    assert inspected(folder, pickle.dumps(toys.Odd().fit([]))).facts.faults == ()


def test_counts_in_a_forest_are_no_probabilities(folder: Path) -> None:
    found = inspected(folder, models.skops_bytes(models.forest_of_counts()))
    assert any("a probability lies between 0 and 1" in fault for fault in found.facts.faults)


def test_counts_in_a_leaf_that_few_rows_come_to_are_found(folder: Path) -> None:
    """A leaf of one row has a count of 1, which looks like a share: the sample comes to no other."""
    rows = np.r_[[[0.0]], np.arange(5, 25)[:, None]]
    tree = DecisionTreeClassifier(random_state=0).fit(rows, [0] + [1] * 10 + [0] * 10)
    assert inspected(folder, models.skops_bytes(tree)).facts.faults == ()
    shares = tree.tree_.value
    shares *= tree.tree_.weighted_n_node_samples[:, None, None]
    assert tree.predict_proba([[0.0]]).tolist() == [[1.0, 0.0]]
    assert inspected(folder, models.skops_bytes(tree)).facts.faults


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("estimator", "targets"),
    [
        (OneVsRestClassifier(LogisticRegression()), SEVERAL),
        (OneVsRestClassifier(LogisticRegression()), Y),
        (MLPClassifier(max_iter=5, random_state=0), SEVERAL),
        (ClassifierChain(LogisticRegression()), SEVERAL),
        (DecisionTreeClassifier(), SEVERAL),
        (RadiusNeighborsClassifier(1.0, outlier_label=9), Y),
        (LogisticRegression(), Y == 1),
        (LogisticRegression(), Y.astype(float)),
        (LogisticRegression(), np.array(["a", "b", "c"], dtype=object)[Y]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else "",
)
def test_several_labels_outliers_and_labels_of_every_kind_make_sense(
    folder: Path, estimator: Any, targets: Any
) -> None:
    found = inspected(folder, models.skops_bytes(estimator.fit(X, targets)))
    assert (found.facts.faults, found.silent) == ((), "")


def test_linear_models_as_arrays_make_sense(folder: Path) -> None:
    npz.from_estimator(folder / "linear.npz", LogisticRegression(max_iter=300).fit(X, Y))
    assert inspected(folder, (folder / "linear.npz").read_bytes()).facts.faults == ()


@pytest.mark.parametrize("outcome", [Y, Y == 2], ids=["three classes", "two classes"])
@pytest.mark.parametrize("raw", [False, True], ids=["probabilities", "scores"])
def test_scores_that_a_program_calls_probabilities_are_scores(folder: Path, outcome: Any, raw: bool) -> None:
    to_onnx = pytest.importorskip("skl2onnx").to_onnx
    options = {"zipmap": False, "raw_scores": raw}
    fitted = LogisticRegression(max_iter=300).fit(X, outcome)
    program = to_onnx(fitted, X[:1].astype(np.float32), options=options).SerializeToString()
    found = inspected(folder, program).facts
    assert (found.methods[1], found.faults) == ("decision_function" if raw else "predict_proba", ())


def test_no_alias_comes_to_what_makes_no_sense_until_it_does(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = LocalInspector(PICKLES)
    catalog = open_catalog(folder, inspector)
    registry: Any = catalog.registry
    board = Switchboard(registry, LocalRehearsal(catalog.artifacts, PICKLES))
    version, _ = catalog.publish("odd", [pickle.dumps(toys.Odd("counts").fit([]))], BY)
    assert (version.state, version.aliases) == ("quarantined", ())
    assert [event.action for event in registry.events("odd")] == ["create-model", "upload", "quarantine"]
    assert registry.events("odd")[-1].after == {"faults": list(version.faults)}
    for change in (
        lambda: registry.set_alias("odd", "live", 1, BY),
        lambda: registry.lift_quarantine("odd", 1, BY),
        lambda: catalog.lift_quarantine("odd", 1, BY),
        lambda: board.activate(Switch(model="odd", alias="live", version=1, force=True), BY),
    ):
        with pytest.raises(Exception, match="a probability lies between 0 and 1"):
            change()
    assert (registry.aliases("odd"), registry.version("odd", 1).state) == ([], "quarantined")
    monkeypatch.setitem(toys.ODD, "counts", {})  # as another release would read it
    lifted = catalog.lift_quarantine("odd", 1, BY)
    assert (lifted.state, lifted.faults, lifted.aliases) == ("ready", (), ())
    assert board.activate(Switch(model="odd", alias="live", version=1), BY).alias
    registry.close()


def test_examples_show_what_typical_rows_do_not(folder: Path) -> None:
    catalog = open_catalog(folder, LocalInspector(PICKLES))
    registry: Any = catalog.registry
    far = pickle.dumps(toys.Odd("sums", beyond=1000.0).fit([]))
    version, _ = catalog.publish("far", [far], BY)
    assert (version.state, version.aliases) == ("ready", ("live",))
    rehearsal = LocalRehearsal(catalog.artifacts, PICKLES)
    examples = models.examples_of([[1.0], [2000.0]])
    with pytest.raises(Implausible, match=r"add up to 0\.53"):
        catalog.set_examples(version, examples, rehearsal, BY)
    given = models.given_examples(examples)
    version, _ = catalog.publish("near", [far], BY, Publication(examples=given))
    assert (version.state, version.aliases) == ("quarantined", ())
    assert "add up to 0.53" in version.faults[0]
    assert registry.examples("near", 1).rows == ((1.0,), (2000.0,))
    with pytest.raises(Implausible, match=r"add up to 0\.53"):
        catalog.lift_quarantine("near", 1, BY)
    registry.close()


def test_what_does_not_answer_its_sample_says_so_and_is_not_live(folder: Path) -> None:
    catalog = open_catalog(folder, LocalInspector(PICKLES))
    registry: Any = catalog.registry
    raising = pickle.dumps(toys.Odd("raises").fit([]))
    version, _ = catalog.publish("m", [raising], BY)
    assert (version.state, version.aliases, version.faults) == ("ready", (), ())
    assert "predict_proba raised ZeroDivisionError on a sample row" in version.warnings[0]
    board = Switchboard(registry, LocalRehearsal(catalog.artifacts, PICKLES))
    report = board.activate(Switch(model="m", alias="live", version=1, dry_run=True), BY).checks
    assert [check.check for check in report.checks if check.status == "failed"] == ["sample"]
    assert board.activate(Switch(model="m", alias="live", version=1, force=True), BY).alias
    near = pickle.dumps(toys.Odd("raises", beyond=0.0).fit([]))
    given = models.given_examples(models.examples_of([[-1.0]]))
    version, _ = catalog.publish("near", [near], BY, Publication(examples=given))
    assert (version.warnings, version.aliases) == ((), ("live",))
    registry.close()
