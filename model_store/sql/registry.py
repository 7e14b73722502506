"""The registry in a SQL database: SQLite beside the blobs, or a server named by a URL."""

from pathlib import Path

from sqlalchemy import URL

from model_store.sql.aliases import AliasTransactions
from model_store.sql.evidence import EvidenceTransactions
from model_store.sql.history import HistoryTransactions
from model_store.sql.models import ModelTransactions
from model_store.sql.tokens import TokenTransactions
from model_store.sql.versions import VersionTransactions


def sqlite_url(path: Path) -> str:
    """The URL of a database file, whatever characters its path has."""
    return URL.create("sqlite", database=path.resolve().as_posix()).render_as_string()


class SqlRegistry(
    ModelTransactions,
    VersionTransactions,
    AliasTransactions,
    EvidenceTransactions,
    HistoryTransactions,
    TokenTransactions,
):
    """A `Registry` over SQLAlchemy Core. Safe to use from many threads and processes.

    Args:
        url: a SQLAlchemy URL, for example `sqlite:///var/registry.db`.
        as_it_is: do not bring the database up to date, and refuse one that is not. Raises RuntimeError.
    """
