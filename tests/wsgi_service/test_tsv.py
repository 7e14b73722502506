"""Rows with tabs between their fields (text/tab-separated-values): in and out, wherever CSV is taken."""

import csv
import io
from pathlib import Path
from typing import Any

import models
import pytest
from conftest import StrictClient

from wsgi_service.client.files import chunks_of

TSV = "text/tab-separated-values"
GOOD = "5.1\t3.5\t1.4\t0.2"


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris(), class_names="setosa,versicolor,virginica")
    return client


def table(answer: Any) -> list[list[str]]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, f"{TSV}; charset=utf-8"), answer.data
    return list(csv.reader(io.StringIO(answer.data.decode(), newline=""), delimiter="\t"))


@pytest.mark.parametrize("how", ["format", "Accept"])
def test_a_table_with_tabs_comes_back_as_one(iris: StrictClient, how: str) -> None:
    query, headers = ("?format=tsv", {}) if how == "format" else ("", {"Accept": TSV})
    body = f"note\tx0\tx1\tx2\tx3\na,b;c\t{GOOD}\n"
    answer = iris.post(f"/models/iris/predict{query}", data=body, content_type=TSV, headers=headers)
    rows = table(answer)
    assert rows[0][:2] == ["note", "prediction"]
    assert rows[1][:2] == ["a,b;c", "setosa"]


def test_nothing_but_a_tab_stands_between_fields(client: StrictClient) -> None:
    client.put_model("colours", models.colours())
    answer = client.post("/models/colours/predict", data="red, or so\n", content_type=TSV)
    assert answer.json["errors"][0]["column"] == "x0"  # one field, which is no colour
    client.put_model("line", models.line())
    answer = client.post("/models/line/predict", data="1,5\n", content_type=TSV)
    assert answer.status_code == 422
    answer = client.post("/models/line/predict?decimal=,", data="1,5\n2\n", content_type=TSV)
    assert answer.json["predictions"] == pytest.approx([4.0, 5.0])


def test_numbers_with_tabs_are_read_as_those_with_commas(iris: StrictClient) -> None:
    rows = "x3\tx0\tx1\tx2\n0.2\t5.1\t3.5\t1.4\n"
    tabs = iris.post("/models/iris/predict?method=predict_proba", data=rows, content_type=TSV).json
    commas = iris.post(
        "/models/iris/predict?method=predict_proba", data=rows.replace("\t", ","), content_type="text/csv"
    ).json
    assert tabs["predictions"] == commas["predictions"]


def test_texts_that_could_be_formulas_get_an_apostrophe_when_asked(iris: StrictClient) -> None:
    body = f"note\tx0\tx1\tx2\tx3\n=1+1\t{GOOD}\nx,=1+1\t{GOOD}\n"
    answer = iris.post("/models/iris/predict?format=tsv&spreadsheet=true", data=body, content_type=TSV)
    assert [row[0] for row in table(answer)[1:]] == ["'=1+1", "x,'=1+1"]


def test_examples_and_comparisons_take_tabs(iris: StrictClient) -> None:
    iris.put_model("iris", models.iris(), number=2)
    body = f"x0\tx1\tx2\tx3\tprediction\n{GOOD}\tsetosa\n"
    answer = iris.put("/models/iris/versions/1/examples", data=body, content_type=TSV)
    assert (answer.status_code, answer.json["predictions"]) == (200, [0])
    answer = iris.post("/models/iris/compare?a=1&b=2", data=body, content_type=TSV)
    assert answer.status_code == 200


def test_a_part_of_a_form_is_known_by_its_ending(iris: StrictClient) -> None:
    file = (io.BytesIO(f"{GOOD}\n".encode()), "rows.tsv")
    assert iris.post("/models/iris/predict", data={"file": file}).json["predictions"] == [0]


def test_chunks_of_a_file_with_tabs_have_tabs(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("a,b\tsize\nred, dark\t1\nblue\t2\n", encoding="utf-8")
    assert [chunk.body for chunk in chunks_of(path, {"size"}, 1)] == [
        b"a,b\tsize\r\nred, dark\t1\r\n", b"a,b\tsize\r\nblue\t2\r\n",
    ]  # fmt: skip
