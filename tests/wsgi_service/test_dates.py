"""Columns of dates and of booleans, for column transformers that encode them."""

from typing import Any

import numpy as np
import pytest
from conftest import StrictClient
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

pytestmark = [pytest.mark.system, pytest.mark.extras]

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03T12:30:00"]
pd = pytest.importorskip("pandas")


def shop() -> Any:
    """A day and a flag, both one-hot encoded; the day says what happens."""
    table = pd.DataFrame(
        {"day": pd.to_datetime(pd.Series(DAYS * 4), format="ISO8601"), "open": [True, False, True] * 4}
    )
    encoders = [("day", OneHotEncoder(), ["day"]), ("open", OneHotEncoder(), ["open"])]
    return make_pipeline(ColumnTransformer(encoders), DecisionTreeClassifier()).fit(table, ["a", "b", "c"] * 4)


@pytest.fixture
def client_with_shop(client: StrictClient) -> StrictClient:
    assert client.put_model("shop", shop()).status_code == 201
    return client


def test_the_schema_says_which_columns_are_dates_and_which_are_booleans(client_with_shop: StrictClient) -> None:
    day, opened = client_with_shop.get("/models/shop/versions/1").json["schema"]["inputs"]
    assert (day["type"], opened["type"]) == ("datetime", "boolean")
    assert day["categories"] == ["2024-01-01T00:00:00", "2024-01-02T00:00:00", "2024-01-03T12:30:00"]
    assert day["sample"] == "2024-01-01T00:00:00"


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        ('{"instances": [["2024-01-02", false], ["2024-01-03T12:30:00Z", true]]}', "application/json"),
        (
            '{"inputs": {"day": ["2024-01-02T00:00", "2024-01-03T13:30+01:00"], "open": [0, 1]}}',
            "application/json",
        ),
        ("day,open\r\n2024-01-02,False\r\n2024-01-03 12:30,TRUE\r\n", "text/csv"),
        ('["2024-01-02", "false"]\n{"open": true, "day": "20240103T123000"}', "application/x-ndjson"),
    ],
)
def test_dates_are_read_in_every_way_of_iso_8601(client_with_shop: StrictClient, body: str, type_: str) -> None:
    answer = client_with_shop.post("/models/shop/predict", data=body, content_type=type_)
    assert answer.json["predictions"] == ["b", "c"]


def test_a_link_and_a_form_take_them_too(client_with_shop: StrictClient) -> None:
    assert client_with_shop.get("/models/shop/predict?day=2024-01-02&open=false").json["prediction"] == "b"
    fields = {"day": "2024-01-01", "open": "1"}
    assert client_with_shop.post("/models/shop/predict", data=fields).json["prediction"] == "a"


@pytest.mark.parametrize(
    "value", ["31.1.2024", "2024-13-01", "", 5, True, "0001-01-01T00:00+01:00", ["2024-01-01"]]
)
def test_what_is_no_date_is_said(client_with_shop: StrictClient, value: Any) -> None:
    answer = client_with_shop.post("/models/shop/predict", json={"instances": [[value, True]]})
    assert answer.status_code == 422
    (error,) = answer.json["errors"]
    assert (error["column"], "such as 2024-01-31" in error["message"]) == ("day", True)


def test_a_day_that_was_never_seen_is_named_as_such(client_with_shop: StrictClient) -> None:
    answer = client_with_shop.post("/models/shop/predict", json={"instances": [["2025-01-01", True]]})
    assert "not one of the allowed: 2024-01-01T00:00:00" in answer.json["detail"]


def test_examples_have_dates(client_with_shop: StrictClient) -> None:
    rows = {"instances": [["2024-01-03T12:30", True]], "predictions": ["c"]}
    answer = client_with_shop.put("/models/shop/versions/1/examples", json=rows)
    assert answer.json["mismatches"] == []
    assert client_with_shop.get("/models/shop/predict").json["prediction"] == "c"


def test_a_missing_date_is_one_where_the_encoder_takes_what_it_does_not_know(client: StrictClient) -> None:
    table = pd.DataFrame({"day": pd.to_datetime(["2024-01-01", "2024-01-02"] * 4)})
    encoder = ColumnTransformer([("day", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["day"])])
    client.put_model("days", encoder.fit(table))
    answer = client.post("/models/days/predict", json={"instances": [[None], ["2024-01-02"]]}).json
    expected = encoder.transform(pd.DataFrame({"day": np.array(["NaT", "2024-01-02"], dtype="datetime64[us]")}))
    assert answer["predictions"] == expected.tolist()
