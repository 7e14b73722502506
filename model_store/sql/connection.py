"""How the SQL registry talks to its database: connections, transactions, and errors in the domain's words."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from model_store.errors import StorageBusy, StorageError, StorageFailed, StorageFull

#: Seconds a writer waits for another one before it gives up.
BUSY_TIMEOUT = 15.0
#: Seconds that a start waits for another process's migration.
MIGRATION_PATIENCE = 600.0
#: Connections that are kept open: as many as there are threads by default.
POOL_SIZE = 32


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


#: Descriptions of versions are most of what is read; this reads them twice as fast as the standard library.
JSON: dict[str, Any] = {"json_serializer": _to_json, "json_deserializer": msgspec.json.decode}


def open_engine(url: str) -> Engine:
    """An engine whose transactions begin as `reading` and `writing` want them to."""
    if not url.startswith("sqlite"):
        return create_engine(url, **JSON)
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        pool_size=POOL_SIZE,
        **JSON,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver would begin transactions late and by itself; _begin_sqlite does it instead.
    connection.isolation_level = None
    # A rollback journal, because the bug that can lose a write-ahead log is only fixed in SQLite 3.51.3.
    for pragma in ("journal_mode = DELETE", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once when another writer came in between.
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reading; what it reads is one consistent state. Fetch everything before leaving."""
    with _domain_errors(), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that holds the write lock from its beginning and commits at the end."""
    with (
        _domain_errors(),
        engine.connect().execution_options(write=True) as connection,
        connection.begin(),
    ):
        yield connection


def write_patiently(engine: Engine, work: Callable[[Connection], None]) -> None:
    """Do work in a write transaction, waiting long for it: another process may be at a long migration."""
    until = time.monotonic() + MIGRATION_PATIENCE
    while True:
        try:
            with writing(engine) as connection:
                return work(connection)
        except StorageBusy:
            if time.monotonic() > until:
                raise


def database_flaws(connection: Connection) -> list[str]:
    """What the database finds wrong with itself, where it can look."""
    if connection.dialect.name != "sqlite":
        return []
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check").all()]
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [f"SQLite says: {line}" for line in found if line != "ok"] + [
        f"A row of {row[0]} refers to a row of {row[2]} that is not there." for row in lost
    ]


@contextmanager
def _domain_errors() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise StorageBusy("The registry is busy. Nothing was changed; try again.") from error
    except OperationalError as error:
        raise _translate(str(error.orig)) from error
    except DBAPIError as error:
        raise StorageError("The registry's database refused the operation.") from error


def _translate(message: str) -> StorageError:
    if "locked" in message or "busy" in message:
        return StorageBusy("The registry is busy with other changes. Nothing was changed; try again.")
    if "full" in message:
        return StorageFull("No space is left where the registry lies. Nothing was changed.")
    if "disk I/O" in message or "readonly" in message:
        return StorageFailed("The registry's database cannot be written. Nothing was changed.")
    return StorageError("The registry's database cannot be used at the moment. Nothing was changed.")
