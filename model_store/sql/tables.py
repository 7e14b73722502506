"""The tables of the SQL registry, and the steps that bring an older database up to them."""

from collections.abc import Callable

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)

metadata = MetaData()

#: One row: which of MIGRATIONS have been applied, and how often the registry was changed.
state = Table(
    "registry_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    # 1 once somebody deleted the alias `live` by hand: then it does not come back by itself.
    Column("live_deleted", Integer, nullable=False, default=0),
)

versions = Table(
    "versions",
    metadata,
    Column("model", String(64), ForeignKey("models.name"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("size", Integer, nullable=False),
    Column("facts", JSON, nullable=False),
    # The safety report of the upload; null for versions of releases that made none.
    Column("safety", JSON),
    Column("class_names", JSON),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Index("versions_by_digest", "digest"),
)

#: Version numbers that were deleted. They outlive their model, so that a number never means two things.
retired = Table(
    "retired_versions",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
)

aliases = Table(
    "aliases",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("updated_at", String(32), nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("request_id", String(128), nullable=False),
    Column("action", String(32), nullable=False),
    Column("model", String(64), nullable=False),
    Column("version", Integer),
    Column("alias", String(64)),
    Column("before", JSON),
    Column("after", JSON),
    Index("events_by_model", "model", "id"),
)


def create_tables(connection: Connection) -> None:
    """Step 1: the tables of the first release."""
    metadata.create_all(connection)  # in the form of today, so later steps find what they add
    connection.execute(insert(state).values(id=1, schema_version=0, revision=0))


def add_safety(connection: Connection) -> None:
    """Step 2: the safety report of each version."""
    if "safety" not in {column["name"] for column in inspect(connection).get_columns(versions.name)}:
        connection.execute(text(f"ALTER TABLE {versions.name} ADD COLUMN safety JSON"))


#: Applied in order, each once, all in one transaction. A step is never changed after its release.
MIGRATIONS: tuple[Callable[[Connection], None], ...] = (create_tables, add_safety)


def migrate(connection: Connection) -> None:
    """Bring the database up to the newest schema version, inside the caller's transaction.

    Raises:
        RuntimeError: the database was written by a newer release than this one.
    """
    applied = _schema_version(connection)
    if applied > len(MIGRATIONS):
        raise RuntimeError(
            f"The registry has schema version {applied}; this release knows up to {len(MIGRATIONS)}. "
            "Start the release that wrote it, or a newer one."
        )
    for step in MIGRATIONS[applied:]:
        step(connection)
    if applied < len(MIGRATIONS):
        connection.execute(update(state).values(schema_version=len(MIGRATIONS)))


def _schema_version(connection: Connection) -> int:
    if not inspect(connection).has_table(state.name):
        return 0
    return int(connection.execute(select(state.c.schema_version)).scalar_one())
