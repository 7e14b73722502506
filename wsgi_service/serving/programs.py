"""ONNX programs that run in the HTTP process itself: those of which it is known beforehand that they end.

The bytes come from a model host, which need not be honest, or, where the operator wants that, from an upload. So
what they compute must be bounded (`verdicts.py`), and every call can be stopped. A session is made here after a
model host made one and answered, with the same release of the runtime.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np

from model_store.acceleration.trust import MARGIN
from model_store.artifacts.local import Artifacts
from wsgi_service.at_once import elsewhere, must_not_wait
from wsgi_service.errors import TOO_MANY, Busy, DeadlineExceeded, PredictFailed, ResultTooLarge
from wsgi_service.hosts.verdicts import SMALL, Verdicts
from wsgi_service.rows.tables import Table, check_entries
from wsgi_service.serving.crew import Crew
from wsgi_service.serving.recent import Recent
from wsgi_service.serving.runnable import Runnable, runtime
from wsgi_service.serving.sessions import Answered, Call, Kept, Matrix
from wsgi_service.serving.terminator import Terminator
from wsgi_service.serving.wanted import ALWAYS, Wanted

log = logging.getLogger(__name__)


#: Values that one call may give where others wait for it: its answer must not fill the connection's buffers.
AT_ONCE = 200_000
#: Seconds after which a call is stopped where others wait for it; the program stays in hosts then.
QUICK = 0.25
#: Bytes of sessions that are kept here.
MAX_KEPT = 256 << 20
#: Seconds that are waited for a session that somebody else makes, and for which one that had to make room is not
#: made again.
PATIENCE = 0.5
ABSENCE = 60.0
#: Characters of the runtime's words that go to the log.
LOGGED = 300


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
        self._answered: Recent[str, bool] = Recent()
        self._distrusted: Recent[str, bool] = Recent()
        #: Digests of programs that have held up those who waited, and stay in hosts.
        self._slow: Recent[str, bool] = Recent()
        #: Digest -> when it had to make room.
        self._gone: dict[str, float] = {}
        #: Digest -> what is kept, or is being made.
        self._kept: OrderedDict[str, Future[Kept | None]] = OrderedDict()
        self._lock = threading.Lock()
        self._terminator = Terminator()

    def answered(self, digest: str) -> None:
        """A model host has made a session of this program and answered with it."""
        self._answered.put(digest, value=True)
        self._distrusted.discard(digest)

    def trusts(self, found: Runnable) -> bool:
        """Whether a model host has answered with this program, at least when it was proven."""
        if found.digest in self._answered:
            return True
        return bool(found.runtime) and found.runtime == runtime() and found.digest not in self._distrusted

    def serves(self, found: Runnable) -> bool:
        """Whether a program answers here, and has not been left to hosts."""
        kept = self._kept.get(found.digest)
        refused = kept is not None and kept.done() and kept.result() is None
        return self.trusts(found) and not (refused or found.digest in self._slow)

    def prepare(self, found: Runnable) -> None:
        """Make the session of a program now, if it may run here at all."""
        if self.trusts(found):
            self._keep(found)

    def distrust(self, digest: str) -> None:
        """The program has taken a model host down: it runs in hosts until one has answered with it again."""
        with self._lock:
            self._distrusted.put(digest, value=True)
            self._answered.discard(digest)
            self._kept.pop(digest, None)

    @property
    def slow(self) -> int:
        """How many programs have held up those who waited, and stay in hosts."""
        return len(self._slow)

    def take(self, found: Runnable | None, methods: Sequence[str], table: Table) -> Call | None:
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

    def call(self, taken: Call, methods: Sequence[str], wanted: Wanted = ALWAYS) -> Answered:
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

    def _run_shortly(self, taken: Call, methods: Sequence[str]) -> Answered:
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
                self._slow.put(taken.digest, value=True)
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

    def _run(self, taken: Call, methods: Sequence[str], options: Any) -> Answered:
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

    def _keep(self, found: Runnable) -> Kept | None:
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

    def _fill(self, found: Runnable, made: Future[Kept | None]) -> None:
        made.set_result(self._make(found))
        self._make_room()

    def _make(self, found: Runnable) -> Kept | None:
        """A session, None if the program is for a host, which can serve whatever was taken."""
        try:
            cost = self._verdicts.of(found.digest, found.size).told
            if cost.kept <= MAX_KEPT:
                return Kept(self._verdicts.read(found.digest), cost, found)
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
        made = (future.result() for future in self._kept.values() if future.done())
        return sum(kept.size for kept in made if kept)

    def _make_room(self) -> None:
        with self._lock:
            while self.bytes > MAX_KEPT:
                self._forget(next(iter(self._kept)))

    def _forget(self, digest: str) -> None:
        """Let a program go, and have hosts serve it for a while."""
        now = time.monotonic()
        self._kept.pop(digest, None)
        self._gone = {one: at for one, at in self._gone.items() if now - at < ABSENCE} | {digest: now}


def _joined(parts: list[list[Any]]) -> list[Any]:
    """The results of all rows from those of some."""
    return parts[0] if len(parts) == 1 else [np.concatenate(results) for results in zip(*parts, strict=True)]
