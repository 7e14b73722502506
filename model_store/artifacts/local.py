"""Where the bytes of uploads lie: the contract, and content-addressed files on the local disk.

A name from outside never becomes part of a path: bytes lie under their own sha256.
"""

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from msgspec import Struct

from model_store.artifacts.private import make_folder
from model_store.errors import ArtifactCorrupt, StorageError, StorageFailed, StorageFull
from model_store.failpoints import reach

#: Windows answers with a sharing violation while a virus scanner or indexer looks at a new file.
SHARING_RETRIES = 20
SHARING_PAUSE = 0.05


class Staged(Struct, frozen=True):
    """Bytes that were received whole and are not part of the store yet."""

    path: Path
    digest: str
    size: int


class Artifacts(Protocol):
    """Immutable blobs under their digests.

    Attributes:
        incoming: a local folder for bytes that are still arriving.
    """

    incoming: Path

    def stage(self, chunks: Iterable[bytes]) -> Staged:
        """Receive bytes into a temporary place, hashing and counting them.

        Raises StorageFull or StorageError; then nothing is left behind.
        """

    def discard(self, staged: Staged) -> None:
        """Forget staged bytes; those that were kept meanwhile stay."""

    def keep(self, staged: Staged) -> None:
        """Make staged bytes durable under their digest; when this returns they survive a power cut."""

    def confirm(self, digest: str) -> None:
        """Raises StorageError unless the blob is there."""

    def open(self, digest: str) -> BinaryIO:
        """The blob, for reading. Raises ArtifactCorrupt if it is gone, StorageError if it cannot be read."""

    def verify(self, digest: str) -> None:
        """Read the whole blob. Raises ArtifactCorrupt unless it still has its digest, or StorageError."""

    def path(self, digest: str) -> Path:
        """A local path to read the blob from."""

    def unlink(self, digest: str) -> None:
        """Remove a blob if it is there; one that is open elsewhere may stay until the next sweep."""

    def digests(self, older_than: float) -> list[str]:
        """The blobs that have lain here for more than `older_than` seconds."""

    def staged(self, older_than: float) -> list[str]:
        """The names of staged bytes that were abandoned more than `older_than` seconds ago."""

    def sweep_staged(self, older_than: float) -> None:
        """Remove staged bytes that were abandoned more than `older_than` seconds ago."""

    def probe(self) -> None:
        """Prove that bytes could be stored now. Raises StorageError."""


class LocalArtifacts:
    """`Artifacts` in a folder: `blobs/ab/abcd…` for what is kept, `tmp/` for what is arriving.

    Args:
        folder: the data folder; it is created if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self._blobs = folder / "blobs"
        self.incoming = folder / "tmp"
        for place in (self._blobs, self.incoming):
            make_folder(place)

    def stage(self, chunks: Iterable[bytes]) -> Staged:
        """See `Artifacts`."""
        with _disk_errors():
            handle, name = tempfile.mkstemp(prefix="upload-", dir=self.incoming)
            try:
                with os.fdopen(handle, "wb") as file:
                    return _receive(chunks, file, Path(name))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise

    def discard(self, staged: Staged) -> None:
        """See `Artifacts`."""
        with suppress(OSError):  # the sweep takes what cannot be removed now
            staged.path.unlink(missing_ok=True)

    def keep(self, staged: Staged) -> None:
        """See `Artifacts`."""
        target = self.path(staged.digest)
        with _disk_errors():
            make_folder(target.parent)
            _sharing(lambda: _replace(staged.path, target))
            reach("after_rename")
            _sync_folder(target.parent)
            _sync_folder(self._blobs)

    def confirm(self, digest: str) -> None:
        """See `Artifacts`."""
        if not self.path(digest).is_file():
            raise StorageError("The uploaded bytes were removed while they were stored. Upload them again.")

    def open(self, digest: str) -> BinaryIO:
        """See `Artifacts`."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise ArtifactCorrupt("The stored bytes of this version are gone.") from None
        except OSError as error:
            raise StorageError("The stored bytes of this version cannot be read at the moment.") from error

    def verify(self, digest: str) -> None:
        """See `Artifacts`."""
        with self.open(digest) as file:
            check_digest(cast("BufferedReader", file), digest)

    def path(self, digest: str) -> Path:
        """See `Artifacts`."""
        name = digest.removeprefix("sha256:")
        return self._blobs / name[:2] / name

    def unlink(self, digest: str) -> None:
        """See `Artifacts`."""
        with suppress(OSError):  # open elsewhere, on Windows: the sweep takes it later
            self.path(digest).unlink(missing_ok=True)

    def digests(self, older_than: float) -> list[str]:
        """See `Artifacts`."""
        return [f"sha256:{path.name}" for path in _aged(self._blobs.glob("*/*"), older_than)]

    def probe(self) -> None:
        """See `Artifacts`."""
        self.discard(self.stage([b"probe"]))

    def staged(self, older_than: float) -> list[str]:
        """See `Artifacts`."""
        return [path.name for path in _aged(self.incoming.iterdir(), older_than)]

    def sweep_staged(self, older_than: float) -> None:
        """See `Artifacts`."""
        for path in _aged(self.incoming.iterdir(), older_than):
            with suppress(OSError):
                path.unlink()


def digest_of(file: BufferedReader) -> str:
    """The digest of everything that is left in an open file, in the form `sha256:…`."""
    return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def check_digest(file: BufferedReader, digest: str) -> None:
    """Raises ArtifactCorrupt unless the rest of a file has this digest, StorageError if it cannot be read."""
    try:
        found = digest_of(file)
    except OSError as error:
        raise StorageError("The stored bytes of this version cannot be read at the moment.") from error
    if found != digest:
        raise ArtifactCorrupt("The stored bytes of this version are damaged: they no longer have their digest.")


def _receive(chunks: Iterable[bytes], file: BinaryIO, path: Path) -> Staged:
    sha, size = hashlib.sha256(), 0
    for chunk in chunks:
        sha.update(chunk)
        size += len(chunk)
        file.write(chunk)
    reach("after_tmp_write")
    file.flush()
    os.fsync(file.fileno())
    reach("after_fsync")
    return Staged(path, f"sha256:{sha.hexdigest()}", size)


def _replace(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except PermissionError:
        # Windows will not replace a file that somebody reads. The same digest is the same bytes: keep those.
        if not target.is_file():
            raise
        source.unlink()


def _sharing(action: Callable[[], None]) -> None:
    for _ in range(SHARING_RETRIES):
        with suppress(PermissionError):
            return action()
        time.sleep(SHARING_PAUSE)
    return action()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there, and NTFS journals its entries
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _aged(paths: Iterable[Path], older_than: float) -> Iterator[Path]:
    for path in paths:
        with suppress(FileNotFoundError):  # somebody else was faster
            if path.is_file() and _age(path) > older_than:
                yield path


def _age(path: Path) -> float:
    """Seconds since a file was changed; one that was changed in the future begins to age now.

    It was made before a clock went back. Somebody may be at work with it, and it must not stay until that time.
    """
    age = time.time() - path.stat().st_mtime
    if age >= 0:
        return age
    with suppress(PermissionError):
        os.utime(path)
    return 0.0


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error) from error


def disk_error(error: OSError) -> StorageError:
    """What an error of the system means for whoever wanted something stored."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("No space is left in the data folder. Nothing was stored.")
    return StorageFailed("The data folder cannot be written. Nothing was stored.")
