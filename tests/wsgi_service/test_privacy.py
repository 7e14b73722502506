"""The data folder is its user's alone, whatever the umask says, and also where an earlier release made it."""

import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import pytest
from conftest import StrictClient

from model_store.backup import backup, restore
from wsgi_service.app import create_app
from wsgi_service.hosts.pool import HostPool
from wsgi_service.processes.diagnosis import diagnose
from wsgi_service.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the access list of the folder decides")
LINE = models.skops_bytes(models.line())


@contextmanager
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def shown(folder: Path) -> dict[str, int]:
    """What others may do with what is in a folder: only what they may anything with."""
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}
    return {name: mode for name, mode in modes.items() if mode & 0o077}


def use(folder: Path, pool: HostPool) -> None:
    """Have a server store, predict, log in, and log out."""
    app = create_app(Settings(data=str(folder), token="open", prediction_log="*=1", acceleration="off"), pool)
    client = StrictClient(validator(app))
    owner = {"Authorization": "Bearer open"}
    assert client.put("/models/line/versions/1", data=LINE, headers=owner).status_code in (200, 201)
    assert client.post("/predict", json={"instances": [[1.0]]}).status_code == 200
    assert client.post("/ui/login", data={"token": "open"}).status_code == 303
    assert client.post("/ui/logout", data={}).status_code == 303
    app._predictions.close()
    app.catalog.registry.close()


def privacy(folder: Path) -> list[tuple[str, str]]:
    found = diagnose(Settings(data=str(folder), listen="127.0.0.1:0"))
    return [(finding.verdict, finding.message) for finding in found if finding.what == "privacy"]


def test_whatever_a_server_makes_is_its_users_alone_whatever_the_umask(tmp_path: Path, pool: HostPool) -> None:
    folder = tmp_path / "new" / "data"
    with open_to_all():
        use(folder, pool)
        assert sorted(path.name for path in folder.iterdir()) == [
            "blobs", "predictions", "registry.db", "session.key", "sessions", "tmp",
        ]  # fmt: skip
        assert shown(folder) == {}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        backup(folder, tmp_path / "copy", lambda *_: None)
        restore(tmp_path / "copy", tmp_path / "again", lambda *_: None)
    for place in (tmp_path / "copy", tmp_path / "again"):
        assert shown(place).keys() <= {"BACKUP"}
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_the_journal_is_as_private_as_the_registry(tmp_path: Path, pool: HostPool) -> None:
    with open_to_all():
        app = create_app(Settings(data=str(tmp_path), acceleration="off"), pool)
        app.catalog.registry.close()
        with closing(sqlite3.connect(tmp_path / "registry.db")) as database:
            database.execute("UPDATE registry_state SET revision = revision + 1")
            assert (tmp_path / "registry.db-journal").is_file()
            assert shown(tmp_path) == {}


def test_what_an_earlier_release_made_is_tightened_at_the_start(
    tmp_path: Path, pool: HostPool, caplog: pytest.LogCaptureFixture
) -> None:
    use(tmp_path, pool)
    for path in tmp_path.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    tmp_path.chmod(0o755)
    own, outside = tmp_path / "notes.txt", tmp_path.parent / "outside"
    for path in (own, outside):
        path.touch()
        path.chmod(0o644)
    (tmp_path / "blobs" / "link").symlink_to(outside)
    ((verdict, message),) = privacy(tmp_path)
    assert (verdict, "chmod" in message) == ("wrong", True)
    caplog.set_level("INFO", "wsgi_service.processes.privacy")
    use(tmp_path, pool)
    assert shown(tmp_path).keys() == {"notes.txt", "blobs/link"}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, own, outside)] == [0o755, 0o644, 0o644]
    assert "cannot any more" in caplog.text
    assert privacy(tmp_path)[0][0] == "ok"
    caplog.clear()
    use(tmp_path, pool)
    assert caplog.text == ""


def test_a_folder_that_was_there_is_neither_loosened_nor_tightened(tmp_path: Path, pool: HostPool) -> None:
    for name, mode in (("strict", 0o700), ("shared", 0o750)):
        (tmp_path / name).mkdir(mode)
        with open_to_all():
            use(tmp_path / name, pool)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


def test_what_cannot_be_tightened_keeps_no_server_from_starting(
    tmp_path: Path, pool: HostPool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(tmp_path, pool)
    (tmp_path / "registry.db").chmod(0o644)

    def refuse(_path: Path, _mode: int, **_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    caplog.set_level("WARNING", "wsgi_service.processes.privacy")
    use(tmp_path, pool)
    assert "is not its user's alone: Operation not permitted" in caplog.text
