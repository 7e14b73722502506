"""Predicts are kept for later where a setting says so, within limits, and can be asked of another version."""

import json
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import LiveServer, StrictClient
from running import until

from wsgi_service.app import Application, create_app
from wsgi_service.cli import group
from wsgi_service.client import Client
from wsgi_service.hosts.pool import HostPool
from wsgi_service.monitoring import prediction_log
from wsgi_service.monitoring.prediction_log import FOLDER, Entry, Files, PredictionLog, read_log, rows_of
from wsgi_service.rows.tables import Cells, Table
from wsgi_service.settings import InvalidSetting, Settings, load

pytestmark = pytest.mark.system

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]


@pytest.fixture
def kept(folder: Path, pool: HostPool) -> Iterator[Application]:
    """A server that keeps all predicts of `iris`, half of those of `spam-*`, and nothing else."""
    app = create_app(Settings(data=str(folder), prediction_log="iris=1, spam-*=0.5", acceleration="off"), pool)
    yield app
    app._predictions.close()
    app.catalog.registry.close()


def written(app: Application) -> list[Entry]:
    app._predictions.close()
    folder = app.settings.folder / FOLDER
    return list(read_log(folder)) if folder.exists() else []


def test_a_predict_is_kept_with_its_rows_its_answer_and_who_gave_it(kept: Application) -> None:
    client = StrictClient(kept)
    client.put_model("iris", models.iris())
    client.put_model("other", models.iris())
    parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-Id": "r-1"}
    answer = client.post("/models/iris/predict", json={"instances": ROWS}, headers=parent).json
    client.post("/models/other/predict", json={"instances": ROWS})
    (entry,) = written(kept)
    version = client.get("/models/iris/versions/1").json
    assert (entry.model, entry.version, entry.digest, entry.alias) == ("iris", 1, version["digest"], "live")
    assert (entry.request_id, entry.trace_id, entry.engine) == ("r-1", TRACE, "native")
    assert entry.rows == ROWS
    assert entry.outputs == {"predict": answer["predictions"]}


def test_rows_that_were_wrong_are_left_out(kept: Application) -> None:
    client = StrictClient(kept)
    client.put_model("iris", models.iris())
    body = {"instances": [ROWS[0], ["x", 1, 1, 1], ROWS[1]]}
    answer = client.post("/models/iris/predict?on_error=row", json=body).json["predictions"]
    client.post("/models/iris/predict?on_error=row", json={"instances": [["x", 1, 1, 1]]})
    (entry,) = written(kept)
    assert entry.rows == ROWS
    assert entry.outputs == {"predict": [answer[0], answer[2]]}


def test_a_client_can_have_its_rows_left_out(kept: Application) -> None:
    client = StrictClient(kept)
    client.put_model("iris", models.iris())
    client.post("/models/iris/predict", json={"instances": ROWS}, headers={"Prediction-Log": "off"})
    assert written(kept) == []


def test_a_share_is_kept_and_the_first_pattern_that_fits_counts(folder: Path) -> None:
    chances = iter([0.0, 0.49, 0.5, 0.99])
    kept = PredictionLog(Settings(data=str(folder), prediction_log="a=0.5,a*=1,b=0"), lambda: next(chances))
    assert [kept._is_kept("a") for _ in range(4)] == [True, True, False, False]
    assert not kept._is_kept("c")
    assert not kept._is_kept("b")


@pytest.mark.parametrize("text", ["iris", "iris=2", "iris=x", "=1", "iris=-1", "iris=1,=1"])
def test_shares_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="NAME=SHARE"):
        load({}, {"prediction_log": text})


def test_nothing_is_kept_or_started_unless_it_is_asked_for(folder: Path) -> None:
    off = PredictionLog(Settings(data=str(folder)))
    off.note(None, Table(0), None)  # type: ignore[arg-type]
    off.close()
    assert list(folder.iterdir()) == []


def test_what_cannot_be_written_fast_enough_is_lost_and_counted(
    kept: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = StrictClient(kept)
    client.put_model("iris", models.iris())
    monkeypatch.setattr(PredictionLog, "_start", lambda _self: None)  # nobody writes
    monkeypatch.setattr(kept._predictions._waiting, "maxsize", 2)
    for _ in range(3):
        assert client.post("/models/iris/predict", json={"instances": ROWS}).status_code == 200
    assert kept._predictions.lost == 1


def test_a_full_disk_costs_the_log_and_no_predict(kept: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    client = StrictClient(kept)
    client.put_model("iris", models.iris())

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Files, "append", full)
    assert client.post("/models/iris/predict", json={"instances": ROWS}).status_code == 200
    kept._predictions.close()
    assert kept._predictions.lost == 1


def test_values_of_every_kind_are_written_as_json_has_them() -> None:
    times = np.array(["2026-01-02T03:04:05", "NaT"], dtype="datetime64[us]")
    columns = [
        Cells("f8", np.array([1.5, np.nan])),
        Cells("i8", np.array([2**60, 0]), np.array([True, False])),
        Cells("bool", np.array([True, False])),
        Cells("time", times, np.array([True, False])),
        Cells("text", ["a", ""]),
    ]
    assert rows_of(Table(2, columns=columns)) == [
        [1.5, 2**60, True, "2026-01-02T03:04:05.000000", "a"],
        [None, None, False, None, ""],
    ]
    assert rows_of(Table(1, matrix=np.array([[1.0, np.nan]]))) == [[1.0, None]]


def test_files_are_followed_by_others_and_the_oldest_go(tmp_path: Path) -> None:
    files = Files(tmp_path, limit=4_000, days=1.0)
    for number in range(100):
        files.append(b"%099d\n" % number)
    files.close()
    found = sorted(tmp_path.iterdir())
    assert sum(path.stat().st_size for path in found) <= 4_000
    assert all(path.stat().st_size <= 1_000 for path in found)
    assert found[-1].read_bytes().endswith(b"99\n")


def test_files_that_are_too_old_go(tmp_path: Path) -> None:
    for name in ("20200101T000000000000-1.ndjson", "mine.ndjson", "mine.txt"):
        (tmp_path / name).write_bytes(b"x\n")
    Files(tmp_path, limit=4_000, days=1.0).sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.ndjson", "mine.txt"]


def test_each_day_has_a_file_of_its_own(tmp_path: Path) -> None:
    files = Files(tmp_path, limit=4_000, days=30.0)
    files.append(b"x\n")
    files.append(b"x\n")
    files._day = date(2020, 1, 1)
    files.append(b"x\n")
    files.close()
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == [b"x\n", b"x\nx\n"]


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open stays there")
def test_a_file_that_another_process_swept_away_is_begun_anew(tmp_path: Path) -> None:
    files = Files(tmp_path, limit=4_000, days=30.0)
    files.append(b"x\n")
    (path,) = tmp_path.iterdir()
    path.unlink()
    files.append(b"y\n")
    files.close()
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"y\n"


def test_a_line_that_is_larger_than_a_file_may_be_is_not_kept(tmp_path: Path) -> None:
    files = Files(tmp_path, limit=4_000, days=30.0)
    with pytest.raises(OSError, match="takes more than a file"):
        files.append(b"x" * 1_001)
    assert list(tmp_path.iterdir()) == []


def test_many_rows_do_not_wait_in_memory(kept: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    client = StrictClient(kept)
    client.put_model("iris", models.iris())
    monkeypatch.setattr(prediction_log, "MOST_ROWS", 3)
    monkeypatch.setattr(PredictionLog, "_start", lambda _self: None)  # nobody writes
    for _ in range(2):
        client.post("/models/iris/predict", json={"instances": ROWS})
    assert kept._predictions.lost == 1


def test_the_line_that_is_being_written_is_not_read_and_one_that_is_none_is_named(kept: Application) -> None:
    client = StrictClient(kept)
    client.put_model("iris", models.iris())
    client.post("/models/iris/predict", json={"instances": ROWS})
    (entry,) = written(kept)
    (path,) = (kept.settings.folder / FOLDER).iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-9])
    (path.parent / "99990101T000000000000-1.ndjson").write_bytes(whole)
    assert list(read_log(path)) == [entry]
    assert list(read_log(path.parent)) == [entry] * 2
    path.write_bytes(whole + b"x\n" + whole)
    with pytest.raises(ValueError, match="line 2"):
        list(read_log(path))


@pytest.mark.live
def test_what_was_kept_is_asked_of_another_version_and_compared(start_server: Any, folder: Path) -> None:
    server: LiveServer = start_server("--prediction-log", "iris=1", "--acceleration", "off")
    with Client(server.url) as client:
        client.push(models.iris(), "iris")
        for row in ROWS * 5:
            client.predict("iris", [row])
        client.push(models.iris(), "iris")
    until(lambda: lines_in(folder / FOLDER) == len(ROWS) * 5)

    def replay(*arguments: str) -> Any:
        return CliRunner().invoke(group, ["replay", str(folder / FOLDER), "--server", server.url, *arguments])

    said = replay("--against", "iris@2")
    assert said.exit_code == 0, said.output
    assert "rows       10, version 1 against 2" in said.output
    assert "agreement  100.0000%" in said.output
    (document,) = json.loads(replay("--against", "iris@2", "--json").stdout)["replayed"]
    assert (document["a"], document["b"], document["comparison"]["rows"]) == (1, 2, 10)
    assert "such as iris@4" in replay("--against", "iris").output
    assert replay("--against", "missing@1").exit_code == 1


def lines_in(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("*.ndjson")) if folder.exists() else 0
