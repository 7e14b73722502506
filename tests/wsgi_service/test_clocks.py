"""Clocks that are set: what is of the future goes on to age, and what waits is timed by what has passed."""

import os
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from running import Running, until
from test_strictness import HOST, sent, status_of

from model_store.artifacts.local import LocalArtifacts
from model_store.catalog import ORPHAN_AGE
from wsgi_service.hosts.pool import HostPool
from wsgi_service.monitoring.prediction_log import BEGUN, Files
from wsgi_service.server import loop

YEAR = 365 * 86400.0


def of_the_future(path: Path) -> None:
    os.utime(path, (time.time() + YEAR, time.time() + YEAR))


def test_a_temporary_file_of_the_future_is_swept_when_it_has_aged_and_not_while_it_is_used(tmp_path: Path) -> None:
    artifacts = LocalArtifacts(tmp_path)
    staged = artifacts.stage([b"bytes"])
    of_the_future(staged.path)
    artifacts.sweep_staged(ORPHAN_AGE)
    assert staged.path.is_file()
    os.utime(staged.path, (time.time() - ORPHAN_AGE - 1,) * 2)
    artifacts.sweep_staged(ORPHAN_AGE)
    assert not staged.path.exists()
    again = artifacts.stage([b"bytes"])
    of_the_future(again.path)
    assert artifacts.staged(ORPHAN_AGE) == []
    assert again.path.stat().st_mtime <= time.time()  # it ages from now on
    artifacts.keep(again)
    of_the_future(artifacts.path(again.digest))
    assert artifacts.digests(ORPHAN_AGE) == []
    assert artifacts.digests(-1.0) == [again.digest]
    artifacts.verify(again.digest)


def named(begun: datetime) -> str:
    return f"{begun.strftime(BEGUN)}-1.ndjson"


def test_a_prediction_log_of_the_future_goes_like_others(tmp_path: Path) -> None:
    present = datetime.now(UTC)
    for days in (400, 0.5, -1, -40):
        (tmp_path / named(present + timedelta(days=days))).write_bytes(b"x" * 10)
    Files(tmp_path, limit=1_000, days=30).sweep()
    begun = sorted(path.name for path in tmp_path.iterdir())
    assert [name for name in begun if name > named(datetime.now(UTC))] == [named(present + timedelta(days=0.5))]
    assert len(begun) == 3
    Files(tmp_path, limit=20, days=30).sweep()
    assert named(present + timedelta(days=-1)) not in {path.name for path in tmp_path.iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open keeps its name")
def test_a_log_goes_on_when_the_clock_goes_back_while_it_is_written(tmp_path: Path) -> None:
    files = Files(tmp_path, limit=1_000_000, days=30)
    files.append(b"1\n")
    (written,) = tmp_path.iterdir()
    written.rename(tmp_path / named(datetime.now(UTC) + timedelta(days=400)))
    files.sweep()
    files.append(b"2\n")
    files.close()
    assert b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir())) == b"1\n2\n"


@pytest.mark.parametrize("moved", [-YEAR, YEAR])
def test_connections_are_looked_after_by_the_time_that_has_passed(
    pool: HostPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: float
) -> None:
    """A clock that is set neither ends those that are in use nor keeps the server from looking after them."""
    running = Running(tmp_path, pool, acceleration="off")
    try:
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            looks: list[float] = []
            whole = running.server._watch
            monkeypatch.setattr(running.server, "_watch", lambda: (looks.append(0.0), whole()))
            truth = time.time
            monkeypatch.setattr(loop.time, "time", lambda: truth() + moved)
            until(lambda: len(looks) > 1)
            connection.sendall(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert (
            status_of(sent(running, b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")) == b"200"
        )
    finally:
        monkeypatch.undo()
        running.stop()
