"""What every place for artifacts must do."""

import hashlib
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.artifacts.local import Artifacts, LocalArtifacts
from model_store.errors import ArtifactCorrupt, StorageError

pytestmark = pytest.mark.system

BACKENDS = {"local": LocalArtifacts}


@pytest.fixture(params=BACKENDS)
def artifacts(request: pytest.FixtureRequest, folder: Path) -> Artifacts:
    return BACKENDS[request.param](folder)


def test_what_was_kept_is_read_back(artifacts: Artifacts) -> None:
    staged = artifacts.stage([b"ab", b"", b"c"])
    artifacts.keep(staged)
    assert staged.digest == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    assert staged.size == 3
    with artifacts.open(staged.digest) as file:
        assert file.read() == b"abc"


def test_discarding_after_keeping_keeps(artifacts: Artifacts) -> None:
    staged = artifacts.stage([b"abc"])
    artifacts.keep(staged)
    artifacts.discard(staged)
    artifacts.confirm(staged.digest)


def test_the_same_bytes_twice_are_one_blob(artifacts: Artifacts) -> None:
    for _ in range(2):
        artifacts.keep(artifacts.stage([b"abc"]))
    assert len(artifacts.digests(older_than=-60)) == 1


def test_the_same_bytes_again_while_they_are_read(artifacts: Artifacts) -> None:
    first = artifacts.stage([b"abc"])
    artifacts.keep(first)
    with artifacts.open(first.digest) as file:
        artifacts.keep(artifacts.stage([b"abc"]))
        assert file.read() == b"abc"


def test_a_blob_that_is_gone_is_not_confirmed_and_not_opened(artifacts: Artifacts) -> None:
    staged = artifacts.stage([b"abc"])
    artifacts.keep(staged)
    artifacts.unlink(staged.digest)
    artifacts.unlink(staged.digest)
    with pytest.raises(StorageError):
        artifacts.confirm(staged.digest)
    with pytest.raises(ArtifactCorrupt):
        artifacts.open(staged.digest)


def test_bytes_that_stop_coming_leave_nothing(artifacts: LocalArtifacts) -> None:
    def broken():
        yield b"abc"
        raise ConnectionResetError

    with pytest.raises(StorageError):
        artifacts.stage(broken())
    assert list(artifacts.incoming.iterdir()) == []


def test_bytes_that_are_being_read_are_deleted_later_at_the_latest(artifacts: Artifacts) -> None:
    """Windows does not delete a file that somebody reads; the next sweep does."""
    staged = artifacts.stage([b"abc"])
    artifacts.keep(staged)
    with artifacts.open(staged.digest) as file:
        artifacts.unlink(staged.digest)
        assert file.read() == b"abc"
    for digest in artifacts.digests(older_than=-60):
        artifacts.unlink(digest)
    assert artifacts.digests(older_than=-60) == []


def test_damaged_bytes_are_found(artifacts: LocalArtifacts) -> None:
    staged = artifacts.stage([b"abc"])
    artifacts.keep(staged)
    artifacts.verify(staged.digest)
    artifacts.path(staged.digest).write_bytes(b"abd")
    with pytest.raises(ArtifactCorrupt):
        artifacts.verify(staged.digest)


def test_a_probe_leaves_nothing(artifacts: LocalArtifacts) -> None:
    artifacts.probe()
    assert (artifacts.staged(older_than=-60), list(artifacts.incoming.iterdir())) == ([], [])


def test_the_sweep_takes_only_what_is_old(artifacts: LocalArtifacts) -> None:
    old, young = artifacts.stage([b"old"]), artifacts.stage([b"young"])
    hour_ago = time.time() - 3600
    os.utime(old.path, (hour_ago, hour_ago))
    artifacts.sweep_staged(older_than=1800)
    assert (old.path.exists(), young.path.exists()) == (False, True)


@given(chunks=st.lists(st.binary(max_size=50), max_size=6))
def test_any_bytes_lie_under_their_own_digest(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    store = LocalArtifacts(tmp_path_factory.mktemp("blobs"))
    staged = store.stage(chunks)
    store.keep(staged)
    whole = b"".join(chunks)
    assert store.path(staged.digest).name == hashlib.sha256(whole).hexdigest()
    assert store.path(staged.digest).read_bytes() == whole
