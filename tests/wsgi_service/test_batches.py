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

pytestmark = pytest.mark.live
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


def write_csv(path: Path, rows: Any = FEATURES, heading: bool = True) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if heading:
            writer.writerow(["id", *NAMES])
        writer.writerows([f"r{i}", *row] if heading else row for i, row in enumerate(rows.tolist()))
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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


@pytest.mark.parametrize("ending", ["csv", "json", "ndjson", "parquet", "arrow"])
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
    "csv": write_csv, "json": write_json, "ndjson": write_lines, "parquet": write_parquet, "arrow": write_arrow,
}  # fmt: skip
READ: dict[str, Any] = {
    "csv": lambda path: [int(row["prediction"]) for row in read_csv(path)],
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
        (b"PAR1", "in.parquet", "cannot be read"),
        (b"ARROW1", "in.arrow", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(
    live_server: LiveServer, model: Path, tmp_path: Path, content: str | bytes, name: str, words: str
) -> None:
    if not name.endswith((".csv", ".json")):
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
    from wsgi_service.commands import predict

    run(live_server, "push", str(model), "pinned")
    run(live_server, "push", str(model), "pinned")
    whole = predict.chunks_of

    def with_a_switch(*arguments: Any) -> Any:
        for chunk in whole(*arguments):
            yield chunk
            run(live_server, "activate", "pinned", "2")

    monkeypatch.setattr(predict, "chunks_of", with_a_switch)
    target = tmp_path / "out.json"
    path = write_csv(tmp_path / "in.csv", np.repeat(FEATURES, 2, axis=0))
    assert run(live_server, "predict", "pinned", str(path), "-o", str(target), "--chunk", "50").exit_code == 0
    assert json.loads(target.read_text(encoding="utf-8"))["version"] == 1
