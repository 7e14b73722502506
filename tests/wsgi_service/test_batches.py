"""`wsgi-service predict` on files: in chunks, in and out of every format, by a server or by a model file."""

import csv
import json
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from click.testing import CliRunner, Result
from conftest import LiveServer
from sklearn.datasets import load_iris

from wsgi_service.cli import group

pytestmark = [pytest.mark.system, pytest.mark.extras, pytest.mark.live]
FEATURES = load_iris().data
NAMES = ["x0", "x1", "x2", "x3"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "iris.skops"
    path.write_bytes(models.skops_bytes(models.iris()))
    return path


@pytest.fixture(params=["a server", "a model file"])
def source(request: pytest.FixtureRequest, model: Path, live_server: LiveServer) -> str:
    """What answers: the name of a model on a server, or the path of one."""
    if request.param == "a model file":
        return str(model)
    run(live_server, "push", str(model), "batched")
    return "batched"


def run(server: LiveServer, *arguments: str) -> Result:
    return CliRunner().invoke(group, [*arguments], env={"WSGI_SERVICE_URL": server.url})


def write_csv(path: Path, rows: Any = FEATURES, heading: bool = True, delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        if heading:
            writer.writerow(["id", *NAMES])
        writer.writerows([f"r{i}", *row] if heading else row for i, row in enumerate(rows.tolist()))
    return path


def write_tsv(path: Path) -> None:
    write_csv(path, delimiter="\t")


def read_csv(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.parametrize("chunk", ["7", "150", "10000"])
def test_a_table_is_answered_in_chunks_as_it_would_be_at_once(
    live_server: LiveServer, source: str, tmp_path: Path, chunk: str
) -> None:
    target = tmp_path / "out.csv"
    done = run(
        live_server, "predict", source, str(write_csv(tmp_path / "in.csv")), "-o", str(target), "--chunk", chunk
    )
    assert (done.exit_code, done.output) == (0, "")
    rows = read_csv(target)
    assert [row["id"] for row in rows] == [f"r{i}" for i in range(150)]
    assert [int(row["prediction"]) for row in rows] == models.iris().predict(FEATURES).tolist()
    assert [float(row["probability_2"]) for row in rows] == pytest.approx(
        models.iris().predict_proba(FEATURES)[:, 2]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "iris.skops", "out.csv"]


def test_without_output_the_table_goes_to_standard_output(
    live_server: LiveServer, source: str, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "in.csv", FEATURES[:3], heading=False)
    done = run(live_server, "predict", source, str(path), "--method", "predict", "--chunk", "2")
    assert done.output.splitlines() == ["prediction", "0", "0", "0"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "ndjson", "parquet", "arrow"])
def test_every_format_goes_in_and_out(live_server: LiveServer, source: str, tmp_path: Path, ending: str) -> None:
    given, target = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    WRITE[ending](given)
    done = run(live_server, "predict", source, str(given), "-o", str(target), "--chunk", "60")
    assert (done.exit_code, done.output) == (0, "")
    assert READ[ending](target) == models.iris().predict(FEATURES).tolist()


def write_json(path: Path) -> None:
    path.write_text(json.dumps({"instances": FEATURES.tolist()}), encoding="utf-8")


def write_lines(path: Path) -> None:
    path.write_text("\n".join(map(json.dumps, FEATURES.tolist())), encoding="utf-8")


def write_parquet(path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table(dict(zip(NAMES, FEATURES.T, strict=True))), path)


def write_arrow(path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table(dict(zip(NAMES, FEATURES.T, strict=True)))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as stream:
        stream.write_table(table)


def read_parquet(path: Path) -> Any:
    return pytest.importorskip("pyarrow.parquet").read_table(path)["prediction"].to_pylist()


def read_arrow(path: Path) -> Any:
    pa = pytest.importorskip("pyarrow")
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all()["prediction"].to_pylist()


WRITE: dict[str, Any] = {
    "csv": write_csv, "tsv": write_tsv, "json": write_json, "ndjson": write_lines,
    "parquet": write_parquet, "arrow": write_arrow,
}  # fmt: skip
READ: dict[str, Any] = {
    "csv": lambda path: [int(row["prediction"]) for row in read_csv(path)],
    "tsv": lambda path: [int(row["prediction"]) for row in read_csv(path, "\t")],
    "json": lambda path: json.loads(path.read_text(encoding="utf-8"))["predictions"],
    "ndjson": lambda path: [
        json.loads(line)["prediction"] for line in path.read_text(encoding="utf-8").splitlines()
    ],
    "parquet": read_parquet,
    "arrow": read_arrow,
}


def test_a_wrong_row_is_named_by_its_place_in_the_file_and_nothing_is_left_behind(
    live_server: LiveServer, source: str, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "in.csv", FEATURES[:20])
    path.write_text(path.read_text(encoding="utf-8") + "bad,1,x,3,4\n", encoding="utf-8")
    target = tmp_path / "out.csv"
    done = run(live_server, "predict", source, str(path), "-o", str(target), "--chunk", "8")
    assert done.exit_code == 1
    assert "row 20, column x1: expected a number, got text" in done.output
    assert "--on-error row" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "iris.skops"]
    done = run(live_server, "predict", source, str(path), "-o", str(target), "--chunk", "8", "--on-error", "row")
    assert done.exit_code == 0
    rows = read_csv(target)
    assert [row["error"] for row in rows] == [""] * 20 + ["x1: expected a number, got text"]
    answers = tmp_path / "out.json"
    done = run(live_server, "predict", source, str(path), "-o", str(answers), "--chunk", "8", "--on-error", "row")
    said = json.loads(answers.read_text(encoding="utf-8"))
    assert said["predictions"][20] is None
    assert [error["row"] for error in said["errors"]] == [20]


def test_an_existing_output_is_replaced_only_by_a_whole_one(
    live_server: LiveServer, source: str, tmp_path: Path
) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before", encoding="utf-8")
    path = tmp_path / "in.csv"
    path.write_text("x0,x1,x2,x3\n1,2,3,nothing\n", encoding="utf-8")
    assert run(live_server, "predict", source, str(path), "-o", str(target)).exit_code == 1
    assert target.read_text(encoding="utf-8") == "before"


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ('x0,x1\n1,"2', "in.csv", "cannot be read"),
        (b"\xff\xfe\x00", "in.csv", "cannot be read"),
        ("{", "in.json", "not valid JSON"),
        ('{"instances": [[1]], "method": "fit"}', "in.json", "keys beside"),
        ("[1", "in.ndjson", "Row 0 of the body is not valid JSON"),
        ("", "in.csv", "in.csv has no rows"),
        ("[]", "in.json", "in.json has no rows"),
        ("\n\n", "in.ndjson", "in.ndjson has no rows"),
        (b"PAR1", "in.parquet", "cannot be read"),
        (b"ARROW1", "in.arrow", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(
    live_server: LiveServer, model: Path, tmp_path: Path, content: str | bytes, name: str, words: str
) -> None:
    if name.endswith((".parquet", ".arrow")):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    done = run(live_server, "predict", str(model), str(path))
    assert (done.exit_code, "Traceback" in done.output) == (1, False)
    assert words in done.output


def test_a_file_that_is_no_model_is_said(live_server: LiveServer, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "in.csv")
    done = run(live_server, "predict", str(path), str(path))
    assert done.exit_code == 1
    assert "in.csv: " in done.output
    done = run(live_server, "predict", "nobody", str(path))
    assert "There is no model 'nobody'" in done.output


def test_all_chunks_are_answered_by_the_version_that_was_live_at_the_start(
    live_server: LiveServer, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wsgi_service.client import files

    run(live_server, "push", str(model), "pinned")
    run(live_server, "push", str(model), "pinned")
    whole = files.chunks_of

    def with_a_switch(*arguments: Any) -> Any:
        for chunk in whole(*arguments):
            yield chunk
            run(live_server, "activate", "pinned", "2")

    monkeypatch.setattr(files, "chunks_of", with_a_switch)
    target = tmp_path / "out.json"
    path = write_csv(tmp_path / "in.csv", np.repeat(FEATURES, 2, axis=0))
    assert run(live_server, "predict", "pinned", str(path), "-o", str(target), "--chunk", "50").exit_code == 0
    assert json.loads(target.read_text(encoding="utf-8"))["version"] == 1


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_empty_lines_and_line_breaks_in_names_may_stand_where_a_chunk_ends(
    live_server: LiveServer, source: str, tmp_path: Path, rows: int
) -> None:
    path, target = tmp_path / "in.csv", tmp_path / "out.csv"
    good = "5.1,3.5,1.4,0.2"
    text = f'\n"a\nname",x0,x1,x2,x3\na,{good}\n\n\n"b\nb",{good}\n\nc,1,x,3,4\n\n'
    path.write_text(text, encoding="utf-8", newline="")
    done = run(
        live_server, "predict", source, str(path), "-o", str(target), "--chunk", str(rows), "--on-error", "row"
    )
    assert (done.exit_code, done.output) == (0, "")
    assert [(row["a\nname"], row["prediction"]) for row in read_csv(target)] == [
        ("a", "0"), ("b\nb", "0"), ("c", ""),
    ]  # fmt: skip
    done = run(live_server, "predict", source, str(path), "-o", str(target), "--chunk", str(rows))
    assert "row 2, column x1: expected a number" in done.output


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_errors_that_come_late_or_fill_a_chunk_fit_the_columns_of_a_table(
    live_server: LiveServer, source: str, tmp_path: Path, ending: str
) -> None:
    pytest.importorskip("pyarrow")
    path, target = write_csv(tmp_path / "in.csv", FEATURES[:4]), tmp_path / f"out.{ending}"
    path.write_text(path.read_text(encoding="utf-8") + "e,1,x,3,4\nf,1,x,3,4\n", encoding="utf-8")
    done = run(live_server, "predict", source, str(path), "-o", str(target), "--chunk", "2", "--on-error", "row")
    assert (done.exit_code, done.output) == (0, "")
    assert READ[ending](target) == [0, 0, 0, 0, None, None]


def test_the_output_is_never_the_input_and_never_a_file_that_was_there(
    live_server: LiveServer, model: Path, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "in.csv")
    content = path.read_bytes()
    other = tmp_path / "out.csv.part"
    other.write_text("mine", encoding="utf-8")
    done = run(live_server, "predict", str(model), str(path), "-o", str(path))
    assert (done.exit_code, path.read_bytes()) == (2, content)
    assert "would replace the rows" in done.output
    assert run(live_server, "predict", str(model), str(path), "-o", str(tmp_path / "out.csv")).exit_code == 0
    assert other.read_text(encoding="utf-8") == "mine"
    done = run(live_server, "predict", str(model), str(path), "-o", str(tmp_path / "out.xlsx"))
    assert (done.exit_code, ".parquet" in done.output) == (2, True)
    assert not (tmp_path / "out.xlsx").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no-such.csv"], "there is no such file"),
        (["{}", "-o", "x.csv"], "there is no such file"),
        (["{in}", "--version", "1"], "no versions"),
        (["{in}", "--method", "transform"], "no such method"),
    ],
)
def test_what_cannot_be_done_with_a_model_file_is_said(
    live_server: LiveServer, model: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    given = [str(write_csv(tmp_path / "in.csv")) if argument == "{in}" else argument for argument in arguments]
    done = run(live_server, "predict", str(model), *given)
    assert (done.exit_code in (1, 2), words in done.output) == (True, True), done.output


def test_decimal_commas_are_read_if_that_is_said(live_server: LiveServer, source: str, tmp_path: Path) -> None:
    path, target = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("x0;x1;x2;x3\n5,1;3,5;1,4;0,2\n", encoding="utf-8")
    refused = run(live_server, "predict", source, str(path), "-o", str(target))
    assert refused.exit_code == 1
    assert "decimal" in refused.output
    assert run(live_server, "predict", source, str(path), "-o", str(target), "--decimal", ",").exit_code == 0
    assert read_csv(target)[0]["prediction"] == "0"


@pytest.mark.parametrize("name", ["in.ndjson", "in.csv"])
def test_files_in_utf16_are_read(live_server: LiveServer, source: str, tmp_path: Path, name: str) -> None:
    path, target = tmp_path / name, tmp_path / "out.csv"
    text = "[5.1,3.5,1.4,0.2]\n" if name == "in.ndjson" else "x0,x1,x2,x3\n5.1,3.5,1.4,0.2\n"
    path.write_bytes(text.encode("utf-16"))
    done = run(live_server, "predict", source, str(path), "-o", str(target))
    assert (done.exit_code, done.output) == (0, "")
    assert read_csv(target)[0]["prediction"] == "0"


def test_a_text_may_be_longer_than_the_reader_of_csv_expects(live_server: LiveServer, tmp_path: Path) -> None:
    spam, path, target = tmp_path / "spam.skops", tmp_path / "in.csv", tmp_path / "out.csv"
    spam.write_bytes(models.skops_bytes(models.spam()))
    path.write_text("text\n" + "win money " * 30_000 + "\n", encoding="utf-8")
    assert run(live_server, "push", str(spam), "long-texts").exit_code == 0
    for source in ("long-texts", str(spam)):
        done = run(live_server, "predict", source, str(path), "-o", str(target))
        assert (done.exit_code, done.output) == (0, "")
        assert read_csv(target)[0]["prediction"] == "spam"


def test_a_heading_that_only_some_chunks_have_is_not_guessed(tmp_path: Path) -> None:
    from wsgi_service.client.files import chunks_of

    path = tmp_path / "in.csv"
    path.write_text("red,1\ngreen,2\nblue,3\n", encoding="utf-8")
    assert [chunk.body for chunk in chunks_of(path, {"colour", "size"}, 2)] == [
        b"red,1\r\ngreen,2\r\n", b"blue,3\r\n",
    ]  # fmt: skip
