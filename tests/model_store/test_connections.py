"""No connection to the registry stays open behind its close."""

import gc
import sqlite3
from pathlib import Path

import pytest

from model_store.entities import Attribution, Model
from model_store.sql.registry import SqlRegistry, sqlite_url

pytestmark = pytest.mark.system

BY = Attribution("ann", "request-1")


def open_connections(path: Path) -> int:
    """How many connections of this process have the database open."""
    return sum(path.name in files(thing) for thing in gc.get_objects() if isinstance(thing, sqlite3.Connection))


def files(connection: sqlite3.Connection) -> str:
    try:
        return str(connection.execute("PRAGMA database_list").fetchall())
    except sqlite3.ProgrammingError:  # it is closed
        return ""


def test_a_connection_in_use_is_closed_when_it_comes_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "registry-that-is-closed.db"
    registry = SqlRegistry(sqlite_url(path))
    assert open_connections(path) == 1
    seen: list[int] = []

    def close_meanwhile(point: str) -> None:
        if point == "before_commit":
            registry.close()
            seen.append(open_connections(path))

    monkeypatch.setattr("model_store.sql.transactions.reach", close_meanwhile)
    registry.create_model(Model(name="iris"), BY)
    assert seen == [1]
    assert registry.model("iris").created_at
    assert open_connections(path) == 0


def test_a_registry_that_does_not_open_leaves_no_connection(folder: Path) -> None:
    path = folder / "registry-of-tomorrow.db"
    SqlRegistry(sqlite_url(path)).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE registry_state SET schema_version = 999")
    database.close()
    with pytest.raises(RuntimeError):
        SqlRegistry(sqlite_url(path))
    assert open_connections(path) == 0
