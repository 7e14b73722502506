"""The statements about uploads that came with a key, and what they were answered with."""

import msgspec
from sqlalchemy import Connection, delete, insert, select

from model_store.entities import UploadKey, Version, now
from model_store.errors import KeyReused
from model_store.sql.tables import answered


def find(connection: Connection, key: UploadKey) -> Version | None:
    """The version that an upload with this key was answered with. Raises KeyReused."""
    row = connection.execute(select(answered).where(answered.c.key == key.key)).first()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint:
        raise KeyReused("This Idempotency-Key was used for another upload. Choose a new one for a new upload.")
    return msgspec.convert(row.answer, Version)


def keep(connection: Connection, key: UploadKey, version: Version) -> None:
    """Remember what an upload was answered with."""
    values = {"key": key.key, "fingerprint": key.fingerprint, "answer": msgspec.to_builtins(version)}
    connection.execute(insert(answered).values(**values, created_at=now()))


def forget_model(connection: Connection, model: str) -> None:
    """Forget the answers of uploads to a model that is being deleted."""
    connection.execute(delete(answered).where(answered.c.key.startswith(f"{model} ", autoescape=True)))


def forget(connection: Connection, before: str, after: str) -> None:
    """Forget the answers of uploads from before a moment, or from after another one, when the clock was ahead."""
    connection.execute(delete(answered).where((answered.c.created_at < before) | (answered.c.created_at > after)))
