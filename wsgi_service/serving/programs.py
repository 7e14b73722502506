"""ONNX programs that run in the HTTP process itself: those of which it is known beforehand that they end.

The bytes come from an upload or from a model host, which need not be honest, so they pass the same rules here as
in the judging host, and what they compute must be bounded (`model_store.formats.onnx.bounds`). A session is made
here after a model host made one and answered, with the same release of the runtime.
"""

import io
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

import numpy as np
from msgspec import UNSET, Struct
from numpy.typing import NDArray

from model_store.acceleration import codes, trust
from model_store.acceleration.trust import MARGIN, Trust
from model_store.artifacts import Artifacts, digest_of
from model_store.entities import ONNX, Version
from model_store.errors import ArtifactCorrupt
from wsgi_service.at_once import elsewhere
from wsgi_service.cores import Crew
from wsgi_service.serving.errors import TOO_MANY, Busy, DeadlineExceeded, PredictFailed
from wsgi_service.serving.tables import MAX_VALUES, Table
from wsgi_service.serving.wanted import ALWAYS, Wanted

log = logging.getLogger(__name__)

Matrix = NDArray[np.float64]

#: Numbers that may be computed here at once, and numbers of the program gone through; more is for a host.
MAX_CELLS = 20_000_000
MAX_STEPS = 2_000_000_000
#: So few numbers are gone through in a few milliseconds, and need nobody who would stop them.
SHORT = 5_000_000
#: Of rows that may be computed apart, so many are computed at once, and no more numbers for them: few enough to
#: stay in a core's cache, and to be stopped in between.
FEWEST_ROWS, MOST_ROWS = 256, 4096
PIECE_CELLS, PIECE_STEPS = 1_000_000, 50_000_000
#: Numbers that one call may compute where others wait for it: its answer must not fill the connection's buffers.
AT_ONCE = 200_000
#: Bytes of sessions that are kept here, each counted as so many times its file: trees grow the most.
MAX_KEPT = 256 << 20
GROWTH = 20
#: Seconds that are waited for a session that somebody else makes.
PATIENCE = 0.5
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


def runnable(version: Version) -> Runnable | None:
    """The program of a version, None if it has none, or its estimator is to answer."""
    if version.format == ONNX:
        return Runnable(version.digest, version.size)
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
    """

    def __init__(self, artifacts: Artifacts, deadline: float, cores: int = 1) -> None:
        self._artifacts = artifacts
        self._deadline = deadline
        #: Of the calls that are not short as many are made at once, and the cores that are left over help.
        self._places = threading.Semaphore(cores)
        self._crew = Crew(cores - 1)
        #: Digests of programs with which a model host has answered, or has died.
        self._answered: set[str] = set()
        self._distrusted: set[str] = set()
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

    def take(self, found: Runnable | None, methods: Sequence[str], table: Table) -> "Call | None":
        """The call of a program for these rows, if they may be computed here."""
        if found is None or not self.trusts(found) or not found.answers(methods):
            return None
        kept = self._keep(found)
        if kept is None or kept.is_too_much(table.rows):
            return None
        short = table.rows * (kept.cells + kept.constants) <= SHORT
        matrix = kept.matrix(table)
        if matrix is None:
            return None
        within = kept.trust is None or kept.trust.within(matrix)
        if within is False:
            return None
        if not short or table.rows * kept.cells > AT_ONCE:
            elsewhere(lasting=False)
        inside = None if within is True else np.flatnonzero(within)
        rows = table.rows if short else kept.rows_at_once(table.rows)
        return Call(kept.session, matrix if inside is None else matrix[inside], short, rows, kept.trust, inside)

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
            PredictFailed: ONNX Runtime refused.
        """
        if taken.short:
            return self._run(taken, methods, None)
        until = time.monotonic() + self._deadline
        with self._place(until, wanted):
            left = until - time.monotonic()
            with self._terminator.stopping(taken.session.run_options(), left) as options:
                return self._run(taken, methods, options)

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
            return taken.answered(_joined(self._crew.map(run, taken.pieces())))
        except Exception as error:  # noqa: BLE001 - the runtime raises what it likes
            if options is not None and options.terminate:
                raise DeadlineExceeded(f"The model did not answer within {self._deadline:g} seconds.") from None
            log.warning("an ONNX program failed: %s", str(error)[:LOGGED])
            raise PredictFailed(f"The program raised {type(error).__name__} for these rows.") from None

    def _keep(self, found: Runnable) -> "_Kept | None":
        """What is kept of a program. Whoever asks first makes it, and the others wait for that."""
        with self._lock:
            known = self._kept.get(found.digest)
            if known is not None:
                self._kept.move_to_end(found.digest)
            else:
                elsewhere(lasting=False)
                made = self._kept[found.digest] = Future()
        if known is None:
            made.set_result(self._make(found))
            self._make_room()
            return made.result()
        if not known.done():
            elsewhere(lasting=False)
        try:
            return known.result(PATIENCE)
        except TimeoutError:  # a host can serve it meanwhile
            return None

    def _make(self, found: Runnable) -> "_Kept | None":
        """A session, None if the program is for a host, which can serve whatever was taken."""
        try:
            with self._artifacts.open(found.digest) as file:
                data = file.read()
            return _Kept(data, found)
        except Exception as error:  # noqa: BLE001 - whatever it is, a host can serve it
            log.info("a program runs in a host: %s", error)
            return None

    def _make_room(self) -> None:
        with self._lock:
            while sum(_size_of(future) for future in self._kept.values()) > MAX_KEPT:
                self._kept.popitem(last=False)


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
        session: what computes.
        matrix: the rows.
        short: whether it is over before anybody could stop it.
        at_once: how many rows it computes at once; the others apart from them.
        trust: what it may answer; None for a version that is a program.
        inside: which rows of the request these are; None: all.
    """

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
        far = results.pop()[:, 0] > self.trust.least  # type: ignore[union-attr]
        if far.all():
            return Answered(results, self.inside)
        rows = np.flatnonzero(far) if self.inside is None else self.inside[far]
        return Answered([result[far] for result in results], rows)


def _joined(parts: list[list[Any]]) -> list[Any]:
    """The results of all rows from those of some."""
    return parts[0] if len(parts) == 1 else [np.concatenate(results) for results in zip(*parts, strict=True)]


def checked(data: bytes) -> tuple[Any, Any]:
    """A program that may run here, and what it costs (`bounds.Cost`).

    Raises:
        Refused: by the rule that it breaks.
        ValueError: it is not bounded, or too large.
    """
    from model_store.formats.onnx.bounds import cost_of
    from model_store.formats.onnx.checks import RULES, parse
    from model_store.formats.rules import Audit

    if GROWTH * len(data) > MAX_KEPT:
        raise ValueError("it would take too much of the server's memory")
    audit = Audit()
    model = parse(data, audit)
    audit.apply(RULES, model)
    return model, cost_of(model)


class _Kept:
    """A program that passed the rules and is bounded, what it costs, and how it takes texts."""

    def __init__(self, data: bytes, found: Runnable) -> None:
        from model_store.formats.onnx.checks import width_of
        from model_store.formats.onnx.program import Session

        if digest_of(io.BufferedReader(io.BytesIO(data))) != found.digest:
            raise ArtifactCorrupt("The stored bytes of this version are damaged.")
        model, cost = checked(data)
        self.cells, self.constants, self._given = cost
        self.size = GROWTH * len(data)
        #: Of a program that was uploaded, rows may look at each other.
        self._apart = bool(found.methods)
        self.trust = trust.read(model, width_of(model)) if found.methods else None
        decides = self.trust is not None and self.trust.least is not None
        self.session = Session(model, (*found.methods, MARGIN) if decides else found.methods)
        self._codes = codes.read(model, width_of(model)) if found.methods else None

    def rows_at_once(self, rows: int) -> int:
        """How many of so many rows are computed at once."""
        few = min(MOST_ROWS, PIECE_CELLS // self.cells, PIECE_STEPS // max(1, self.constants))
        return min(rows, max(FEWEST_ROWS, few)) if self._apart else rows

    def is_too_much(self, rows: int) -> bool:
        """Whether to compute so many rows would take too much memory, or too long for a call to be stopped."""
        few = self.rows_at_once(rows)
        takes = ((few, self.cells, MAX_CELLS), (few, self.constants, MAX_STEPS), (rows, self._given, MAX_VALUES))
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
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def stopping(self, options: Any, seconds: float) -> Iterator[Any]:
        """The call that is made inside with these options is stopped after so many seconds."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._stop_the_overdue, name="terminator", daemon=True)
                self._thread.start()
            self._running[id(options)] = (time.monotonic() + seconds, options)
        try:
            yield options
        finally:
            with self._lock:
                del self._running[id(options)]

    def _stop_the_overdue(self) -> None:
        pause = threading.Event()
        while not pause.wait(TICK):
            now = time.monotonic()
            with self._lock:
                for due, options in self._running.values():
                    if due <= now:
                        options.terminate = True
