"""The registry in a SQL database: SQLite beside the blobs, or a server named by a URL."""

from model_store.sql.aliases import AliasTransactions
from model_store.sql.evidence import EvidenceTransactions
from model_store.sql.history import HistoryTransactions
from model_store.sql.models import ModelTransactions
from model_store.sql.versions import VersionTransactions


class SqlRegistry(
    ModelTransactions, VersionTransactions, AliasTransactions, EvidenceTransactions, HistoryTransactions
):
    """A `Registry` over SQLAlchemy Core. Safe to use from many threads and processes.

    Args:
        url: a SQLAlchemy URL, for example `sqlite:///var/registry.db`.
    """
