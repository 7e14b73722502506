"""Fixtures for all tests: one pool of model hosts, a service for each test, and the real command."""

import os

#: Before numpy is imported, and for all processes that tests start: threads of numbers would only spin for a core.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import json
import logging
import re
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import hypothesis
import models
import pytest
from sharing import pytest_addoption, pytest_collection_modifyitems, pytest_configure  # noqa: F401 - for pytest
from werkzeug.test import Client, TestResponse

from wsgi_service.app import Application, create_app
from wsgi_service.hosts import frames
from wsgi_service.hosts.isolation import starter, template_of
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.settings import Settings

# How long an example takes is the business of whatever else runs on this machine.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

#: A cold start of scikit-learn under wine takes up to 20 s for each of three processes at once.
PATIENCE = 180.0
#: Seconds for the log of a server that has ended to be read to its end.
LEFT_BEHIND = 10.0


class StrictClient(Client):
    """A client that reads and closes each answer, as the WSGI validator wants, and parses JSON strictly."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        kwargs.setdefault("buffered", True)
        response = super().open(*args, **kwargs)
        if "json" in (response.content_type or ""):
            lines = "ndjson" in response.content_type
            for document in response.data.splitlines() if lines else [response.data]:
                if document:
                    json.loads(document, parse_constant=_no_constants)
        return response

    def put_model(self, name: str, estimator: Any, number: int = 1, **fields: str) -> TestResponse:
        data = estimator if isinstance(estimator, bytes) else models.skops_bytes(estimator)
        return self.put(f"/models/{name}/versions/{number}", data=data, query_string=fields)


def _no_constants(token: str) -> None:
    raise AssertionError(f"an answer holds the token {token}, which is not JSON")


@pytest.fixture(scope="session")
def template() -> Iterator[str]:
    """The socket of what the hosts of all pools are forked from; empty where they are spawned."""
    made = template_of("fork")
    if made is None:
        yield ""
        return
    made.ensure()
    yield str(made.path)
    made.close()


@pytest.fixture(scope="session")
def pool(template: str) -> Iterator[HostPool]:
    """The model hosts of all tests that leave them alive."""
    hosts = HostPool(2, startup_limit=PATIENCE, starts=starter(template=template))
    hosts.start()
    assert hosts.wait_ready()
    yield hosts
    hosts.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder of one's own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        yield Path(path)


@pytest.fixture
def settings(folder: Path) -> Settings:
    return Settings(data=str(folder), startup_limit=PATIENCE)


@pytest.fixture
def app(settings: Settings, pool: HostPool) -> Iterator[Application]:
    service = create_app(settings, pool)
    yield service
    service.catalog.registry.close()


@pytest.fixture
def client(app: Application) -> StrictClient:
    return StrictClient(validator(app))


@pytest.fixture
def left_behind(folder: Path) -> Any:
    """What lies in the data folder besides the database: blobs and temporary files."""
    return lambda: sorted(
        str(path.relative_to(folder))
        for place in ("blobs", "tmp")
        for path in (folder / place).rglob("*")
        if path.is_file()
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each predict that a host was asked for."""
    rows: list[int] = []
    whole = Host.call

    def call(self: Host, request: Any, *more: Any) -> Any:
        if isinstance(request, frames.Predict):
            rows.append(request.table.rows)
        return whole(self, request, *more)

    monkeypatch.setattr(Host, "call", call)
    return rows


def watch(pid: int) -> Callable[[], bool]:
    """A way to wait for the end of a process that is not a child of this one."""
    if sys.platform == "win32":
        import ctypes

        kernel32 = ctypes.windll.kernel32
        process = kernel32.OpenProcess(0x100000, False, pid)
        return lambda: kernel32.WaitForSingleObject(process, int(PATIENCE * 1000)) == 0
    handle = os.fdopen(os.pidfd_open(pid))
    return lambda: bool(select.select([handle], [], [], PATIENCE)[0]) and not handle.close()


class LiveServer:
    """The real command in a process of its own."""

    def __init__(self, folder: Path, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        command = ["serve", "--listen", "127.0.0.1:0", "--data", str(folder), *flags]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wsgi_service", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ
            | {"PYTHONUTF8": "1", "WSGI_SERVICE_STARTUP_LIMIT": str(PATIENCE)}
            | (environment or {}),
        )
        self.log: list[str] = []
        self._logged = threading.Condition()
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.announced = self._read_announcement()
        match = re.search(r"http://([\d.]+):(\d+)", self.announced[-1])
        assert match, self.announced + self.log
        self.host, self.port = match[1], int(match[2])
        self.url = f"http://{self.host}:{self.port}"

    def _read_announcement(self) -> list[str]:
        lines = []
        assert self.process.stdout
        for line in self.process.stdout:
            lines.append(line.decode().rstrip())
            if lines[-1].startswith("address"):
                break
        return lines

    def _read_log(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:  # closed by whoever reads, since that may end long after the server
            for line in lines:
                with self._logged:
                    self.log.append(line.decode(errors="replace"))
                    self._logged.notify_all()

    def wait_for_log(self, *words: str) -> bool:
        """Wait for a line of the log that has all of these words; whether there is one."""
        with self._logged:
            return self._logged.wait_for(
                lambda: any(all(word in line for word in words) for line in self.log), PATIENCE
            )

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self._reader.join(LEFT_BEHIND)
        # Under wine a host that was being made when its server ended may stay, half made, and hold the pipe.
        if self.process.stdout:
            self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def live_server() -> Iterator[LiveServer]:
    """`wsgi-service serve` on a free port, with the iris model in it, for all tests that only speak to it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as path:
        server = LiveServer(Path(path), "--predict-limit", "1", "--upload-limit", "4", "--acceleration", "off")
        yield server
        server.stop()


@pytest.fixture
def start_server(folder: Path) -> Iterator[Any]:
    """A function that starts the real command; whatever it started is stopped at the end."""
    started: list[LiveServer] = []

    def start(*flags: str, **environment: str) -> LiveServer:
        started.append(LiveServer(folder, *flags, environment=environment))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(autouse=True)
def _unaccelerated(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads are not converted, so that estimators answer; tests about programs ask for `accelerating`."""
    if "accelerating" not in request.fixturenames:
        monkeypatch.setattr("wsgi_service.app.available", lambda: False)


@pytest.fixture
def accelerating() -> None:
    """Uploads are converted, as they are by default where the packages for it are installed."""
    pytest.importorskip("skl2onnx")


@pytest.fixture(autouse=True)
def _quiet_logs() -> None:
    logging.getLogger("wsgi_service").setLevel(logging.CRITICAL)
