"""The doctor finds what is wrong, says what to do, and leaves nothing behind."""

import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from model_store.sql.registry import SqlRegistry, sqlite_url
from wsgi_service.cli import group
from wsgi_service.processes import diagnosis
from wsgi_service.server.listening import bind

pytestmark = [pytest.mark.system, pytest.mark.extras]

FREE = "127.0.0.1:0"


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(group, ["doctor", "--data", str(folder), "--listen", FREE, *arguments])


def found(result: Result, what: str) -> Any:
    return next(one for one in json.loads(result.stdout)["findings"] if one["what"] == what)


def test_a_machine_that_is_well_has_nothing_wrong_and_stays_as_it_is(folder: Path) -> None:
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines()].count("wrong") == 0
    for what in ("python", "[onnx]", "data", "clock", "disk", "registry", "port", "access"):
        assert f" {what} " in result.output
    assert list(folder.iterdir()) == []


class Usage(NamedTuple):
    free: int


def test_a_full_disk_and_a_wrong_clock_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1 << 20))
    monkeypatch.setattr(diagnosis.time, "time", lambda: time.mktime((2001, 1, 1, 0, 0, 0, 0, 0, 0)))
    result = run(folder, "--json")
    assert result.exit_code == 1
    assert found(result, "disk")["message"].startswith("1 MB are free; ")
    assert "years behind" in found(result, "clock")["message"]


def test_a_disk_with_another_clock_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 60
    monkeypatch.setattr(diagnosis.time, "time", lambda: later)
    assert "another time" in found(run(folder, "--json"), "clock")["message"]


def test_a_folder_that_cannot_be_written_is_found(folder: Path) -> None:
    (folder / "file").write_text("x", encoding="utf-8")
    result = run(folder / "file", "--json")
    assert (result.exit_code, found(result, "data")["verdict"]) == (1, "wrong")
    assert "--data" in found(result, "data")["message"]


def test_a_port_that_is_taken_is_found(folder: Path) -> None:
    taken = bind("127.0.0.1", 0)
    result = run(folder, "--json", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    taken.close()
    assert "--listen" in found(result, "port")["message"]


def test_an_open_address_needs_a_token(folder: Path) -> None:
    assert found(run(folder, "--json", "--listen", "0.0.0.0:0"), "access")["verdict"] == "wrong"
    CliRunner().invoke(group, ["token", "create", "--scope", "admin", "--data", str(folder)])
    assert found(run(folder, "--json", "--listen", "0.0.0.0:0"), "access")["verdict"] == "ok"


def test_a_registry_that_is_newer_or_damaged_is_found(folder: Path) -> None:
    SqlRegistry(sqlite_url(folder / "registry.db")).close()
    assert found(run(folder, "--json"), "registry")["message"] == "0 models, 0 versions"
    with sqlite3.connect(folder / "registry.db") as database:
        database.execute("UPDATE registry_state SET schema_version = 999")
    database.close()
    assert "schema version 999" in found(run(folder, "--json"), "registry")["message"]


def test_what_is_not_installed_is_named_with_its_use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "EXTRAS", {"arrow": ("no-such-package", "Parquet")})
    said = found(run(folder, "--json"), "[arrow]")
    assert said == {
        "what": "[arrow]", "verdict": "note",
        "message": 'not installed: Parquet. pip install "wsgi-service[arrow]"',
    }  # fmt: skip


def test_a_setting_that_cannot_be_used_is_said(folder: Path) -> None:
    refused = run(folder, "--threads", "1")
    assert (refused.exit_code, "threads must be greater" in refused.output) == (2, True)
