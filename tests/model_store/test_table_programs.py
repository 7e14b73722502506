"""Estimators of tables get programs as well: numbers, categories, missing values and names in one program."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeRegressor

pytest.importorskip("skl2onnx")
pytest.importorskip("pandas")

import pandas as pd
from onnx import ModelProto

from model_store.acceleration import codes, trust
from model_store.acceleration.accelerate import accelerate
from model_store.acceleration.origins import columns, inside
from model_store.acceleration.probes import probes
from model_store.acceleration.surrogates import Tables
from model_store.estimators.facts import read_schema
from model_store.estimators.loaded import Loaded
from model_store.formats.onnx.checks import parse
from model_store.formats.onnx.program import Session
from model_store.formats.rules import Audit
from model_store.schema import Column, Schema

pytestmark = pytest.mark.extras

ROWS = 240
RANDOM = np.random.default_rng(0)
PEOPLE = pd.DataFrame(
    {
        "age": RANDOM.normal(40, 10, ROWS),
        "city": RANDOM.choice(["Rome", "Oslo", "Bonn"], ROWS),
        "rooms": RANDOM.integers(1, 6, ROWS),
        "pets": RANDOM.choice([True, False], ROWS),
        "kind": RANDOM.choice(["a", "b", "c", "d", "e"], ROWS, p=[0.5, 0.3, 0.1, 0.05, 0.05]),
    }
)
GAPPY = PEOPLE.assign(
    age=PEOPLE.age.where(np.arange(ROWS) % 7 > 0), city=PEOPLE.city.where(np.arange(ROWS) % 5 > 0, None)
)
RENT = PEOPLE.age * 2 + PEOPLE.rooms + (PEOPLE.city == "Oslo") * 7
LABEL = np.where(np.median(RENT) < RENT, "high", "low")
NUMBERS = make_pipeline(SimpleImputer(), StandardScaler())
TEXTS = ["city", "kind"]


def columns_of(*parts: Any, **more: Any) -> ColumnTransformer:
    return make_column_transformer(*parts, **more)


def fit(estimator: Any, rows: Any = PEOPLE, target: Any = RENT) -> Any:
    return estimator.fit(rows, target)


ANY = {"handle_unknown": "ignore"}
PASSED = {
    "numbers and categories": lambda: fit(
        make_pipeline(columns_of((StandardScaler(), ["age"]), (OneHotEncoder(**ANY), TEXTS)), Ridge())
    ),
    "missing values filled": lambda: fit(
        make_pipeline(
            columns_of(
                (NUMBERS, ["age", "rooms"]),
                (make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**ANY)), TEXTS),
            ),
            LogisticRegression(),
        ),
        GAPPY,
        LABEL,
    ),
    "missing values as categories": lambda: fit(
        make_pipeline(columns_of((OneHotEncoder(**ANY), TEXTS), ("passthrough", ["rooms"])), Ridge()), GAPPY
    ),
    "a forest": lambda: fit(
        make_pipeline(
            columns_of(
                (NUMBERS, ["age"]),
                (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), TEXTS),
                remainder="passthrough",
            ),
            RandomForestClassifier(9, random_state=0),
        ),
        target=LABEL,
    ),
    "boosting with unknown as missing": lambda: fit(
        make_pipeline(
            columns_of(
                (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan), TEXTS),
                remainder="passthrough",
            ),
            HistGradientBoostingClassifier(max_iter=9),
        ),
        target=LABEL,
    ),
    "texts and numbers in one encoder": lambda: fit(
        make_pipeline(
            columns_of((OneHotEncoder(**ANY), ["city", "rooms", "pets"]), ("passthrough", ["age"])), Ridge()
        )
    ),
    "only known categories": lambda: fit(
        make_pipeline(columns_of((OneHotEncoder(drop="first"), TEXTS), (MinMaxScaler(), ["rooms"])), Ridge())
    ),
    "rare categories": lambda: fit(
        make_pipeline(
            columns_of((OneHotEncoder(min_frequency=30, handle_unknown="infrequent_if_exist"), TEXTS)), Ridge()
        )
    ),
    "means for categories": lambda: fit(
        make_pipeline(columns_of((TargetEncoder(), TEXTS), ("passthrough", ["age"])), Ridge())
    ),
    "texts alone": lambda: fit(
        make_pipeline(OneHotEncoder(), LogisticRegression()), PEOPLE[TEXTS].to_numpy(), LABEL
    ),
    "columns by kind": lambda: fit(
        make_pipeline(
            columns_of(
                (StandardScaler(), make_column_selector(dtype_include=np.number)),
                (OneHotEncoder(**ANY), make_column_selector(pattern="city|kind")),
            ),
            RandomForestRegressor(9, random_state=0),
        )
    ),
    "columns that meet behind the encoder": lambda: fit(
        make_pipeline(
            columns_of((make_pipeline(OneHotEncoder(**ANY), TruncatedSVD(3)), TEXTS)),
            Ridge(),
        )
    ),
    "a search": lambda: fit(
        GridSearchCV(
            make_pipeline(columns_of((OneHotEncoder(**ANY), ["city"]), ("passthrough", ["age"])), Ridge()),
            {"ridge__alpha": [0.1, 1.0]},
        )
    ),
    "columns in columns": lambda: fit(
        make_pipeline(
            columns_of(
                (columns_of((OneHotEncoder(**ANY), ["kind"]), (StandardScaler(), ["age"])), ["age", "kind"]),
                (OneHotEncoder(**ANY), ["city"]),
            ),
            Ridge(),
        )
    ),
    "names and numbers": lambda: fit(
        make_pipeline(columns_of((StandardScaler(), ["age"]), ("passthrough", ["rooms"])), LinearRegression())
    ),
    "an indicator": lambda: fit(
        make_pipeline(SimpleImputer(add_indicator=True), Ridge()), GAPPY[["age", "rooms"]].to_numpy()
    ),
    "a number for what is missing": lambda: fit(
        make_pipeline(SimpleImputer(missing_values=3, strategy="median"), Ridge()),
        PEOPLE[["rooms", "age"]].to_numpy(),
    ),
}
REFUSED = {
    "free text": (
        lambda: fit(make_pipeline(columns_of((TfidfVectorizer(token_pattern="."), "kind")), Ridge())),
        "kind is neither",
    ),
    "texts that are passed on": (
        lambda: columns_of(("passthrough", ["city"]), (OneHotEncoder(), ["kind", "city"])).fit(PEOPLE),
        "texts reach its FunctionTransformer",
    ),
}


def table(estimator: Any, rows: Any) -> Any:
    """Rows of numbers as the estimator takes them."""
    schema = read_schema(estimator)
    return Tables(Loaded(estimator), codes.known_texts(schema)).rows(rows)


@pytest.mark.parametrize("name", PASSED)
def test_a_program_answers_for_tables_that_were_not_compared(name: str) -> None:
    estimator = PASSED[name]()
    schema = read_schema(estimator)
    report, data = accelerate(estimator, schema, [])
    assert report.verdict == "passed", report.reason
    assert report.precision == "double"
    model = parse(data, Audit())
    trusted = trust.read(model, len(schema.inputs))
    program = Session(
        model, (*report.program.methods, trust.MARGIN) if trusted.least is not None else report.program.methods
    )
    rows = probes(estimator, schema, [], seed=1).rows
    inside = np.broadcast_to(trusted.within(rows), len(rows))
    if trusted.least is not None:
        inside = inside & (program.call(trust.MARGIN, rows)[:, 0] > trusted.least)
    assert inside.mean() > 0.95
    rows = rows[inside]
    for method in report.program.methods:
        expected, found = getattr(estimator, method)(table(estimator, rows)), program.call(method, rows)
        if expected.dtype.kind == "f":
            assert np.max(np.abs(found - expected)) <= 1e-11 * max(1.0, np.max(np.abs(expected)))
        else:
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_program_says_why(name: str) -> None:
    make, words = REFUSED[name]
    estimator = make()
    report, data = accelerate(estimator, read_schema(estimator), [])
    assert (report.verdict, data) == ("failed", b"")
    assert words in report.reason


def test_probes_hold_every_category_others_missing_ones_and_whole_numbers() -> None:
    estimator = PASSED["missing values filled"]()
    rows = table(estimator, probes(estimator, read_schema(estimator), []).rows)
    assert {"Rome", "Oslo", "Bonn"} < set(rows.city.dropna())
    assert rows.city.isna().any()
    assert rows.age.isna().any()
    assert rows.rooms.notna().any()


def test_thresholds_behind_a_scaler_of_some_columns_are_met_in_the_columns_themselves() -> None:
    estimator = fit(
        make_pipeline(
            columns_of((OneHotEncoder(**ANY), ["city"]), (StandardScaler(), ["rooms", "age"])),
            RandomForestRegressor(1, max_depth=3, bootstrap=False, random_state=0),
        )
    )
    scaler, tree = estimator[0].transformers_[1][1], estimator[-1].estimators_[0].tree_
    ages = scaler.mean_[1] + scaler.scale_[1] * tree.threshold[tree.feature == 4]
    assert len(ages)
    rows = probes(estimator, read_schema(estimator), []).rows
    names = read_schema(estimator).column_names
    for age in ages:
        assert np.nanmin(np.abs(rows[:, names.index("age")] - age)) < 1e-9


def test_features_of_inner_estimators_are_followed_as_far_as_they_are_columns() -> None:
    estimator = PASSED["columns by kind"]()
    found = {type(one).__name__: features for one, features in inside(estimator, columns(5))}
    origins = [None if origin is None else origin.column for origin in found["RandomForestRegressor"]]
    assert origins[:2] == [0, 2]
    assert set(origins[2:]) == {None}


def test_features_that_were_chosen_are_followed() -> None:
    estimator = fit(
        make_pipeline(StandardScaler(), SelectKBest(f_regression, k=1), RandomForestRegressor(1, random_state=0)),
        PEOPLE[["rooms", "age"]].to_numpy(),
    )
    *_, (_, features) = [one for one in inside(estimator, columns(2)) if "Forest" in type(one[0]).__name__]
    (origin,) = features
    assert origin is not None
    assert origin.column == 1
    scaler = estimator[0]
    np.testing.assert_allclose(
        origin.back(np.array([0.0, 1.0])), scaler.mean_[1] + np.array([0, scaler.scale_[1]])
    )


def test_an_example_with_texts_is_compared() -> None:
    estimator = PASSED["numbers and categories"]()
    schema = read_schema(estimator)
    example = {"age": 41.234567, "city": "Oslo", "kind": "b"}
    row = [example.get(name) if name in example else 0 for name in schema.column_names]
    assert 41.234567 in probes(estimator, schema, [row, [None] * len(row)]).rows[:, 0]


def test_a_text_is_its_place_and_what_is_unknown_or_missing_comes_behind() -> None:
    schema = Schema(
        inputs=(
            Column(name="n", type="number"),
            Column(name="t", type="string", categories=("b", "a")),
            Column(name="i", type="integer"),
            Column(name="x", type="string", required=False),
        )
    )
    found = codes.Codes(codes.known_texts(schema))
    texts = (["a", "b", "?", ""], np.array([True, True, True, False]))
    numbers, whole = (np.array([0.5, np.nan, 1.0, 2.0]), None), (np.arange(4), np.array([True, False, True, True]))
    matrix = found.matrix([numbers, texts, whole, (["p", "q", "r", "s"], None)])
    np.testing.assert_array_equal(
        matrix, np.column_stack([numbers[0], [1.0, 0.0, 2.0, 3.0], [0.0, np.nan, 2.0, 3.0], np.zeros(4)])
    )


@pytest.mark.parametrize(
    "cells",
    [
        (np.array(["2024-01-01"], dtype="datetime64[us]"), None),
        (np.array([2**53 + 1]), None),
        (["text"], None),
    ],
    ids=["a date", "a number that is too large", "a text"],
)
def test_what_has_no_number_is_not_for_a_program(cells: Any) -> None:
    found = codes.Codes((None,))
    assert found.matrix([cells]) is None
    assert found.matrix([cells, cells]) is None


def test_the_texts_stand_in_the_program_and_others_are_refused() -> None:
    estimator = PASSED["numbers and categories"]()
    _, data = accelerate(estimator, read_schema(estimator), [])
    model = parse(data, Audit())
    (entry,) = [one for one in model.metadata_props if one.key == codes.KEY]
    assert json.loads(entry.value)[1] == ["Bonn", "Oslo", "Rome"]
    entry.value = '["Bonn"]'
    with pytest.raises(ValueError, match="cannot be read"):
        codes.read(model, 3)


def test_two_versions_that_differ_in_their_texts_have_two_programs() -> None:
    def program(texts: list[str]) -> bytes:
        rows = PEOPLE.assign(city=PEOPLE.city.replace(["Bonn", "Oslo", "Rome"], texts))
        estimator = fit(make_pipeline(columns_of((OneHotEncoder(**ANY), ["city"])), Ridge()), rows)
        return accelerate(estimator, read_schema(estimator), [])[1]

    assert program(["a", "b", "c"]) != program(["x", "y", "z"])


def answered(estimator: Any, *rows: Any) -> str:
    """Which way a version would be answered: by a program that agrees on these rows, or by the estimator."""
    schema = read_schema(estimator)
    report, data = accelerate(estimator, schema, [])
    if report.verdict == "failed":
        return report.reason
    program = parse(data, Audit())
    known = codes.read(program, len(schema.inputs))
    cells = [([row[index] for row in rows], None) if isinstance(rows[0][index], str) else
             (np.array([row[index] for row in rows]), None) for index in range(len(schema.inputs))]  # fmt: skip
    matrix = np.column_stack([values for values, _ in cells]) if known is None else known.matrix(cells)
    found = Session(program, report.program.methods).call("predict", matrix)
    expected = estimator.predict(Loaded(estimator).rows(None, cells))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    return "program"


HOMES = PEOPLE[["city", "age"]].assign(city=np.where(np.arange(ROWS) % 5, PEOPLE.city, "?"))


@pytest.mark.parametrize("sought", ["?", ""])
def test_texts_that_stand_for_what_is_missing_stay_with_the_estimator(sought: str) -> None:
    """There is one number for all unknown texts, and this one is not like the others."""
    rows = HOMES.assign(city=HOMES.city.replace("?", sought))
    filled = make_pipeline(SimpleImputer(missing_values=sought, strategy="most_frequent"), OneHotEncoder(**ANY))
    estimator = fit(make_pipeline(columns_of((filled, ["city"]), ("passthrough", ["age"])), Ridge()), rows)
    assert "unknown texts reach its SimpleImputer" in answered(estimator, [sought, 40.0])


def test_words_beside_an_encoder_stay_with_the_estimator() -> None:
    words = make_pipeline(FunctionTransformer(np.ravel), TfidfVectorizer())
    columns = columns_of((words, ["city"]), (OneHotEncoder(**ANY), ["city"]))
    estimator = fit(make_pipeline(columns, Ridge()), HOMES.assign(city=HOMES.city + " town"))
    assert "unknown texts reach its FunctionTransformer" in answered(estimator, ["Oslo Oslo", 40.0])


@pytest.mark.parametrize("text", ["nan", "None"])
def test_texts_that_look_like_nothing_are_texts(text: str) -> None:
    rows = HOMES.assign(city=pd.Series(HOMES.city.replace("?", text), dtype=object))
    estimator = fit(
        make_pipeline(columns_of((OneHotEncoder(**ANY), ["city"]), remainder="passthrough"), Ridge()), rows
    )
    assert text in read_schema(estimator).inputs[0].categories  # type: ignore[operator]
    assert answered(estimator, [text, 40.0], ["Oslo", 40.0]) == "program"


def test_a_number_that_stands_for_what_is_missing_is_found_in_single_precision() -> None:
    rows = np.column_stack([np.where(np.arange(ROWS) % 5, PEOPLE.age, -99.9), RANDOM.normal(size=ROWS)])
    estimator = fit(make_pipeline(SimpleImputer(missing_values=-99.9), SVR()), rows)
    answered(estimator, [-99.9, 0.0], [40.0, 1.0])
    assert -99.9 in probes(estimator, read_schema(estimator), []).rows[:, 0]


def test_trees_that_split_off_what_is_missing_behind_a_scaler_have_programs() -> None:
    rows = np.column_stack([np.where(np.arange(ROWS) % 3, PEOPLE.age, np.nan), PEOPLE.rooms])
    target = np.isnan(rows[:, 0]) * 5 + rows[:, 1]
    columns = columns_of((StandardScaler(), [0]), (MinMaxScaler(), [1]))
    estimator = fit(make_pipeline(columns, DecisionTreeRegressor(max_depth=4)), rows, target)
    assert np.isinf(estimator[-1].tree_.threshold).any()
    assert answered(estimator, [np.nan, 2.0], [40.0, 3.0]) == "program"


def test_a_column_in_which_all_was_missing_is_no_error() -> None:
    estimator = fit(
        make_pipeline(columns_of((OneHotEncoder(), ["city", "none"])), Ridge()),
        HOMES.assign(none=pd.Series([None] * ROWS, dtype=object)),
    )
    report, _ = accelerate(estimator, read_schema(estimator), [])
    assert report.verdict == "failed"


def test_categories_that_are_half_a_character_stay_with_the_estimator() -> None:
    estimator = OneHotEncoder(**ANY).fit(np.array([["\ud800"], ["a"]], dtype=object))
    report, _ = accelerate(estimator, read_schema(estimator), [])
    assert "cannot be written" in report.reason


@pytest.mark.parametrize("said", ["[" + ",".join(['[""]'] * 9) + "]", '["' + "x" * codes.MOST_BYTES + '"]'])
def test_texts_of_other_columns_and_too_many_are_not_read(said: str) -> None:
    model = ModelProto()
    model.metadata_props.add(key=codes.KEY, value=said)
    with pytest.raises(ValueError, match="categories"):
        codes.read(model, 3)


def wide(count: int) -> NDArray[Any]:
    return np.array([[f"c{index}"] for index in range(count)], dtype=object)


def test_very_many_categories_stay_with_the_estimator() -> None:
    estimator = OneHotEncoder(**ANY).fit(wide(600))
    report, _ = accelerate(estimator, read_schema(estimator), [])
    assert "very many categories" in report.reason
