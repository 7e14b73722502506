"""The tables of the SQL registry; `migrations.py` brings an older database up to them."""

from sqlalchemy import (
    JSON,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

#: One row: which of `migrations.STEPS` have been applied, and how often the registry was changed.
state = Table(
    "registry_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    # What tells this store from others, so that a backup of one is never written over another's.
    Column("store", String(32), nullable=False, server_default=""),
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
    # What came of accelerating it, the digest of the program that is proven, and the engine chosen by hand.
    Column("acceleration", JSON),
    Column("program", String(80)),
    Column("pinned", String(8)),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Index("versions_by_digest", "digest"),
    Index("versions_by_program", "program"),
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

#: Rows and expected outputs, as `examples.Examples`.
examples = Table(
    "examples",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content", JSON, nullable=False),
)

#: The last reports about moving an alias to a version, as `checks.Checks`.
checks = Table(
    "checks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("report", JSON, nullable=False),
    Index("checks_by_version", "model", "version", "id"),
)

#: Uploads that came with an Idempotency-Key, and what they were answered with.
answered = Table(
    "answered_uploads",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("fingerprint", String(80), nullable=False),
    Column("answer", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
)

#: Who may do what; revoked ones stay, so that a server that once had tokens never is open to everybody again.
tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("models", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32)),
    Column("revoked_at", String(32)),
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
    Column("reason", Text),
    # The hash of the model's event before this one, and this event's own: see `chain.py`.
    Column("previous", String(80)),
    Column("hash", String(80), nullable=False, server_default=""),
    Index("events_by_model", "model", "id"),
)
