"""The Windows service, in the hands of the service control manager; elsewhere, that it says what it needs."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import models
import pytest
from click.testing import CliRunner, Result
from conftest import PATIENCE

from wsgi_service.cli import group
from wsgi_service.commands import service
from wsgi_service.commands.service import arguments_of
from wsgi_service.server.listening import bind

pytestmark = [pytest.mark.system, pytest.mark.extras]

on_windows = pytest.mark.skipif(sys.platform != "win32", reason="there is no service control manager")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["service", *arguments])


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a service, which is removed in the end."""
    chosen = f"wsgi-service-test-{uuid.uuid4().hex[:8]}"
    yield chosen
    removed = run("remove", "--name", chosen)
    assert removed.exit_code == 0 or "There is no service" in removed.output, removed.output


def free_port() -> int:
    listener = bind("127.0.0.1", 0)
    port = int(listener.getsockname()[1])
    listener.close()
    return port


def ask(port: int, path: str, body: bytes, type_: str, method: str = "POST") -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": type_}, method=method
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read())


def predict(port: int) -> Any:
    return ask(port, "/models/line/predict", b'{"instances": [[2.0]]}', "application/json")["predictions"]


@on_windows
@pytest.mark.live
def test_a_service_is_installed_serves_stops_serves_again_and_is_removed(folder: Path, name: str) -> None:
    port = free_port()
    flags = ["--data", str(folder), "--listen", f"127.0.0.1:{port}", "--acceleration", "off"]
    installed = run("install", "--name", name, *flags, "--startup-limit", "240")
    assert installed.exit_code == 0, installed.output
    assert f"data     {folder}" in installed.output
    assert f"account  NT SERVICE\\{name}" in installed.output
    assert "stopped" in run("status", "--name", name).output
    started = run("start", "--name", name)
    assert started.exit_code == 0, started.output
    assert "running (pid " in run("status", "--name", name).output
    upload = models.skops_bytes(models.line())
    ask(port, "/models/line/versions/1", upload, "application/octet-stream", "PUT")
    first = predict(port)
    assert "is running already" in run("start", "--name", name).output
    stopped = run("stop", "--name", name)
    assert stopped.exit_code == 0, stopped.output
    assert "is not running" in run("stop", "--name", name).output
    with pytest.raises(urllib.error.URLError):
        predict(port)
    again = run("restart", "--name", name)
    assert again.exit_code == 0, again.output
    assert predict(port) == first
    removed = run("remove", "--name", name)
    assert removed.exit_code == 0, removed.output
    assert "There is no service" in run("status", "--name", name).output
    log = (folder / "logs" / "wsgi-service.log").read_text(encoding="utf-8")
    assert log.count("stopping: ") == 2
    assert "ERROR" not in log


@on_windows
@pytest.mark.live
def test_a_service_that_cannot_serve_says_so_and_where_the_cause_is(folder: Path, name: str) -> None:
    taken = bind("127.0.0.1", 0)
    try:
        flags = ["--data", str(folder), "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]
        assert run("install", "--name", name, *flags).exit_code == 0
        failed = run("start", "--name", name)
    finally:
        taken.close()
    assert failed.exit_code == 1
    assert "Get-WinEvent" in failed.output
    assert "Traceback" not in failed.output


@on_windows
def test_what_is_wrong_is_said_before_anything_is_installed(name: str) -> None:
    for flags, words in (
        (["--data", "var"], "must be an absolute path"),
        (["--listen", "nowhere"], "HOST:PORT"),
        (["--listen", "0.0.0.0:80"], "token create"),
    ):
        refused = run("install", "--name", name, *flags)
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.split())
    assert "There is no service" in run("status", "--name", name).output


@on_windows
def test_only_the_control_manager_can_run_a_service(folder: Path) -> None:
    line = [sys.executable, "-m", "wsgi_service", "service", "run", "--data", str(folder)]
    refused = subprocess.run(line, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (refused.returncode, "Only Windows starts this" in refused.stderr) == (1, True)


@pytest.mark.skipif(sys.platform == "win32", reason="there are such services")
@pytest.mark.parametrize("command", ["install", "start", "stop", "restart", "status", "remove"])
def test_elsewhere_it_says_what_to_use(command: str) -> None:
    refused = run(command)
    assert (refused.exit_code, "wsgi-service systemd unit" in refused.output) == (1, True)


def test_without_pywin32_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.os, "name", "nt")
    monkeypatch.setattr(service, "find_spec", lambda _name: None)
    assert 'pip install "wsgi-service[windows]"' in run("status").output


def test_the_flags_of_an_installation_are_those_of_its_process() -> None:
    flags = {
        "data": r"C:\Models and more",
        "insecure": True,
        "threads": 8,
        "allow_pickle": None,
        "token_for_reads": False,
    }
    assert arguments_of(flags) == ["--data", r"C:\Models and more", "--insecure", "--threads", "8"]


def test_the_data_folder_is_in_programdata_unless_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "Path", PureWindowsPath)
    found = service.data_folder(None, {"PROGRAMDATA": r"D:\Data"})
    assert str(found) == r"D:\Data\wsgi-service"
    assert str(service.data_folder(None, {})) == r"C:\ProgramData\wsgi-service"
