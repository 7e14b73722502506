"""What every transaction of the SQL registry stands on: the engine, the listeners, and the revision."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event, func, select, update
from sqlalchemy.pool import ConnectionPoolEntry

from model_store.failpoints import reach
from model_store.sql import tables
from model_store.sql.connection import database_flaws, open_engine, reading, write_patiently, writing
from model_store.sql.migrations import check_current, migrate

versions, state = tables.versions, tables.state

#: A statement holds a bounded number of values, and a long transaction keeps others waiting.
RELEASED_AT_ONCE = 500


def _close(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.close()


class Transactions:
    """See `Registry`."""

    def __init__(self, url: str, as_it_is: bool = False) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._engine = open_engine(url)
        try:
            self._prepare(as_it_is)
        except BaseException:
            self._engine.dispose()
            raise

    def _prepare(self, as_it_is: bool) -> None:
        if as_it_is:
            with reading(self._engine) as connection:
                check_current(connection)
        else:
            write_patiently(self._engine, migrate)

    def close(self) -> None:
        """Close the pooled connections now, and each one that another thread still uses when it is done."""
        event.listen(self._engine, "checkin", _close)
        self._engine.dispose()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """See `Registry`."""
        self._listeners.append(listener)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction; the listeners hear of it when it is committed."""
        with writing(self._engine) as connection:
            yield connection
            reach("before_commit")
        reach("after_commit")
        for listener in self._listeners:
            listener()

    def revision(self) -> int:
        """See `Registry`."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(state.c.revision)).scalar_one())

    def flaws(self) -> list[str]:
        """See `Registry`."""
        with reading(self._engine) as connection:
            found = database_flaws(connection)
            counted = connection.execute(select(func.count()).select_from(tables.events)).scalar_one()
            changes = connection.execute(select(state.c.revision)).scalar_one()
        if counted != changes:
            found.append(f"There were {changes} changes, but the histories have {counted} events.")
        return found

    def probe(self) -> None:
        """See `Registry`."""
        with writing(self._engine) as connection:
            connection.execute(update(state).values(revision=state.c.revision))
            connection.rollback()  # that it could be written is the proof

    def release(self, digests: Collection[str], unlink: Callable[[str], None]) -> None:
        """See `Registry`."""
        ordered = sorted(digests)
        for start in range(0, len(ordered), RELEASED_AT_ONCE):
            some = ordered[start : start + RELEASED_AT_ONCE]
            with writing(self._engine) as connection:
                for digest in set(some) - _held(connection, some):
                    unlink(digest)


def _held(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of the digests that a version needs."""
    needed = (select(column).where(column.in_(digests)) for column in (versions.c.digest, versions.c.program))
    return {digest for query in needed for digest in connection.execute(query.distinct()).scalars()}
