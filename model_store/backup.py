"""A copy of a whole store, made while it is in use, and the way back."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from model_store.artifacts import LocalArtifacts
from model_store.errors import ArtifactCorrupt, StorageError

REGISTRY = "registry.db"
CHUNK = 1 << 20
#: How often the registry is copied anew because versions were deleted while their bytes were copied.
ATTEMPTS = 5
DIGESTS = "SELECT DISTINCT digest, size FROM versions ORDER BY digest"


class NotCopied(StorageError):
    """The copy was not made; nothing in the target is to be relied upon."""


def backup(folder: Path, target: Path, tell: Callable[[int, int], None]) -> list[str]:
    """Copy the store in `folder` to `target`, which afterwards is a data folder like it.

    A target that is a backup already is brought up to date: only new bytes are copied.

    Args:
        folder: the data folder; servers may be at work in it.
        target: a new or empty folder, or an earlier backup.
        tell: told after each blob how many bytes are done, and how many there are.

    Returns:
        The digests of blobs that are damaged or gone, which the copy therefore does not have.

    Raises:
        NotCopied: there is no store in `folder`, or `target` is something else.
    """
    if not (folder / REGISTRY).is_file():
        raise NotCopied(f"There is no registry in {folder}.")
    if target.exists() and any(target.iterdir()) and not (target / REGISTRY).is_file():
        raise NotCopied(f"{target} is neither empty nor a backup.")
    return _copy(folder, target, tell)


def restore(source: Path, folder: Path, tell: Callable[[int, int], None]) -> list[str]:
    """Copy a backup to a data folder that has no registry yet; otherwise like `backup`."""
    if not (source / REGISTRY).is_file():
        raise NotCopied(f"There is no backup in {source}.")
    if (folder / REGISTRY).exists():
        raise NotCopied(f"{folder} has a registry already. Move it away first, or name another folder.")
    return _copy(source, folder, tell)


def _copy(source: Path, target: Path, tell: Callable[[int, int], None]) -> list[str]:
    blobs, copies = LocalArtifacts(source), LocalArtifacts(target)
    snapshot = target / f"{REGISTRY}.new"
    lost: list[str] = []
    for _ in range(ATTEMPTS):
        _snapshot(source / REGISTRY, snapshot)
        wanted = _digests_in(snapshot)
        lost = _copy_blobs(wanted, blobs, copies, tell)
        # What was deleted meanwhile is in no newer snapshot; what is lost in all of them is lost.
        if not any(_is_gone(blobs, digest) for digest in lost):
            break
    snapshot.replace(target / REGISTRY)  # only now the copy counts
    for digest in set(copies.digests(older_than=-CHUNK)) - wanted.keys():
        copies.unlink(digest)
    return lost


def _snapshot(registry: Path, target: Path) -> None:
    """A consistent copy of the database, durable."""
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(registry, timeout=60)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _digests_in(registry: Path) -> dict[str, int]:
    with closing(sqlite3.connect(registry)) as database:
        return dict(database.execute(DIGESTS).fetchall())


def _copy_blobs(
    wanted: dict[str, int], blobs: LocalArtifacts, copies: LocalArtifacts, tell: Callable[[int, int], None]
) -> list[str]:
    """Copy what the target does not have; returns the digests that are damaged or gone."""
    lost, done, total = [], 0, sum(wanted.values())
    for digest, size in wanted.items():
        if not _has(copies, digest, size) and not _copy_blob(digest, blobs, copies):
            lost.append(digest)
        done += size
        tell(done, total)
    return lost


def _copy_blob(digest: str, blobs: LocalArtifacts, copies: LocalArtifacts) -> bool:
    try:
        with blobs.open(digest) as file:
            staged = copies.stage(_pieces(file))
    except ArtifactCorrupt:
        return False
    try:
        if staged.digest == digest:
            copies.keep(staged)
        return staged.digest == digest
    finally:
        copies.discard(staged)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _has(copies: LocalArtifacts, digest: str, size: int) -> bool:
    path = copies.path(digest)
    return path.is_file() and path.stat().st_size == size


def _is_gone(blobs: LocalArtifacts, digest: str) -> bool:
    return not blobs.path(digest).is_file()
