"""The steps that bring a database up to the tables of today: small functions, applied in order."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import JSON, Column, Connection, String, Text, bindparam, insert, inspect, select, text, update
from sqlalchemy.schema import CreateColumn

from model_store.chain import hash_of
from model_store.entities import Event
from model_store.sql import released
from model_store.sql.tables import events, state

#: Events that are joined to the chain with one statement.
LINKED_AT_ONCE = 5000
#: The columns of the first releases' events.
EVENTS_THEN = ("id", "at", "actor", "request_id", "action", "model", "version", "alias", "before", "after")


def create_tables(connection: Connection) -> None:
    """Step 1: the tables of the first release."""
    released.first.create_all(connection)
    row = {"id": 1, "schema_version": 0, "revision": 0}
    connection.execute(insert(released.first.tables["registry_state"]).values(row))


def add_safety(connection: Connection) -> None:
    """Step 2: the safety report of each version."""
    _add_columns(connection, "versions", Column("safety", JSON))


def _chain_history(connection: Connection) -> None:
    """Give each event the hash of the one before."""
    no_hash = Column("hash", String(80), nullable=False, server_default="")
    _add_columns(connection, "events", Column("reason", Text), Column("previous", String(80)), no_hash)
    last: dict[str, str] = {}
    columns = [events.c[name] for name in EVENTS_THEN]
    link = (
        update(events)
        .where(events.c.id == bindparam("its_id"))
        .values(previous=bindparam("link_before"), hash=bindparam("link_own"))
    )
    done = 0
    while rows := connection.execute(
        select(*columns).where(events.c.id > done).order_by(events.c.id).limit(LINKED_AT_ONCE)
    ).all():
        connection.execute(link, [_link(Event(**row._mapping), last) for row in rows])
        done = rows[-1].id


def _link(event: Event, last: dict[str, str]) -> dict[str, Any]:
    """The values that join an event to the last one of its model, which it becomes itself."""
    before = last.get(event.model)
    last[event.model] = hash_of(msgspec.structs.replace(event, previous=before))
    return {"its_id": event.id, "link_before": before, "link_own": last[event.model]}


def add_evidence(connection: Connection) -> None:
    """Step 3: examples, reports of checks, answered uploads; reasons and a chain of events; the store's id."""
    _add_columns(connection, "registry_state", Column("store", String(32), nullable=False, server_default=""))
    connection.execute(update(state).values(store=uuid.uuid4().hex))
    _chain_history(connection)
    released.evidence.create_all(connection, checkfirst=False)


def add_acceleration(connection: Connection) -> None:
    """Step 4: proven programs, and engines that were chosen."""
    program = Column("program", String(80)), Column("pinned", String(8))
    _add_columns(connection, "versions", Column("acceleration", JSON), *program)
    connection.execute(text("CREATE INDEX versions_by_program ON versions (program)"))


def add_tokens(connection: Connection) -> None:
    """Step 5: tokens."""
    released.tokens.create_all(connection, checkfirst=False)


FOREIGN = "The database is empty, or holds something else than a registry."
#: Applied in order, each once, all in one transaction. A step is never changed after its release.
STEPS: tuple[Callable[[Connection], None], ...] = (
    create_tables,
    add_safety,
    add_evidence,
    add_acceleration,
    add_tokens,
)


def migrate(connection: Connection) -> None:
    """Bring the database up to the newest schema version, inside the caller's transaction.

    Raises:
        RuntimeError: the database was written by a newer release than this one, or holds something else.
    """
    applied = _schema_version(connection)
    if applied > len(STEPS):
        raise RuntimeError(
            f"The registry has schema version {applied}; this release knows up to {len(STEPS)}. "
            "Start the release that wrote it, or a newer one."
        )
    if applied == 0 and inspect(connection).get_table_names():
        raise RuntimeError(FOREIGN)
    for step in STEPS[applied:]:
        step(connection)
    if applied < len(STEPS):
        connection.execute(update(state).values(schema_version=len(STEPS)))


def check_current(connection: Connection) -> None:
    """Raises RuntimeError unless the database has the newest schema version."""
    applied = _schema_version(connection)
    if applied == 0:
        raise RuntimeError(FOREIGN)
    if applied != len(STEPS):
        raise RuntimeError(
            f"The registry has schema version {applied}, and this release works with {len(STEPS)}. "
            "A start of the server brings an older one up to date."
        )


def _add_columns(connection: Connection, table: str, *columns: Column[Any]) -> None:
    """Add columns to a table that was made before they were."""
    for column in columns:
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {definition}"))


def _schema_version(connection: Connection) -> int:
    if not inspect(connection).has_table(state.name):
        return 0
    return int(connection.execute(select(state.c.schema_version)).scalar_one())
