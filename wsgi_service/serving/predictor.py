"""From a table to a result: by a program in this process, or by a model host, joined with other requests."""

import logging
import math
import time
from collections.abc import Hashable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, NoReturn

import msgspec
import numpy as np

from model_store.artifacts.local import Artifacts
from model_store.cores import available
from model_store.entities import MIXED, NATIVE, ONNX, Answering, Attribution, Patience, Version
from model_store.errors import ArtifactCorrupt
from model_store.registry import Registry
from model_store.safety import STRICT, Policy
from wsgi_service.at_once import Elsewhere, Turn, current_turn, elsewhere, must_not_wait
from wsgi_service.errors import TOO_MANY, Busy, ModelQuarantined, PredictFailed
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_results
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.verdicts import Verdicts
from wsgi_service.rows.tables import Table, merged, values_in
from wsgi_service.serving.batching import MOST_ROWS, Batches, Caller, Joined, signature
from wsgi_service.serving.counts import Counts, Uncounted
from wsgi_service.serving.host_calls import HostCalls, HostRequest, Replied
from wsgi_service.serving.live_proof import LiveProof
from wsgi_service.serving.loading import Loading
from wsgi_service.serving.places import Places
from wsgi_service.serving.programs import AT_ONCE, Programs
from wsgi_service.serving.proving import Proving
from wsgi_service.serving.runnable import Runnable, runnable
from wsgi_service.serving.sessions import Call
from wsgi_service.serving.suspects import Suspects
from wsgi_service.serving.tickets import Posted
from wsgi_service.serving.wanted import ALWAYS, Wanted
from wsgi_service.serving.warming import live_versions

log = logging.getLogger(__name__)


class Computed(NamedTuple):
    """The result of each method, what computed them, and how many rows a program left to its estimator."""

    results: list[Any]
    engine: Answering
    estimator_rows: int = 0


class Predictor:
    """Calls a version's method in a model host.

    Args:
        pool: the hosts.
        artifacts: where the bytes are.
        registry: where crashes and damage are noted.
        deadline: seconds a predict may take.
        policy: what the operator allows beyond what is safe for everybody.
        patience: how many crashes put a version in quarantine.
        counts: what is counted of it.
        uploaded: whether ONNX programs that were uploaded may run in this process as well.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what the composition root chooses
        self,
        pool: HostPool,
        artifacts: Artifacts,
        registry: Registry,
        deadline: float,
        policy: Policy = STRICT,
        patience: Patience = Patience(),  # noqa: B008 - frozen
        counts: Counts = Uncounted(),  # noqa: B008 - it holds nothing
        uploaded: bool = False,
    ) -> None:
        self._uploaded = uploaded
        self.verdicts = Verdicts(artifacts, pool)
        self._pool = pool
        self._registry = registry
        self._deadline = deadline
        self._programs = Programs(artifacts, deadline, min(available(), pool.size), self.verdicts)
        self._proving = Proving(self._programs, lambda asked: self._predict_alone(asked, self._until()))
        self._live_proof = LiveProof(registry, self.predict_in_host, self._is_idle, self._give_up, counts.differed)
        # The last free host is not for a version that has one already, so more calls at once would only wait.
        self._batches = Batches(max(1, pool.size - 1))
        self.places = Places(pool.most_waiting + pool.size - 1)
        self._loading = Loading(artifacts, policy, pool.share)
        self._suspects = Suspects(pool, registry, patience, self._programs.distrust)
        self._hosts = HostCalls(pool, artifacts, self._loading, self._suspects, deadline, counts.joined)

    @property
    def waiting(self) -> int:
        """Requests that wait to be in a joined call."""
        return self._batches.waiting

    def predict(
        self,
        version: Version,
        methods: Sequence[str],
        table: Table,
        by: Attribution,
        exact: bool = False,
        wanted: Wanted = ALWAYS,
    ) -> Computed:
        """The result of each method for a checked table; see `tables.decode_result` for its form.

        Args:
            version: that answers.
            methods: of it.
            table: of the rows.
            by: who asks.
            exact: whether the estimator itself answers, for these rows alone, so that the last bits are those of
                the same call in a notebook.
            wanted: whether somebody still waits for the answer.

        Raises:
            ArtifactCorrupt: the version is not served, because its bytes are damaged.
            ModelQuarantined: the version is not served, because it took hosts down too often.
            ServingError: no host came free, or it crashed, took too long or refused.
        """
        _check_servable(version)
        asked = HostRequest(version, methods, table, by, wanted)
        turn = current_turn()
        if turn is not None and must_not_wait():
            turn.about(version)
        if turn is not None and turn.found is not None:
            return self._go_on(asked, turn.found)
        found = None if exact else self._runnable(version)
        if computed := self._by_program(found, asked):
            return computed
        if must_not_wait():
            self._put_off(asked, turn, settled=not exact and (found is None or self._programs.trusts(found)))
        computed = self._predict_waiting(asked, exact)
        if found is not None and not self._suspects.has(version):
            self._proving.prove(version, found, by)
        return self._left_to_it(asked, computed) if found is not None else computed

    def _by_program(self, found: Runnable | None, asked: HostRequest) -> Computed | None:
        """What a program answers, as far as it may; None if all is for a host. Raises like `predict`."""
        taken = self._programs.take(found, asked.methods, asked.table)
        if taken is None:
            return None
        try:
            return self._with_program(taken, asked)
        except PredictFailed:
            if asked.version.format == ONNX:  # nobody else could answer
                raise
            return None

    def _left_to_it(self, asked: HostRequest, computed: Computed) -> Computed:
        """What an estimator has computed in the place of its program."""
        if asked.version.format == ONNX:
            return computed
        self._live_proof.left(asked.version, asked.table.rows)
        return computed._replace(estimator_rows=asked.table.rows)

    def _with_program(self, taken: Call, asked: HostRequest) -> Computed | None:
        """The results of a program, and of the estimator for rows that are left to it; None if all are.

        Raises like `Programs.call` and `_predict_waiting`.
        """
        with nullcontext() if taken.short else self.places.one(asked.version.digest):
            results, rows = self._programs.call(taken, asked.methods, asked.wanted)
        if taken.trust is None:
            return Computed(results, ONNX)
        if rows is not None:
            elsewhere(lasting=False)
        if rows is None or len(rows):
            self._live_proof.answered(asked.version, asked.methods, asked.table, results, taken.trust, rows)
        if rows is None:
            return Computed(results, ONNX)
        if not len(rows):
            return None
        left = np.setdiff1d(np.arange(asked.table.rows), rows, assume_unique=True)
        others = self._predict_waiting(msgspec.structs.replace(asked, table=asked.table.at(left)), exact=False)
        self._live_proof.left(asked.version, len(left))
        parts = zip(results, others.results, strict=True)
        together = [merged([(rows, one), (left, other)], asked.table.rows) for one, other in parts]
        return Computed(together, MIXED, len(left))

    def _predict_waiting(self, asked: HostRequest, exact: bool) -> Computed:
        """What `predict` gives, from a host, for a thread that may wait."""
        until = self._until()
        with self.places.one(asked.version.digest):
            results = None if exact else self._predict_joined(asked, until)
            if results is None:
                results = self._predict_alone(asked, until)
        return _computed(asked.version, results)

    def _put_off(self, asked: HostRequest, turn: Turn | None, settled: bool) -> NoReturn:
        """Have a joined call answer, for a thread that must not wait.

        Args:
            asked: what.
            turn: of that thread.
            settled: whether a joined call will do, and nothing is to be found out about a program.

        Raises:
            Deferred: the request goes on when there is an outcome.
            Elsewhere: this is not for a joined call.
            Busy: too many wait already.
        """
        digest = asked.version.digest
        if self.places.full(digest):
            raise Busy(TOO_MANY)
        if turn is None or not settled or not self._joins(asked):
            raise Elsewhere(lasting=True, full=lambda: self.places.full(digest))
        if asked.wanted.until < math.inf:  # and nobody would look at the clock for it
            raise Elsewhere(lasting=False)
        self._batches.post(_key(asked), asked.table, self._caller(asked, self._until()), asked.wanted, turn)

    def _go_on(self, asked: HostRequest, ticket: Posted) -> Computed:
        """What a request gets that was put off."""
        results = ticket.outcome()
        if must_not_wait() and (results is None or values_in(results) > AT_ONCE):
            raise Elsewhere(lasting=False)
        if results is None:
            with self.places.one(asked.version.digest):
                results = self._predict_alone(asked, self._until())
        computed = _computed(asked.version, results)
        return computed if runnable(asked.version) is None else self._left_to_it(asked, computed)

    def prepare(self, version: Version) -> None:
        """Have the program of a version ready in this process, where a host has shown already that it computes."""
        if found := self._runnable(version):
            self._programs.prepare(found)

    def rest(self) -> None:
        """Let the hosts go if they had nothing to do for a while, and every live version has a proven program."""
        if self._pool.unused and all(map(self._answers_here, live_versions(self._registry))):
            self._pool.rest()

    def _answers_here(self, version: Version) -> bool:
        """Whether this process answers for a version."""
        found = runnable(version, self._uploaded)
        return found is not None and self._programs.serves(found)

    @property
    def slow_programs(self) -> int:
        """Programs that took too long in this process, and stay in hosts."""
        return self._programs.slow

    def _runnable(self, version: Version) -> Runnable | None:
        return runnable(version, self._uploaded)

    def load(self, version: Version, by: Attribution) -> None:
        """Prove that a version's bytes have their digest and that a host can load it. Raises like `predict`."""
        _check_servable(version)
        self._hosts.load(version, by, self._until())
        if (found := self._runnable(version)) and found.methods:
            self._proving.prove(version, found, by)

    def try_program(self, version: Version, found: Runnable, by: Attribution) -> None:
        """See `Proving.compute_once`."""
        self._proving.compute_once(version, found, by)

    def predict_in_host(
        self,
        version: Version,
        methods: Sequence[str],
        table: Table,
        by: Attribution,
    ) -> list[Any]:
        """What `predict` gives, always from a host, and for this table alone; also raises Implausible."""
        _check_servable(version)
        return self._predict_alone(HostRequest(version, methods, table, by, judged=True), self._until())

    def _is_idle(self) -> bool:
        figures = self._pool.figures()
        return figures.serving == figures.idle and self._pool.ready and not self._batches.waiting

    def _give_up(self, version: Version) -> None:
        """The program of a version must not answer in this process any more."""
        if found := runnable(version):
            self._proving.give_up(found)

    def _predict_alone(self, asked: HostRequest, until: float) -> list[Any]:
        def take() -> Joined:
            asked.wanted.check()
            return Joined(asked.table, until, 1)

        return _read(asked.version, self._hosts.predict(asked, until, take))

    def _predict_joined(self, asked: HostRequest, until: float) -> list[Any] | None:
        """The same together with others that wait for this version; None if it must be asked for alone."""
        if not self._joins(asked):
            return None
        return self._batches.ask(_key(asked), asked.table, self._caller(asked, until), asked.wanted)

    def _joins(self, asked: HostRequest) -> bool:
        """Whether rows may stand in one call with those of other requests."""
        version, matrix = asked.version, asked.table.matrix
        if not self._loading.is_joinable(version) or asked.table.rows > MOST_ROWS or self._suspects.has(version):
            return False
        # Where a number is missing, what ONNX Runtime makes of it depends on how many rows it computes at once.
        return version.format != ONNX or matrix is None or bool(np.isfinite(matrix).all())

    def _caller(self, asked: HostRequest, until: float) -> Caller[Replied]:
        """How a host is asked for several requests, within the time of this one."""
        return Caller(
            until,
            lambda take: self._hosts.predict(asked, until, take),
            lambda replied: _read(asked.version, replied),
            until - self._hosts.computing,
        )

    def _until(self) -> float:
        return time.monotonic() + self._deadline


def _key(asked: HostRequest) -> Hashable:
    """Requests with the same one may be joined."""
    return asked.version.digest, tuple(asked.methods), signature(asked.table)


def _computed(version: Version, results: list[Any]) -> Computed:
    """The results of a host."""
    return Computed(results, ONNX if version.format == ONNX else NATIVE)


def _read(version: Version, replied: Replied) -> list[Any]:
    """The results in a reply. Raises PredictFailed if it is none."""
    reply, answer = replied
    assert isinstance(reply, frames.Predicted)  # noqa: S101 - the only reply to Predict besides Failed
    try:
        return decode_results(reply.outcomes, answer)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        log.warning("%s version %d answered what cannot be read: %s", version.model, version.version, error)
        raise PredictFailed("The answer of the model cannot be read.") from None


def _check_servable(version: Version) -> None:
    if version.state == "corrupt":
        raise ArtifactCorrupt("The stored bytes of this version are damaged, so it is not served.")
    if version.state == "quarantined" and version.faults:
        raise ModelQuarantined(
            f"The answers of this version make no sense, so it is in quarantine: {' '.join(version.faults)} "
            "Upload one that was fitted with the releases that run here."
        )
    if version.state == "quarantined":
        raise ModelQuarantined(
            "This version took its process down too often and is in quarantine. When you know why, lift it: "
            f"DELETE /models/{version.model}/versions/{version.version}/quarantine"
        )
