"""A copy of a whole store, made while it is in use, and the way back."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from model_store.artifacts.local import LocalArtifacts
from model_store.artifacts.private import make_file, make_folder
from model_store.errors import ArtifactCorrupt, StorageError
from model_store.opening import BACKUP_MARK, REGISTRY

CHUNK = 1 << 20
#: How often the registry is copied anew because versions were deleted while their bytes were copied.
ATTEMPTS = 5
#: What SQLite keeps beside a database, and would apply to another one of the same name.
JOURNALS = tuple(f"{REGISTRY}-{kind}" for kind in ("journal", "wal", "shm"))
DIGESTS = "SELECT DISTINCT digest, size FROM versions ORDER BY digest"
PROGRAMS = (
    "SELECT DISTINCT program, json_extract(acceleration, '$.program.size') FROM versions "
    "WHERE program IS NOT NULL ORDER BY program"
)
STORE = "SELECT store FROM registry_state"
MARK = "A backup of the store {}. `wsgi-service restore` copies it to a data folder; nothing else may change it.\n"

Tell = Callable[[int, int], None]


class NotCopied(StorageError):
    """The copy was not made."""


def backup(folder: Path, target: Path, tell: Tell) -> list[str]:
    """Copy the store in `folder` to `target`.

    An earlier backup of the same store is brought up to date: only what it does not have is copied.

    Args:
        folder: the data folder; servers may be at work in it.
        target: a new or empty folder, or an earlier backup of this store.
        tell: told after each blob how many bytes are done, and how many there are.

    Returns:
        The digests of blobs that are damaged or cannot be read, which the copy therefore does not have.

    Raises:
        NotCopied: there is no store in `folder`, or `target` is anything else.
    """
    store = _store_in(folder)
    _check_apart(folder, target)
    if not _is_empty(target) and not (target / BACKUP_MARK).is_file():
        raise NotCopied(f"{target} is neither empty nor a backup.")
    if (target / REGISTRY).is_file() and _store_in(target) != store:
        raise NotCopied(f"{target} is the backup of another store.")
    make_folder(target)
    (target / BACKUP_MARK).write_text(MARK.format(store), encoding="utf-8")
    return _copy(folder, target, tell)


def restore(source: Path, folder: Path, tell: Tell) -> list[str]:
    """Copy a backup to a data folder that has no registry yet; otherwise like `backup`."""
    _store_in(source)
    _check_apart(source, folder)
    for name in (REGISTRY, *JOURNALS):
        if (folder / name).exists():
            raise NotCopied(f"{folder / name} is there already. Move it away first, or name another folder.")
    return _copy(source, folder, tell)


def _copy(source: Path, target: Path, tell: Tell) -> list[str]:
    blobs, copies = LocalArtifacts(source), LocalArtifacts(target)
    snapshot = target / f"{REGISTRY}.new"
    try:
        wanted, lost = _copy_all(source, snapshot, blobs, copies, tell)
        for name in JOURNALS:
            (target / name).unlink(missing_ok=True)
        snapshot.replace(target / REGISTRY)  # only now the copy counts
    except sqlite3.Error as error:
        raise NotCopied(f"The registry in {source} cannot be read: {error}.") from error
    finally:
        snapshot.unlink(missing_ok=True)
    for digest in set(copies.digests(older_than=-CHUNK)) - wanted.keys():
        copies.unlink(digest)
    return lost


def _copy_all(
    source: Path, snapshot: Path, blobs: LocalArtifacts, copies: LocalArtifacts, tell: Tell
) -> tuple[dict[str, int], list[str]]:
    """Copy the registry, then the blobs that it names; again, if some of them were deleted meanwhile."""
    for _ in range(ATTEMPTS):
        _snapshot(source / REGISTRY, snapshot)
        wanted = _digests_in(snapshot)
        lost = _copy_blobs(wanted, blobs, copies, tell)
        if all(blobs.path(digest).is_file() for digest in lost):
            break
    return wanted, lost


def _store_in(folder: Path) -> str:
    """The id of the store in a folder. Raises NotCopied."""
    registry = folder / REGISTRY
    if not registry.is_file() or not registry.stat().st_size:
        raise NotCopied(f"There is no registry in {folder}.")
    try:
        with closing(_open(registry)) as database:
            return str(database.execute(STORE).fetchone()[0])
    except (sqlite3.Error, TypeError):
        raise NotCopied(
            f"The registry in {folder} cannot be read. If an older release wrote it, start the server once."
        ) from None


def _check_apart(folder: Path, other: Path) -> None:
    """Raises NotCopied if one folder is the other, or in it."""
    one, two = folder.resolve(), other.resolve()
    if one == two or one in two.parents or two in one.parents:
        raise NotCopied(f"{folder} and {other} must be two folders, and neither in the other.")


def _is_empty(target: Path) -> bool:
    return not target.exists() or not any(target.iterdir())


def _open(registry: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{registry.resolve().as_uri()}?mode=ro", timeout=60, uri=True)


def _snapshot(registry: Path, target: Path) -> None:
    """A consistent copy of the database, durable."""
    target.unlink(missing_ok=True)
    make_file(target)
    with closing(sqlite3.connect(registry, timeout=60)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _digests_in(registry: Path) -> dict[str, int]:
    with closing(_open(registry)) as database:
        found = dict(database.execute(DIGESTS).fetchall())
        if "program" in {row[1] for row in database.execute("PRAGMA table_info(versions)")}:
            found |= dict(database.execute(PROGRAMS).fetchall())
        return found


def _copy_blobs(wanted: dict[str, int], blobs: LocalArtifacts, copies: LocalArtifacts, tell: Tell) -> list[str]:
    """Copy what the target does not have whole; returns the digests that are damaged or cannot be read."""
    lost, done, total = [], 0, sum(wanted.values())
    for digest, size in wanted.items():
        if not _has(copies, digest) and not _copy_blob(digest, blobs, copies):
            lost.append(digest)
        done += size
        tell(done, total)
    return lost


def _copy_blob(digest: str, blobs: LocalArtifacts, copies: LocalArtifacts) -> bool:
    try:
        blobs.verify(digest)  # a disk that cannot be read is no reason to stop, one that cannot be written is
        source = blobs.open(digest)
    except (ArtifactCorrupt, StorageError):
        return False
    with source as file:
        staged = copies.stage(_pieces(file))
    try:
        if staged.digest == digest:
            copies.keep(staged)
        return staged.digest == digest
    finally:
        copies.discard(staged)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _has(copies: LocalArtifacts, digest: str) -> bool:
    try:
        copies.verify(digest)
    except (ArtifactCorrupt, StorageError):
        return False
    return True
