"""The schema is read off the fitted estimator: names, types, categories, missing values, outputs and classes."""

from typing import Any

import models
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, RegressorChain
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from model_store.errors import InvalidMetadata, NotAPredictor
from model_store.estimators.facts import estimator_name, read_schema
from model_store.estimators.inputs import missing_texts
from model_store.estimators.methods import check_answers, methods_of
from model_store.estimators.traits import Trait, beside
from model_store.naming import rename_columns
from model_store.schema import Column

pytestmark = [pytest.mark.extras, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]

X, Y = load_iris(return_X_y=True)
LETTERS = np.array([["a", "u"], ["b", "v"], ["a", "w"]] * 4, dtype=object)
TWO = [0, 1, 0] * 4


def types(estimator: Any) -> list[str]:
    return [column.type for column in read_schema(estimator).inputs]


def nullable(estimator: Any) -> list[bool]:
    return [column.nullable for column in read_schema(estimator).inputs]


def test_columns_that_nobody_named_are_numbered() -> None:
    schema = read_schema(models.iris())
    assert schema.column_names == ("x0", "x1", "x2", "x3")
    assert (schema.names_from, schema.classes, schema.outputs[0].type) == ("position", (0, 1, 2), "integer")


def test_column_names_come_with_the_upload_where_the_estimator_has_none() -> None:
    schema = read_schema(models.iris(), tuple(models.MEASURES))
    assert schema.column_names == tuple(models.MEASURES)
    assert schema.names_from == "upload"
    assert rename_columns(schema, None).column_names == ("x0", "x1", "x2", "x3")


@pytest.mark.parametrize("names", [("a",), ("a", "a", "b", "c"), ("a", "b", "c", "")])
def test_column_names_must_fit(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidMetadata):
        read_schema(models.iris(), names)


def test_names_that_the_estimator_knows_stay() -> None:
    with pytest.raises(InvalidMetadata, match="fitted with column names"):
        read_schema(models.people(), ("a", "b", "c", "d", "e"))


def test_a_column_transformer_gives_each_column_its_own_trait() -> None:
    age, visits, city, note, unused = read_schema(models.people()).inputs
    assert (age.type, age.nullable) == ("number", True)
    assert (visits.type, visits.nullable) == ("number", True)
    assert (city.type, city.nullable, city.categories, city.other_categories) == (
        "string",
        True,
        ("Oslo", "Rome"),
        True,
    )
    assert (note.type, note.nullable) == ("string", False)
    assert (unused.optional, unused.type) == (True, "any")
    assert read_schema(models.people()).frame


def test_categories_are_closed_where_the_encoder_refuses_others() -> None:
    (column,) = read_schema(models.colours()).inputs
    assert column.closed
    assert column == Column(name="x0", type="string", categories=("green", "red"), sample="green")


def test_whole_numbers_can_be_categories() -> None:
    encoder = make_pipeline(OrdinalEncoder(), LogisticRegression()).fit([[1], [2], [1]] * 4, TWO)
    assert read_schema(encoder).inputs[0].categories == (1, 2)
    assert types(encoder) == ["integer"]


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (make_pipeline(StandardScaler(), LogisticRegression()), False),
        (make_pipeline(SimpleImputer(), LogisticRegression()), True),
        (make_pipeline(KNNImputer(), LogisticRegression()), True),
        (make_pipeline(MinMaxScaler(), SimpleImputer(), LogisticRegression()), True),
        (make_pipeline(SimpleImputer(missing_values=-1), LogisticRegression()), False),
        (make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=2)), True),
        (HistGradientBoostingClassifier(max_iter=2), True),
        (DecisionTreeClassifier(), True),
        (LogisticRegression(), False),
        (GridSearchCV(make_pipeline(SimpleImputer(), LogisticRegression()), {}), True),
        (VotingClassifier([("a", DecisionTreeClassifier()), ("b", LogisticRegression())]), False),
    ],
)
def test_missing_values_are_taken_where_every_part_takes_them(estimator: Any, expected: bool) -> None:
    assert nullable(estimator.fit(X, Y)) == [expected] * 4


def test_a_text_pipeline_has_one_column_named_text() -> None:
    schema = read_schema(models.spam())
    assert (schema.text, schema.column_names, schema.classes) == (True, ("text",), ("ham", "spam"))


@pytest.mark.parametrize(
    "wrapped",
    [
        StackingClassifier(
            [("a", make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()))], cv=2
        ),
        VotingClassifier([("a", make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()))]),
        GridSearchCV(make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), {}, cv=2),
        CalibratedClassifierCV(make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()), cv=2),
        make_pipeline(FeatureUnion([("a", OneHotEncoder(handle_unknown="ignore"))]), LogisticRegression()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_is_inside_a_meta_estimator_speaks_for_it(wrapped: Any) -> None:
    columns = read_schema(wrapped.fit(LETTERS, TWO)).inputs
    assert [column.categories for column in columns] == [("a", "b"), ("u", "v", "w")]


def test_columns_that_pass_through_are_what_the_next_step_takes() -> None:
    transformer = ColumnTransformer([("a", StandardScaler(), [0]), ("b", "passthrough", [1, 2])])
    pipeline = make_pipeline(transformer, LogisticRegression()).fit(X, Y)
    columns = read_schema(pipeline).inputs
    assert [column.type for column in columns] == ["number", "number", "number", "any"]
    assert [column.optional for column in columns] == [False, False, False, True]
    assert [column.nullable for column in columns] == [False, False, False, True]


def test_what_follows_what_follows_a_transformer_of_columns_has_its_say() -> None:
    scaled = make_pipeline(
        ColumnTransformer([("a", "passthrough", [0, 1])]), StandardScaler(), LogisticRegression()
    )
    assert nullable(scaled.fit(X, Y))[:2] == [False, False]
    swapped = ColumnTransformer([("b", "passthrough", [1]), ("a", "passthrough", [0])])
    filled = ColumnTransformer([("f", SimpleImputer(), [0]), ("p", "passthrough", [1])])
    assert nullable(make_pipeline(swapped, filled, LogisticRegression()).fit(X, Y))[:2] == [False, False]


def test_a_transformer_that_drops_every_column_has_a_schema() -> None:
    dropping = ColumnTransformer([("a", "drop", [0])])
    assert len(nullable(make_pipeline(dropping, FunctionTransformer()).fit(X))) == 4


def test_what_an_imputer_looks_for_stands_for_missing_texts() -> None:
    rows = np.array([["a"], [None], ["b"]] * 5, dtype=object)
    imputer = SimpleImputer(missing_values=None, strategy="most_frequent")
    pipeline = make_pipeline(imputer, OneHotEncoder(), LogisticRegression()).fit(rows, [0, 1, 0] * 5)
    assert missing_texts(pipeline, 1) == [None]


def test_selectors_and_boolean_masks_are_resolved() -> None:
    table = models.people_table()[["age", "visits"]].fillna(0)
    transformer = ColumnTransformer([("n", StandardScaler(), make_column_selector(dtype_include=float))])
    schema = read_schema(make_pipeline(transformer, LogisticRegression()).fit(table, [0, 1] * 15))
    assert [column.optional for column in schema.inputs] == [False, True]
    assert schema.frame


def test_functions_of_numpy_take_numbers() -> None:
    pipeline = make_pipeline(FunctionTransformer(np.log1p), LogisticRegression()).fit(X, Y)
    assert types(pipeline) == ["number"] * 4


def test_categories_by_dtype_are_read_from_boosting() -> None:
    table = models.people_table()[["age", "city"]].copy()
    table["city"] = table["city"].astype("category")
    boosting = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2).fit(table, [0, 1] * 15)
    age, city = read_schema(boosting).inputs
    assert (age.type, age.nullable) == ("number", True)
    assert (city.categories, city.nullable, city.other_categories) == (("Oslo", "Rome"), True, True)


def test_several_outputs_are_numbered() -> None:
    ridge = Ridge().fit(X, np.c_[Y, Y])
    assert [(output.name, output.type) for output in read_schema(ridge).outputs] == [
        ("y0", "number"),
        ("y1", "number"),
    ]
    several = MultiOutputClassifier(LogisticRegression()).fit(X, np.c_[Y, Y > 0])
    assert read_schema(several).classes == ((0, 1, 2), (0, 1))


@pytest.mark.parametrize(
    ("estimator", "kind"),
    [
        (KMeans(2, n_init=1), "integer"),
        (IsolationForest(n_estimators=5), "integer"),
        (LinearRegression(), "number"),
        (TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1), "number"),
        (MLPClassifier(2, max_iter=500, tol=1.0), "integer"),
    ],
)
def test_the_type_of_what_comes_out(estimator: Any, kind: str) -> None:
    assert [output.type for output in read_schema(estimator.fit(X, Y)).outputs] == [kind]


@pytest.mark.parametrize("chain", [ClassifierChain(LogisticRegression()), RegressorChain(Ridge(), order=[1, 0])])
def test_a_chain_takes_the_columns_of_its_natural_first_link(chain: Any) -> None:
    assert len(read_schema(chain.fit(X, np.c_[Y > 0, Y > 1])).inputs) == 4


def test_an_indicator_beside_an_imputer_takes_missing_values() -> None:
    union = FeatureUnion([("i", SimpleImputer()), ("m", MissingIndicator(features="all"))])
    assert nullable(make_pipeline(union, Ridge()).fit(X, Y)) == [True] * 4


def test_a_pipeline_that_does_nothing_lets_columns_through() -> None:
    transformer = ColumnTransformer([("a", Pipeline([("none", "passthrough")]), [0, 1]), ("b", "drop", [2, 3])])
    assert len(read_schema(make_pipeline(transformer, Ridge()).fit(X, Y)).inputs) == 4


def test_bags_of_pipelines_speak_for_what_is_in_them() -> None:
    """Each was fitted on other rows, so one may have seen a category that another has not."""
    pipeline = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    bag = BaggingClassifier(pipeline, 10, random_state=0).fit(LETTERS, TWO)
    assert [set(column.categories or ()) for column in read_schema(bag).inputs] == [{"a", "b"}, {"u", "v", "w"}]


def test_of_several_strict_encoders_all_must_know_a_category() -> None:
    strict = Trait(type="string", categories=("a", "b", "c"))
    assert beside(strict, Trait(type="string", categories=("b", "c", "d"))).categories == ("b", "c")
    relaxed = beside(strict, Trait(type="string", categories=("x",), open=True))
    assert (relaxed.categories, relaxed.open) == (("a", "b", "c"), False)


def test_samples_come_from_what_the_estimator_was_fitted_on() -> None:
    assert [column.sample for column in read_schema(models.iris()).inputs] == [5.84, 3.06, 3.76, 1.2]


def test_methods_are_those_of_a_closed_list_that_the_estimator_has() -> None:
    assert methods_of(models.iris()) == ("predict", "predict_proba", "predict_log_proba", "decision_function")
    assert methods_of(models.line()) == ("predict",)


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (DBSCAN().fit(X), "neither predict nor transform"),
        (LogisticRegression(), "not fitted"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "not fitted"),
        (LogisticRegression, "does not hold"),
        ({"a": 1}, "does not hold"),
    ],
)
def test_what_cannot_predict_is_refused(thing: Any, words: str) -> None:
    with pytest.raises(NotAPredictor, match=words):
        check_answers(thing)


def test_a_pipeline_is_named_with_its_steps() -> None:
    assert estimator_name(models.iris()) == "Pipeline(StandardScaler, LogisticRegression)"
    assert estimator_name(models.line()) == "LinearRegression"
