"""True is 1 and false is 0 where a column is one of numbers; `test_bad_rows.py` asks so in every form."""

import json

import numpy as np
import pytest
from conftest import StrictClient
from sklearn.linear_model import LinearRegression

#: As `get_dummies` makes them.
HEADING = ["colour_blue", "colour_red", "size"]
ROWS = [[False, True, 1], [True, False, 2]]
EXPECTED = pytest.approx([3, 6])


@pytest.fixture
def asked(client: StrictClient) -> StrictClient:
    """A server with a model that weighs its columns, so that no two rows are answered alike."""
    pd = pytest.importorskip("pandas")
    bits = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    client.put_model("m", LinearRegression().fit(pd.DataFrame(bits, columns=HEADING), bits @ [4, 2, 1]))
    return client


def test_tables_are_read_as_pandas_writes_them(asked: StrictClient) -> None:
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame(ROWS, columns=HEADING)
    answer = asked.post("/models/m/predict?format=json", data=table.to_csv(index=False), content_type="text/csv")
    assert answer.json["predictions"] == EXPECTED
    split = json.loads(table.to_json(orient="split", index=False))
    assert asked.post("/models/m/predict", json={"dataframe_split": split}).json["predictions"] == EXPECTED


def test_one_boolean_in_a_large_body_of_numbers_is_one_as_well(asked: StrictClient) -> None:
    many = {"instances": [[0.0, 1.0, 1.0]] * 20_000 + [ROWS[1]]}
    assert asked.post("/models/m/predict", json=many).json["predictions"][-2:] == EXPECTED


@pytest.mark.parametrize("first", ["False,True,FALSE", "false,true,false"])
def test_a_first_line_of_booleans_is_no_heading(asked: StrictClient, first: str) -> None:
    answer = asked.post("/models/m/predict?format=json", data=f"{first}\nTrue,False,2", content_type="text/csv")
    assert answer.json["predictions"] == pytest.approx([2, 6])


def test_other_words_are_no_booleans(asked: StrictClient) -> None:
    answer = asked.post("/models/m/predict", data="yes,1,1\nno,1,1", content_type="text/csv")
    assert answer.status_code == 422
    answer = asked.post("/models/m/predict", json={"instances": [["true", 1, 1]]})
    assert answer.json["errors"][0]["message"] == "expected a number, got text"
