"""ONNX programs that run in the HTTP process itself: those of which it is known beforehand that they end.

The bytes come from a model host, which need not be honest, or, where the operator wants that, from an upload. So
what they compute must be bounded (`verdicts.py`), and every call can be stopped. A session is made here after a
model host made one and answered, with the same release of the runtime.
"""

import logging
import platform
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, Struct
from numpy.typing import NDArray

from model_store.acceleration import codes, trust
from model_store.acceleration.trust import MARGIN, Trust
from model_store.artifacts.local import Artifacts
from model_store.entities import ONNX, Version
from model_store.formats.onnx.cost import Cost
from wsgi_service.at_once import elsewhere, must_not_wait
from wsgi_service.errors import TOO_MANY, Busy, DeadlineExceeded, PredictFailed, ResultTooLarge
from wsgi_service.hosts.verdicts import SMALL, Verdicts
from wsgi_service.rows.tables import MAX_VALUES, Table, check_entries
from wsgi_service.serving.crew import Crew
from wsgi_service.serving.wanted import ALWAYS, Wanted

log = logging.getLogger(__name__)

Matrix = NDArray[np.float64]

#: Bytes that may be computed here at once, and elementary steps; more is for a host.
MAX_BYTES = 160 << 20
MAX_STEPS = 2_000_000_000
#: So few steps take a few milliseconds.
SHORT, SHORT_BYTES = 5_000_000, 16 << 20
#: So many rows are computed at once, and no more bytes and steps for them: few enough to stay near a core, and to
#: be stopped in between.
FEWEST_ROWS, MOST_ROWS = 256, 4096
PIECE_BYTES, PIECE_STEPS = 8 << 20, 50_000_000
#: Values that one call may give where others wait for it: its answer must not fill the connection's buffers.
AT_ONCE = 200_000
#: Seconds after which a call is stopped where others wait for it; the program stays in hosts then.
QUICK = 0.25
#: Bytes of sessions that are kept here, and of what they keep of the largest call: of each byte of a call, two.
MAX_KEPT = 256 << 20
KEPT_OF_CALL = 2
#: Of each number of rows that came, the runtime keeps where its tensors lay: a byte for so many steps of a call.
KEPT_OF_STEPS = 32
#: Seconds that are waited for a session that somebody else makes, and for which one that had to make room is not
#: made again.
PATIENCE = 0.5
ABSENCE = 60.0
#: Seconds between two looks at what is overdue.
TICK = 0.1
#: Characters of the runtime's words that go to the log.
LOGGED = 300


class Runnable(Struct, frozen=True):
    """A stored program: a version that is one, or the one that was proven for an estimator.

    Attributes:
        methods: that it answers in the estimator's place; empty for a version that is a program.
        runtime: with which a model host has answered when it was proven.
    """

    digest: str
    size: int
    methods: tuple[str, ...] = ()
    runtime: str = ""

    def answers(self, methods: Sequence[str]) -> bool:
        """Whether it stands for the estimator in these."""
        return not self.methods or all(method in self.methods for method in methods)


def runnable(version: Version, uploaded: bool = False) -> Runnable | None:
    """The program of a version that may run here, None if it has none, or its estimator is to answer.

    Args:
        version: of a model.
        uploaded: whether programs that were uploaded may run here as well.
    """
    if version.format == ONNX:
        return Runnable(version.digest, version.size) if uploaded else None
    if version.engine != ONNX or version.program is UNSET:
        return None
    program = version.program
    return Runnable(program.digest, program.size, program.methods, program.runtime)


@cache
def runtime() -> str:
    """What computes here: the release of ONNX Runtime and the kind of machine; nothing if it is not installed."""
    try:
        return f"onnxruntime {metadata.version('onnxruntime')} {sys.platform} {platform.machine()}"
    except metadata.PackageNotFoundError:
        return ""


class Programs:
    """The sessions of the HTTP process.

    Args:
        artifacts: where the bytes are.
        deadline: seconds a call may take.
        cores: that may compute at the same time.
        verdicts: on programs.
    """

    def __init__(
        self, artifacts: Artifacts, deadline: float, cores: int = 1, verdicts: Verdicts | None = None
    ) -> None:
        self._verdicts = verdicts or Verdicts(artifacts)
        self._cores = cores
        self._deadline = deadline
        #: Of the calls that are not short as many are made at once, and the cores that are left over help.
        self._places = threading.Semaphore(cores)
        self._crew = Crew(cores - 1)
        #: Digests of programs with which a model host has answered, or has died.
        self._answered: set[str] = set()
        self._distrusted: set[str] = set()
        #: Digests of programs that have held up those who waited, and stay in hosts.
        self._slow: set[str] = set()
        #: Digest -> when it had to make room.
        self._gone: dict[str, float] = {}
        #: Digest -> what is kept, or is being made.
        self._kept: OrderedDict[str, Future[_Kept | None]] = OrderedDict()
        self._lock = threading.Lock()
        self._terminator = Terminator()

    def answered(self, digest: str) -> None:
        """A model host has made a session of this program and answered with it."""
        self._answered.add(digest)
        self._distrusted.discard(digest)

    def trusts(self, found: Runnable) -> bool:
        """Whether a model host has answered with this program, at least when it was proven."""
        if found.digest in self._answered:
            return True
        return bool(found.runtime) and found.runtime == runtime() and found.digest not in self._distrusted

    def prepare(self, found: Runnable) -> None:
        """Make the session of a program now, if it may run here at all."""
        if self.trusts(found):
            self._keep(found)

    def distrust(self, digest: str) -> None:
        """The program has taken a model host down: it runs in hosts until one has answered with it again."""
        with self._lock:
            self._distrusted.add(digest)
            self._answered.discard(digest)
            self._kept.pop(digest, None)

    @property
    def slow(self) -> int:
        """How many programs have held up those who waited, and stay in hosts."""
        return len(self._slow)

    def take(self, found: Runnable | None, methods: Sequence[str], table: Table) -> "Call | None":
        """The call of a program for these rows, if they may be computed here."""
        if found is None or not self.trusts(found) or not found.answers(methods) or found.digest in self._slow:
            return None
        kept = self._keep(found)
        if kept is None or kept.is_too_much(table.rows):
            return None
        short = kept.is_short(table.rows)
        matrix = kept.matrix(table)
        if matrix is None:
            return None
        within = kept.trust is None or kept.trust.within(matrix)
        if within is False:
            return None
        if not short or table.rows * kept.cost.given > AT_ONCE:
            elsewhere(lasting=False)
        inside = None if within is True else np.flatnonzero(within)
        at_once = table.rows if short else kept.rows_at_once(table.rows)
        if kept.grows(table.rows, at_once, 1 if short else self._cores):
            self._make_room()
        rows = matrix if inside is None else matrix[inside]
        return Call(found.digest, kept.session, rows, short, at_once, kept.trust, inside)

    def call(self, taken: "Call", methods: Sequence[str], wanted: Wanted = ALWAYS) -> "Answered":
        """The results of methods, for the rows that the program may answer.

        Args:
            taken: from `take`.
            methods: that it was taken for.
            wanted: whether somebody still waits for them.

        Raises:
            Busy: too many calls take a while.
            TooLate, NotWanted: nobody waits any more.
            DeadlineExceeded: it took too long and was stopped.
            PredictFailed: ONNX Runtime refused, or answered something else than one entry for each row.
            ResultTooLarge: the answer would hold too much.
            Elsewhere: it took too long for a thread that must not wait.
        """
        if taken.short:
            return self._run_shortly(taken, methods)
        until = time.monotonic() + self._deadline
        with self._place(until, wanted):
            left = until - time.monotonic()
            with self._terminator.stopping(taken.session.run_options(), left) as options:
                return self._run(taken, methods, options)

    def _run_shortly(self, taken: "Call", methods: Sequence[str]) -> "Answered":
        """The results of a call that should be over soon; what holds others up for too long is for hosts."""
        if not must_not_wait():
            with self._terminator.stopping(taken.session.run_options(), self._deadline) as options:
                return self._run(taken, methods, options)
        options = self._terminator.begin(taken.session, QUICK)
        try:
            return self._run(taken, methods, options)
        except DeadlineExceeded:
            elsewhere(lasting=False)
            raise
        finally:
            if self._terminator.end() > QUICK:
                self._slow.add(taken.digest)
                log.warning("the program %s took too long where others wait, and runs in hosts", taken.digest)

    @contextmanager
    def _place(self, until: float, wanted: Wanted) -> Iterator[None]:
        """One of the places for calls that take a while. Raises Busy, TooLate or NotWanted if none comes free."""
        left = max(0.0, min(until, wanted.until) - time.monotonic())
        if not self._places.acquire(timeout=left):
            wanted.check()
            raise Busy(TOO_MANY)
        try:
            wanted.check()
            yield
        finally:
            self._places.release()

    def _run(self, taken: "Call", methods: Sequence[str], options: Any) -> "Answered":
        names = (*methods, MARGIN) if taken.decides else methods

        def run(rows: Matrix) -> list[Any]:
            return taken.session.run(names, rows, options)  # type: ignore[no-any-return]

        try:
            results = _joined(self._crew.map(run, taken.pieces()))
            check_entries(results, len(taken.matrix))
        except ResultTooLarge:
            raise
        except Exception as error:  # noqa: BLE001 - the runtime raises what it likes
            if options is not None and options.terminate:
                raise DeadlineExceeded(f"The model did not answer within {self._deadline:g} seconds.") from None
            log.warning("an ONNX program failed: %s", str(error)[:LOGGED])
            raise PredictFailed(f"The program raised {type(error).__name__} for these rows.") from None
        return taken.answered(results)

    def _keep(self, found: Runnable) -> "_Kept | None":
        """What is kept of a program; None while it is made, or where a host serves it.

        Whoever asks first makes it and the others wait for that, but nobody waits for a large one.
        """
        with self._lock:
            known = self._kept.get(found.digest)
            if known is not None:
                self._kept.move_to_end(found.digest)
            elif time.monotonic() - self._gone.get(found.digest, -ABSENCE) < ABSENCE:
                return None
            else:
                elsewhere(lasting=False)
                made = self._kept[found.digest] = Future()
        large = found.size > SMALL
        if known is None and large:
            threading.Thread(target=self._fill, args=(found, made), name="program", daemon=True).start()
            return None
        if known is None:
            self._fill(found, made)
            return made.result()
        if not known.done():
            if large:
                return None
            elsewhere(lasting=False)
        try:
            return known.result(PATIENCE)
        except TimeoutError:  # a host can serve it meanwhile
            return None

    def _fill(self, found: Runnable, made: "Future[_Kept | None]") -> None:
        made.set_result(self._make(found))
        self._make_room()

    def _make(self, found: Runnable) -> "_Kept | None":
        """A session, None if the program is for a host, which can serve whatever was taken."""
        try:
            cost = self._verdicts.of(found.digest, found.size).told
            if cost.kept <= MAX_KEPT:
                return _Kept(self._verdicts.read(found.digest), cost, found)
            log.info("a program runs in a host, since it would take too much of the server's memory")
        except Busy:  # the host that judges has no time for it now
            with self._lock:
                self._kept.pop(found.digest, None)
        except Exception as error:  # noqa: BLE001 - whatever it is, a host can serve it
            log.info("a program runs in a host: %s", error)
        return None

    @property
    def bytes(self) -> int:
        """What the sessions take, as far as it is known beforehand."""
        return sum(_size_of(future) for future in self._kept.values())

    def _make_room(self) -> None:
        with self._lock:
            while self.bytes > MAX_KEPT:
                self._forget(next(iter(self._kept)))

    def _forget(self, digest: str) -> None:
        """Let a program go, and have hosts serve it for a while."""
        now = time.monotonic()
        self._kept.pop(digest, None)
        self._gone = {one: at for one, at in self._gone.items() if now - at < ABSENCE} | {digest: now}


def _size_of(future: "Future[_Kept | None]") -> int:
    kept = future.result() if future.done() else None
    return kept.size if kept else 0


class Answered(NamedTuple):
    """What a program gave: one result for each method, and for which rows; None: for all."""

    results: list[Any]
    rows: NDArray[np.int64] | None = None


class Call(Struct, frozen=True):
    """A program that may be called for some rows.

    Attributes:
        digest: of the program.
        session: what computes.
        matrix: the rows.
        short: whether it is over before anybody could stop it.
        at_once: how many rows it computes at once; the others apart from them.
        trust: what it may answer; None for a version that is a program.
        inside: which rows of the request these are; None: all.
    """

    digest: str
    session: Any
    matrix: Any
    short: bool
    at_once: int
    trust: Trust | None = None
    inside: Any = None

    @property
    def decides(self) -> bool:
        """Whether it gives a margin beside its results."""
        return self.trust is not None and self.trust.least is not None

    def pieces(self) -> list[Matrix]:
        """The rows, as they are computed."""
        return [self.matrix[first : first + self.at_once] for first in range(0, len(self.matrix), self.at_once)]

    def answered(self, results: list[Any]) -> Answered:
        """The results without those that lie too near to an edge."""
        if not self.decides:
            return Answered(results, self.inside)
        margins, least = results.pop(), self.trust.least  # type: ignore[union-attr]
        if (margins.item() if margins.size == 1 else margins.min()) > least:
            return Answered(results, self.inside)
        far = margins[:, 0] > least
        rows = np.flatnonzero(far) if self.inside is None else self.inside[far]
        return Answered([result[far] for result in results], rows)


def _joined(parts: list[list[Any]]) -> list[Any]:
    """The results of all rows from those of some."""
    return parts[0] if len(parts) == 1 else [np.concatenate(results) for results in zip(*parts, strict=True)]


class _Kept:
    """A program that may run here, what it costs, and how it takes texts."""

    def __init__(self, data: bytes, cost: Cost, found: Runnable) -> None:
        from model_store.formats.onnx.program import Session

        self.cost = cost
        # What stands for an estimator has a margin as its last output, if it has one at all.
        methods = (*found.methods, MARGIN) if found.methods else ()
        self.session = Session(data, methods, patterns=True)
        self.trust = trust.decoded(self.session.metadata.get(trust.KEY, "")) if methods else None
        said = self.session.metadata.get(codes.KEY) if found.methods else None
        self._codes = codes.Codes(msgspec.json.decode(said, type=codes.Known)) if said else None
        #: Bytes of the largest call, and numbers of rows that have come, of all of which the runtime keeps some.
        self._largest = 0
        self._counts: set[int] = set()

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        of_counts = self.cost.call * len(self._counts) // KEPT_OF_STEPS
        return self.cost.kept + KEPT_OF_CALL * self._largest + of_counts

    def grows(self, rows: int, at_once: int, cores: int) -> bool:
        """Whether to compute rows, so many at once on so many cores, is larger or other than what has been."""
        before = self._largest, len(self._counts)
        self._largest = max(self._largest, at_once * cores * self.cost.bytes)
        self._counts |= {at_once, rows % at_once}
        return before != (self._largest, len(self._counts))

    def is_short(self, rows: int) -> bool:
        """Whether so many rows are computed in a few milliseconds."""
        cost = self.cost
        return cost.call + rows * cost.steps <= SHORT and rows * cost.bytes <= SHORT_BYTES

    def rows_at_once(self, rows: int) -> int:
        """How many of so many rows are computed at once."""
        few = min(MOST_ROWS, PIECE_BYTES // self.cost.bytes, PIECE_STEPS // max(1, self.cost.steps))
        return min(rows, max(FEWEST_ROWS, few))

    def is_too_much(self, rows: int) -> bool:
        """Whether to compute so many rows would take too much memory, or too long for a call to be stopped."""
        few, cost = self.rows_at_once(rows), self.cost
        takes = ((few, cost.bytes, MAX_BYTES), (few, cost.steps, MAX_STEPS), (rows, cost.given, MAX_VALUES))
        return any(count * each > most for count, each, most in takes)

    def matrix(self, table: Table) -> Matrix | None:
        """The rows as numbers, None if they have none."""
        if table.matrix is not None or self._codes is None:
            return table.matrix
        return self._codes.matrix([(cells.values, cells.valid) for cells in table.columns])


class Terminator:
    """Stops calls that take too long, between two of their operators; one thread for all of them."""

    def __init__(self) -> None:
        self._running: dict[int, tuple[float, Any]] = {}
        #: Until when the call of the one thread that must not wait may take, None if there is none.
        self._due: float | None = None
        self._began = 0.0
        self._options: Any = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def stopping(self, options: Any, seconds: float) -> Iterator[Any]:
        """The call that is made inside with these options is stopped after so many seconds."""
        self._start()
        with self._lock:
            self._running[id(options)] = (time.monotonic() + seconds, options)
        try:
            yield options
        finally:
            with self._lock:
                del self._running[id(options)]

    def begin(self, session: Any, seconds: float) -> Any:
        """The options of a call that is stopped after so many seconds, unless `end` is called before.

        For one thread only, so that nothing has to be locked.
        """
        if self._options is None or self._options.terminate:
            self._start()
            self._options = session.run_options()
        self._began = time.monotonic()
        self._due = self._began + seconds
        return self._options

    def end(self) -> float:
        """How many seconds that call took."""
        self._due = None
        return time.monotonic() - self._began

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._stop_the_overdue, name="terminator", daemon=True)
                self._thread.start()

    def _stop_the_overdue(self) -> None:
        pause = threading.Event()
        while not pause.wait(TICK):
            now = time.monotonic()
            if (due := self._due) is not None and due <= now:
                self._options.terminate = True
            with self._lock:
                for due, options in self._running.values():
                    if due <= now:
                        options.terminate = True
