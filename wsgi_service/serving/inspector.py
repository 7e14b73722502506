"""Uploads are judged, and answer their examples, in the host that never serves."""

import time
from collections.abc import Sequence
from pathlib import Path

from model_store.artifacts.local import Staged
from model_store.entities import Facts, Inspection
from model_store.errors import RehearsalFailed, Unsafe
from model_store.methods import row_major
from model_store.proof.rehearsal import Answers, Rows
from model_store.safety import STRICT, Finding, Policy, Report
from wsgi_service.errors import DeadlineExceeded, ModelCrashed, OutOfMemory, PredictFailed, ResultTooLarge
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_results, encode_table
from wsgi_service.hosts.limits import allowance_to_check
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.special_host import Role
from wsgi_service.rows.checking import tabulate

#: What an artifact that has no version yet is called in the host.
REHEARSED = "rehearsed"


class HostInspector:
    """An `Inspector` that has uploads judged in the host that never serves.

    Args:
        pool: the hosts.
        limit: seconds a judgement may take.
    """

    def __init__(self, pool: HostPool, limit: float, policy: Policy = STRICT) -> None:
        self._pool = pool
        self._limit = limit
        self._policy = policy

    def inspect(self, path: Path, column_names: tuple[str, ...] | None) -> Inspection:
        """See `Inspector`; also raises Busy."""
        request = frames.Inspect(str(path.absolute()), column_names, self._policy)
        started = time.monotonic()
        try:
            with self._pool.apart(Role.JUDGE, self._limit) as host:
                started = time.monotonic()
                reply, _ = host.call(request, [], self._limit, allowance_to_check(path.stat().st_size))
        except (ModelCrashed, DeadlineExceeded, OutOfMemory) as error:
            raise _fatal(error, time.monotonic() - started) from None
        assert isinstance(reply, frames.Inspected)  # noqa: S101 - the only reply to Inspect besides Failed
        return reply.inspection

    def answers(self, staged: Staged, facts: Facts, rows: Rows, methods: Sequence[str]) -> Answers:
        """See `Inspector`; also raises Busy."""
        header, buffers = encode_table(tabulate(facts.schema, [list(row) for row in rows]))
        load = frames.Load(REHEARSED, str(staged.path.absolute()), staged.digest, facts.format, self._policy)
        allowance = allowance_to_check(staged.size)
        try:
            with self._pool.apart(Role.JUDGE, self._limit) as host:
                host.call(load, [], self._limit, allowance)
                request = frames.Predict(REHEARSED, tuple(methods), header, judged=True)
                try:
                    return _answers(methods, *host.call(request, buffers, self._limit, allowance))
                finally:
                    if host.alive:
                        host.call(frames.Unload(REHEARSED), [], self._limit)
        except (ModelCrashed, DeadlineExceeded, OutOfMemory, PredictFailed, ResultTooLarge) as error:
            raise RehearsalFailed(str(error)) from error


def _answers(methods: Sequence[str], reply: frames.Reply, buffers: list[bytearray]) -> Answers:
    assert isinstance(reply, frames.Predicted)  # noqa: S101 - the only reply to Predict besides Failed
    try:
        results = decode_results(reply.outcomes, buffers)
    except (ValueError, IndexError, TypeError, OverflowError):
        raise RehearsalFailed("The answer of the model cannot be read.") from None
    return {method: row_major(result)[0] for method, result in zip(methods, results, strict=True)}


#: What it means that the judging host did not live to say what it thinks.
FATAL = {
    ModelCrashed: "Reading this file crashed the process that checks uploads. It is not taken.",
    DeadlineExceeded: "Checking this file took too long. It is not taken.",
    OutOfMemory: "Checking this file needed more memory than a file of its size may. It is not taken.",
}


def _fatal(error: Exception, seconds: float) -> Unsafe:
    """The refusal of a file that the judging host did not survive, with the only finding there is."""
    message = FATAL[type(error)]
    finding = Finding(rule="reading-it-is-survived", severity="refused", where="", message=message)
    report = Report(format="unknown", verdict="refused", findings=(finding,), seconds=round(seconds, 4))
    return Unsafe(message, report)
