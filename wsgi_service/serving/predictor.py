"""From a table to a result: the host that has the version, the deadline, and what is noted when it dies."""

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple, NoReturn, Protocol

import msgspec
import numpy as np

from model_store.artifacts.local import Artifacts
from model_store.cores import available
from model_store.entities import MIXED, NATIVE, ONNX, Answering, Attribution, Patience, Version
from model_store.environment import drift
from model_store.errors import ArtifactCorrupt, StorageError, StoreError
from model_store.registry import Registry
from model_store.safety import STRICT, Policy
from wsgi_service.at_once import Elsewhere, Turn, current_turn, elsewhere, must_not_wait
from wsgi_service.errors import (
    TOO_MANY,
    Busy,
    DeadlineExceeded,
    ModelCrashed,
    ModelQuarantined,
    OutOfMemory,
    PredictFailed,
    ServingError,
)
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_results, encode_table
from wsgi_service.hosts.frames import Buffer
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.hosts.special_host import Role
from wsgi_service.hosts.verdicts import Verdicts
from wsgi_service.rows.tables import Table, merged, values_in
from wsgi_service.serving.batching import MOST_ROWS, Batches, Caller, Joined, Take, signature
from wsgi_service.serving.live_proof import LiveProof
from wsgi_service.serving.programs import AT_ONCE, Call, Programs, Runnable, runnable
from wsgi_service.serving.tickets import Posted
from wsgi_service.serving.wanted import ALWAYS, Wanted
from wsgi_service.serving.warming import live_versions

log = logging.getLogger(__name__)

#: Seconds to read an artifact into a host, beside the deadline of the predict.
LOAD_LIMIT = 60.0
#: What a program's first output is called in a host, whatever it stands for.
PREDICT = "predict"
#: Of the deadline, how much is for computing; a predict that has no host by then is refused.
COMPUTING = 0.5
#: Seconds that a predict is given at the least, when it got its host at the last moment.
LEAST = 0.01
#: What a host says, and the buffers that go with it.
Replied = tuple[frames.Reply, list[bytearray]]
#: Gives what to ask a host, the buffers that go with it, and until when its answer is waited for.
Prepare = Callable[[], tuple[frames.Predict, list[Buffer], float]]
#: Estimators that one host keeps at the most; the one that was not used for longest goes first.
LOADED_PER_HOST = 64


class Computed(NamedTuple):
    """The result of each method, what computed them, and how many rows a program left to its estimator."""

    results: list[Any]
    engine: Answering
    estimator_rows: int = 0


class Asked(NamedTuple):
    """What is asked of a version: its methods for a table, by whom, and for how long that is wanted."""

    version: Version
    methods: Sequence[str]
    table: Table
    by: Attribution
    wanted: Wanted = ALWAYS
    judged: bool = False

    @property
    def key(self) -> Hashable:
        """Requests with the same one may be joined."""
        return self.version.digest, tuple(self.methods), signature(self.table)

    def computed(self, results: list[Any]) -> Computed:
        """The results of a host."""
        return Computed(results, ONNX if self.version.format == ONNX else NATIVE)


class Counts(Protocol):
    """What is counted of calls and programs; see `Metrics`."""

    def joined(self, requests: int, rows: int) -> None:
        """A model host is asked for so many requests at once."""

    def differed(self, model: str, version: int) -> None:
        """A proven program answered a row otherwise than its estimator."""


class Uncounted:
    """Counts nothing."""

    def joined(self, requests: int, rows: int) -> None:
        """See `Counts`."""

    def differed(self, model: str, version: int) -> None:
        """See `Counts`."""


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
        self._artifacts = artifacts
        self._registry = registry
        self._deadline = deadline
        #: Seconds that are left to compute at the least: nobody is ended because it waited for too long.
        self._computing = COMPUTING * deadline
        self._policy = policy
        self._patience = patience
        self._programs = Programs(artifacts, deadline, min(available(), pool.size), self.verdicts)
        self._live_proof = LiveProof(registry, self.predict_in_host, self._is_idle, self._give_up, counts.differed)
        # The last free host is not for a version that has one already, so more calls at once would only wait.
        self._batches = Batches(max(1, pool.size - 1))
        self._counts = counts
        #: Digest -> requests that wait for the version or are computed, and how many that may be.
        self._inside: Counter[str] = Counter()
        self._most_inside = pool.most_waiting + pool.size - 1
        self._lock = threading.Lock()
        #: Digests of versions whose rows may stand in one call with those of other requests.
        self._joinable: set[str] = set()
        #: Digest -> when it stops to be suspected of taking hosts down.
        self._suspected: dict[str, float] = {}
        #: Digests of programs that no host could compute with.
        self._hopeless: set[str] = set()
        #: Digest -> bytes that its estimator took in the host that loaded it last.
        self._measured: dict[str, int] = {}

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
        asked = Asked(version, methods, table, by, wanted)
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
        if found is not None and not self._is_suspected(version):
            self._prove(version, found, by)
        return self._left_to_it(asked, computed) if found is not None else computed

    def _by_program(self, found: Runnable | None, asked: Asked) -> Computed | None:
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

    def _left_to_it(self, asked: Asked, computed: Computed) -> Computed:
        """What an estimator has computed in the place of its program."""
        if asked.version.format == ONNX:
            return computed
        self._live_proof.left(asked.version, asked.table.rows)
        return computed._replace(estimator_rows=asked.table.rows)

    def _with_program(self, taken: Call, asked: Asked) -> Computed | None:
        """The results of a program, and of the estimator for rows that are left to it; None if all are.

        Raises like `Programs.call` and `_predict_waiting`.
        """
        with nullcontext() if taken.short else self._place(asked.version.digest):
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
        others = self._predict_waiting(asked._replace(table=asked.table.at(left)), exact=False)
        self._live_proof.left(asked.version, len(left))
        parts = zip(results, others.results, strict=True)
        together = [merged([(rows, one), (left, other)], asked.table.rows) for one, other in parts]
        return Computed(together, MIXED, len(left))

    def _predict_waiting(self, asked: Asked, exact: bool) -> Computed:
        """What `predict` gives, from a host, for a thread that may wait."""
        until = self._until()
        with self._place(asked.version.digest):
            results = None if exact else self._predict_joined(asked, until)
            if results is None:
                results = self._predict_alone(asked, until)
        return asked.computed(results)

    def _put_off(self, asked: Asked, turn: Turn | None, settled: bool) -> NoReturn:
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
        if self._is_full(digest):
            raise Busy(TOO_MANY)
        if turn is None or not settled or not self._joins(asked):
            raise Elsewhere(lasting=True, full=lambda: self._is_full(digest))
        if asked.wanted.until < math.inf:  # and nobody would look at the clock for it
            raise Elsewhere(lasting=False)
        self._batches.post(asked.key, asked.table, self._caller(asked, self._until()), asked.wanted, turn)

    def _go_on(self, asked: Asked, ticket: Posted) -> Computed:
        """What a request gets that was put off."""
        results = ticket.outcome()
        if must_not_wait() and (results is None or values_in(results) > AT_ONCE):
            raise Elsewhere(lasting=False)
        if results is None:
            with self._place(asked.version.digest):
                results = self._predict_alone(asked, self._until())
        computed = asked.computed(results)
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
        return found is not None and self._programs.trusts(found)

    @property
    def slow_programs(self) -> int:
        """Programs that took too long in this process, and stay in hosts."""
        return self._programs.slow

    def _runnable(self, version: Version) -> Runnable | None:
        return runnable(version, self._uploaded)

    def load(self, version: Version, by: Attribution) -> None:
        """Prove that a version's bytes have their digest and that a host can load it. Raises like `predict`."""

        def read_again() -> Replied:
            self._artifacts.verify(version.digest)  # a host that has it already would not look
            return self._call(version, self._until(), None)

        _check_servable(version)
        self._noting(version, by, read_again)
        if (found := self._runnable(version)) and found.methods:
            self._prove(version, found, by)

    def _prove(self, version: Version, found: Runnable, by: Attribution) -> None:
        """Have a host answer with a program before this process does; a version that is one has just done so."""
        if self._programs.trusts(found):
            return
        if found.methods and found.digest in self._hopeless:
            return
        try:
            if found.methods:
                self.try_program(version, found, by)
            else:
                self._programs.answered(found.digest)
        except Busy:
            return
        except (StoreError, ServingError) as error:
            self._hopeless.add(found.digest)
            log.warning("%s version %d answers without its program: %s", version.model, version.version, error)

    def try_program(self, version: Version, found: Runnable, by: Attribution) -> None:
        """Have a host make a session of the program of a version and compute a row of zeros with it.

        Then this process may do so as well. Raises StoreError or ServingError.
        """
        as_version = msgspec.structs.replace(
            version, digest=found.digest, size=found.size, format=ONNX, fitted={}, environment={}
        )
        table = Table(1, matrix=np.zeros((1, len(version.schema.inputs))))
        self._predict_alone(Asked(as_version, [PREDICT], table, by), self._until())
        self._programs.answered(found.digest)

    def predict_in_host(
        self,
        version: Version,
        methods: Sequence[str],
        table: Table,
        by: Attribution,
    ) -> list[Any]:
        """What `predict` gives, always from a host, and for this table alone; also raises Implausible."""
        _check_servable(version)
        return self._predict_alone(Asked(version, methods, table, by, judged=True), self._until())

    def _is_idle(self) -> bool:
        figures = self._pool.figures()
        return figures.serving == figures.idle and self._pool.ready and not self._batches.waiting

    def _give_up(self, version: Version) -> None:
        """The program of a version must not answer in this process any more."""
        if found := runnable(version):
            self._hopeless.add(found.digest)
            self._programs.distrust(found.digest)

    def _predict_alone(self, asked: Asked, until: float) -> list[Any]:
        def take() -> Joined:
            asked.wanted.check()
            return Joined(asked.table, until, 1)

        caller = self._caller(asked, until)
        return caller.read(caller.call(take))

    def _is_full(self, digest: str) -> bool:
        """Whether all places of a version are taken."""
        return self._inside.get(digest, 0) >= self._most_inside

    @contextmanager
    def _place(self, digest: str) -> Iterator[None]:
        """One of the places of a version, so that it does not take the threads of all others. Raises Busy."""
        with self._lock:
            if self._is_full(digest):
                raise Busy(TOO_MANY)
            self._inside[digest] += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside[digest] -= 1
                if not self._inside[digest]:
                    del self._inside[digest]

    def _predict_joined(self, asked: Asked, until: float) -> list[Any] | None:
        """The same together with others that wait for this version; None if it must be asked for alone."""
        if not self._joins(asked):
            return None
        return self._batches.ask(asked.key, asked.table, self._caller(asked, until), asked.wanted)

    def _joins(self, asked: Asked) -> bool:
        """Whether rows may stand in one call with those of other requests."""
        version, matrix = asked.version, asked.table.matrix
        if version.digest not in self._joinable or asked.table.rows > MOST_ROWS or self._is_suspected(version):
            return False
        # Where a number is missing, what ONNX Runtime makes of it depends on how many rows it computes at once.
        return version.format != ONNX or matrix is None or bool(np.isfinite(matrix).all())

    def _caller(self, asked: Asked, until: float) -> Caller[Replied]:
        """How a host is asked, within the time of this request."""
        return Caller(
            until,
            lambda take: self._ask(asked, until, take),
            lambda replied: self._read(asked.version, replied),
            until - self._computing,
        )

    def _until(self) -> float:
        return time.monotonic() + self._deadline

    def _ask(self, asked: Asked, until: float, take: Take) -> Replied:
        """The reply of a host that came free in time to what is asked by then."""
        requests = 1

        def prepare() -> tuple[frames.Predict, list[Buffer], float]:
            nonlocal requests
            table, last, requests = take()
            self._counts.joined(requests, table.rows)
            header, buffers = encode_table(table)
            wanted = frames.Predict(asked.version.digest, tuple(asked.methods), header, asked.judged)
            return wanted, buffers, last

        def call() -> Replied:
            return self._call(asked.version, until, prepare, asked.wanted)

        return self._noting(asked.version, asked.by, call, lambda: requests == 1)

    def _read(self, version: Version, replied: Replied) -> list[Any]:
        """The results in a reply. Raises PredictFailed if it is none."""
        reply, answer = replied
        assert isinstance(reply, frames.Predicted)  # noqa: S101 - the only reply to Predict besides Failed
        try:
            return decode_results(reply.outcomes, answer)
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            log.warning("%s version %d answered what cannot be read: %s", version.model, version.version, error)
            raise PredictFailed("The answer of the model cannot be read.") from None

    def _noting(
        self,
        version: Version,
        by: Attribution,
        call: Callable[[], Replied],
        alone: Callable[[], bool] = lambda: True,
    ) -> Replied:
        """The reply to a call of a host; what happens to the host or to the bytes is written down.

        Args:
            version: that is called.
            by: who asks.
            call: of the host.
            alone: whether it was made for this one request. A joined one makes a suspect, but it is the call alone
                that shows whose fault it was.
        """
        try:
            return call()
        except (ModelCrashed, DeadlineExceeded, OutOfMemory) as error:
            if self._pool.closing:
                raise Busy("The server is being stopped.") from None
            if not isinstance(error, OutOfMemory) or error.fatal:
                self._suspect(version, error)
                if alone():
                    self._note(version, error, by)
            raise
        except ArtifactCorrupt:
            self._registry.note_damage(version, by)
            raise

    def _call(self, version: Version, until: float, prepare: Prepare | None, wanted: Wanted = ALWAYS) -> Replied:
        """Waiting for a host and computing share the deadline; starting and loading have limits of their own.

        Args:
            version: that is loaded.
            until: when computing ends.
            prepare: gives the request once there is a host, None to load only.
            wanted: whether somebody still waits for the answer.
        """
        began = time.monotonic()
        if not self._pool.wait_ready():
            raise Busy("No model host has come up yet. Try again in a moment.")
        starting = time.monotonic() - began
        suspected = self._is_suspected(version)
        now = time.monotonic()
        with self._host_for(version, suspected, until + starting - now - self._computing, wanted) as host:
            # The host for suspects may have to be started first, and that is not the model's time.
            free = time.monotonic()
            self._ensure_loaded(host, version)
            if prepare is None:
                return frames.Done(), []
            request, buffers, last = prepare()
            # Whoever came while it was being loaded has a deadline of his own.
            left = self._deadline if suspected else max(until + starting - free, last - time.monotonic())
            return host.call(request, buffers, max(left, LEAST), self._pool.allowance)

    @contextmanager
    def _host_for(self, version: Version, suspected: bool, limit: float, wanted: Wanted) -> Iterator[Host]:
        """A host that serves; one apart from those if the version took one down lately."""
        wanted.check()
        patience = wanted.until - time.monotonic()
        entered = (
            self._pool.apart(Role.SUSPECTS, max(min(self._deadline, patience), LEAST))
            if suspected
            else self._pool.serving(version.digest, max(min(limit, patience), LEAST))
        )
        with ExitStack() as stack:
            try:
                host = stack.enter_context(entered)
            except Busy:
                wanted.check()  # the client's time may have been the shorter one
                raise
            yield host

    def _is_suspected(self, version: Version) -> bool:
        return self._suspected.get(version.digest, 0.0) > time.monotonic()

    def _ensure_loaded(self, host: Host, version: Version) -> None:
        key = version.digest
        if key in host.loaded:
            host.loaded.move_to_end(key)
        else:
            self._load_into(host, version)
        if key in host.joinable:
            self._joinable.add(key)

    def _load_into(self, host: Host, version: Version) -> None:
        key = version.digest
        self._make_room(host, self._measured.get(key, version.size))
        path = str(self._artifacts.path(key).absolute())
        reply, _ = host.call(frames.Load(key, path, key, version.format, self._policy), [], LOAD_LIMIT)
        assert isinstance(reply, frames.Done)  # noqa: S101 - the only reply to Load besides Failed
        host.loaded[key] = self._measured[key] = reply.memory
        if reply.joinable:
            host.joinable.add(key)
        for drifted in drift(version.format, version.fitted, version.environment):
            log.info("%s version %d: %s", version.model, version.version, drifted)

    def _make_room(self, host: Host, needed: int) -> None:
        """Unload what was not used for longest until there is room for so many bytes."""
        share = self._pool.share
        while host.loaded and (
            len(host.loaded) >= LOADED_PER_HOST or (share and sum(host.loaded.values()) + needed > share)
        ):
            oldest, _ = host.loaded.popitem(last=False)
            host.joinable.discard(oldest)
            host.call(frames.Unload(oldest), [], LOAD_LIMIT)

    def _suspect(self, version: Version, error: Exception) -> None:
        """Serve a version that took a host down apart from the others for a while."""
        log.error("%s version %d: %s", version.model, version.version, error)
        self._suspected[version.digest] = time.monotonic() + self._patience.seconds
        self._programs.distrust(version.digest)

    def _note(self, version: Version, error: Exception, by: Attribution) -> None:
        """Write down that a version took a host down."""
        try:
            self._registry.note_crash(version, type(error).__name__, self._patience, by)
        except StorageError:  # the request has its answer without the note
            log.exception("the crash could not be noted")


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
