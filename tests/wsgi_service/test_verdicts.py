"""Whether a program may run in the HTTP process is found out once for its bytes, and large ones elsewhere."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import programs as small
from running import until

from model_store.artifacts.local import Artifacts, Staged
from model_store.errors import ArtifactCorrupt
from model_store.estimators.loaded import Loaded
from model_store.formats import load
from wsgi_service.app import create_app
from wsgi_service.at_once import Elsewhere, answering
from wsgi_service.hosts import frames, verdicts
from wsgi_service.hosts.buffers import encode_result
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.hosts.verdicts import Verdicts
from wsgi_service.rows.tables import Table, check_entries
from wsgi_service.serving import programs
from wsgi_service.serving.programs import Programs
from wsgi_service.serving.runnable import Runnable
from wsgi_service.settings import Settings

TABLE = Table(2, matrix=np.array([[1.0, 2.0], [3.0, 4.0]]))


@pytest.fixture
def artifacts(folder: Path, pool: HostPool) -> Iterator[Artifacts]:
    app = create_app(Settings(data=str(folder)), pool)
    yield app.catalog.artifacts
    app.catalog.registry.close()


@pytest.fixture
def stored(artifacts: Artifacts) -> Callable[[Any], Staged]:
    def store(model: Any) -> Staged:
        staged = artifacts.stage([model.SerializeToString()])
        artifacts.keep(staged)
        return staged

    return store


def shifted(by: float) -> Any:
    return small.program([small.node("Add", "x c", "y")], constants={"c": np.array([by, 0], np.float32)})


def runnable_of(staged: Staged) -> Runnable:
    return Runnable(staged.digest, staged.size)


def test_a_large_program_is_looked_at_by_the_host_that_judges_and_once(
    artifacts: Artifacts, stored: Any, pool: HostPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[frames.Judge] = []
    whole = Host.call

    def call(self: Host, request: Any, *more: Any) -> Any:
        if isinstance(request, frames.Judge):
            asked.append(request)
        return whole(self, request, *more)

    monkeypatch.setattr(Host, "call", call)
    assert pool.wait_ready()
    staged, turned = stored(shifted(1)), stored(small.program([small.node("Transpose", "x", "y")]))
    here = Verdicts(artifacts, pool).of(staged.digest, staged.size)
    assert asked == []
    monkeypatch.setattr(verdicts, "SMALL", 0)
    known = Verdicts(artifacts, pool)
    assert [known.of(staged.digest, staged.size) for _ in range(2)] == [here, here]
    assert "Transpose" in known.of(turned.digest, turned.size).reason
    assert [request.digest for request in asked] == [staged.digest, turned.digest]
    assert here.outputs == 1
    assert here.told.given == 2
    artifacts.path(staged.digest).chmod(0o600)
    artifacts.path(staged.digest).write_bytes(b"something else")
    with pytest.raises(ArtifactCorrupt):
        Verdicts(artifacts, pool).of(staged.digest, staged.size)


def test_nobody_waits_for_a_large_program(
    artifacts: Artifacts, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "SMALL", 0)
    staged = stored(shifted(1))
    kept, found = Programs(artifacts, 30.0), runnable_of(staged)
    kept.answered(found.digest)
    assert kept.take(found, ["predict"], TABLE) is None
    until(lambda: kept.take(found, ["predict"], TABLE) is not None)
    taken = kept.take(found, ["predict"], TABLE)
    assert taken is not None
    assert kept.call(taken, ["predict"]).results[0].tolist() == [[2.0, 2.0], [4.0, 4.0]]


def test_what_had_to_make_room_stays_in_hosts_for_a_while(
    artifacts: Artifacts, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs that do not fit beside each other are not made again and again."""
    first, second = (runnable_of(stored(shifted(by))) for by in (1, 2))
    kept, made = Programs(artifacts, 30.0), []
    whole = Verdicts.read
    monkeypatch.setattr(Verdicts, "read", lambda self, digest: made.append(digest) or whole(self, digest))
    monkeypatch.setattr(programs, "MAX_KEPT", 1.5 * Verdicts(artifacts).of(first.digest, first.size).told.kept)
    for found in (first, second):
        kept.answered(found.digest)
        assert kept.take(found, ["predict"], TABLE) is not None
    so_far = len(made)
    for _ in range(3):
        with answering():  # it is not even tried
            assert kept.take(first, ["predict"], TABLE) is None
            assert kept.take(second, ["predict"], TABLE) is not None
    assert len(made) == so_far
    monkeypatch.setattr(programs, "ABSENCE", 0.0)
    with answering(), pytest.raises(Elsewhere):
        kept.take(first, ["predict"], TABLE)
    assert kept.take(first, ["predict"], TABLE) is not None


@pytest.mark.parametrize(
    "result",
    [
        np.zeros((1, 2)), np.zeros((3, 2)), np.float64(1.0), np.zeros(2, complex),
        np.array([{}, []], dtype=object), np.array([1, "a"], dtype=object), np.zeros(2, "M8[s]"),
    ],
    ids=["a row less", "a row more", "a number", "complex", "objects", "mixed", "dates"],
)  # fmt: skip
def test_a_program_answers_one_plain_entry_for_each_row(result: Any) -> None:
    with pytest.raises(ValueError, match="result"):
        check_entries([np.asarray(result)], 2)
    check_entries([np.zeros((2, 3)), np.array(["a", "b"], dtype=object), np.zeros(2, bool)], 2)


@pytest.mark.parametrize("result", [np.zeros(2, complex), np.array([[], {}], dtype=object), np.zeros(2, "V4")])
def test_what_is_no_single_value_is_not_sent_by_a_host(result: Any) -> None:
    with pytest.raises(ValueError, match="result"):
        encode_result(result, 2)


def test_rows_of_requests_are_joined_where_a_program_looks_at_one_at_a_time(folder: Path) -> None:
    together = small.program([small.node("Transpose", "x", "z"), small.node("Transpose", "z", "y")])
    for model, expected in ((small.adder(), True), (small.tree(), True), (together, False)):
        path = folder / "model.onnx"
        path.write_bytes(model.SerializeToString())
        assert Loaded(load("onnx", path)).joinable is expected


def test_a_call_for_many_rows_counts_among_what_is_kept(artifacts: Artifacts, stored: Any) -> None:
    """The runtime keeps some of the memory that its largest call has taken."""
    found = runnable_of(stored(shifted(1)))
    kept = Programs(artifacts, 30.0)
    kept.answered(found.digest)
    sizes: list[int] = []
    for rows in (1, 5000, 1):
        assert kept.take(found, ["predict"], Table(rows, matrix=np.zeros((rows, 2)))) is not None
        sizes.append(kept.bytes)
    assert sizes[0] < sizes[1] == sizes[2]
