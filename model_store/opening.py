"""A data folder is opened: to be served and changed, or only to be looked at."""

from pathlib import Path

from model_store.artifacts.local import LocalArtifacts
from model_store.artifacts.private import make_file
from model_store.catalog import ORPHAN_AGE, Catalog
from model_store.environment import OnDrift
from model_store.errors import StorageError
from model_store.inspection import Inspector, LocalInspector
from model_store.sql.registry import SqlRegistry, sqlite_url

#: The file that the registry is in, in the data folder.
REGISTRY = "registry.db"
#: The file that says that a folder is a backup.
BACKUP_MARK = "BACKUP"


def look_at(folder: Path) -> Catalog:
    """The catalog in a folder that is only looked at, a backup too.

    Raises:
        RuntimeError: its registry is not of this release.
    """
    registry = SqlRegistry(sqlite_url(folder / REGISTRY), as_it_is=True)
    return Catalog(registry, LocalArtifacts(folder), LocalInspector())


def _has_registry(folder: Path) -> bool:
    path = folder / REGISTRY
    return path.is_file() and path.stat().st_size > 0


def open_catalog(folder: Path, inspector: Inspector | None = None, on_drift: OnDrift = "warn") -> Catalog:
    """The catalog in a data folder, which is created if it is not there.

    Raises:
        StorageError: it is a backup, or has artifacts without a registry.
    """
    if (folder / BACKUP_MARK).exists():
        raise StorageError(
            "This folder is a backup. Restore it to another one: wsgi-service restore BACKUP --data DIR"
        )
    artifacts = LocalArtifacts(folder)
    if not _has_registry(folder) and artifacts.digests(older_than=-ORPHAN_AGE):
        raise StorageError(
            "There are artifacts here, but the registry is missing or empty, and nothing says what they are. "
            "Restore the registry from a backup, or move the folder `blobs` away."
        )
    make_file(folder / REGISTRY)  # SQLite gives its journal the mode of the database
    registry = SqlRegistry(sqlite_url(folder / REGISTRY))
    return Catalog(registry, artifacts, inspector or LocalInspector(), on_drift)
