"""The tables as earlier releases made them, for the steps in `migrations.py`. Nothing here is ever changed."""

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

#: The tables that step 1 makes.
first = MetaData()

Table(
    "registry_state",
    first,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
)
Table(
    "models",
    first,
    Column("name", String(64), primary_key=True),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("live_deleted", Integer, nullable=False),
)
Table(
    "versions",
    first,
    Column("model", String(64), ForeignKey("models.name"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("size", Integer, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("class_names", JSON),
    Column("description", Text),
    Column("tags", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
    Index("versions_by_digest", "digest"),
)
Table(
    "retired_versions",
    first,
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
)
Table(
    "aliases",
    first,
    Column("model", String(64), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("updated_at", String(32), nullable=False),
    ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
)
Table(
    "events",
    first,
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

#: Those of step 3.
evidence = MetaData()

Table(
    "examples",
    evidence,
    Column("model", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("content", JSON, nullable=False),
)
Table(
    "checks",
    evidence,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("report", JSON, nullable=False),
    Index("checks_by_version", "model", "version", "id"),
)
Table(
    "answered_uploads",
    evidence,
    Column("key", String(400), primary_key=True),
    Column("fingerprint", String(80), nullable=False),
    Column("answer", JSON, nullable=False),
    Column("created_at", String(32), nullable=False),
)

#: That of step 5.
tokens = MetaData()

Table(
    "tokens",
    tokens,
    Column("id", String(16), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("models", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32)),
    Column("revoked_at", String(32)),
)
