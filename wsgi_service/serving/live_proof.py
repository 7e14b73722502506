"""The proof of a program goes on while it answers: some rows are asked of the estimator as well, in idle time.

These are the first hundred rows of a version, and one row in a thousand afterwards. One difference, and the
estimator answers from then on.
"""

import hashlib
import logging
import queue
import random
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, structs
from numpy.typing import NDArray

from model_store.acceleration.differences import Difference, dense, difference, smallest
from model_store.acceleration.report import TOLERANCE, Live
from model_store.acceleration.trust import Trust
from model_store.entities import NATIVE, Attribution, Version, now
from model_store.errors import NotFound, StoreError
from model_store.registry import Registry
from wsgi_service.errors import DeadlineExceeded, ModelCrashed, OutOfMemory, PredictFailed, ServingError
from wsgi_service.rows.tables import Table
from wsgi_service.serving.batching import joined, signature

log = logging.getLogger(__name__)

#: Of a version's rows so many are compared at first, and then one in so many.
FIRST, ONE_IN = 100, 1_000
#: Of so many answers it can be told what numbers are usual.
ENOUGH = 30
#: What waits to be compared, and rows that the estimator is asked for at once.
MOST_WAITING, MOST_ROWS = 500, 100
#: Versions of which is known how many rows were answered.
MOST_VERSIONS = 1_000
#: Seconds for which rows are gathered, since one call for many takes hardly longer than one for each, seconds
#: between two looks at whether there is nothing else to do, and between two notes in the registry.
GATHERED, PAUSE, NOTED = 0.2, 0.05, 1.0
#: Seconds after which a registry that did not answer is told again.
AGAIN = 30.0
SERVER = Attribution("server", "live-proof", "a row of a request was answered otherwise than by the estimator")


class Sample(Struct, frozen=True):
    """Rows that a program has answered.

    Attributes:
        version: that was asked.
        methods, results: what the program gave.
        table: the rows.
        sizes: method -> what differences of its numbers are measured by; see `Trust`.
    """

    version: Version
    methods: tuple[str, ...]
    results: list[Any]
    table: Table
    sizes: dict[str, tuple[float, ...]]

    @property
    def kind(self) -> Hashable:
        """Samples with the same one may be joined."""
        version = self.version
        return version.model, version.version, version.digest, self.methods, signature(self.table)


class _Counts(Struct):
    """Rows of a version.

    Attributes:
        answered: by its program.
        left: to the estimator.
        taken: to be compared.
        next: how many are answered when the next one is taken.
        noted: the rows that were answered, and those that were left, when the registry was told of them.
    """

    answered: int = 0
    left: int = 0
    taken: int = 0
    next: int = 0
    noted: tuple[int, int] = (0, 0)


class LiveProof:
    """Compares rows that programs have answered.

    Args:
        registry: where the result is noted, and the estimator pinned.
        ask: the estimator: gives the results of methods for a table, whatever program there is.
        idle: whether model hosts have nothing else to do.
        give_up: a version's program must not answer in this process any more.
        note: is told of each difference.
    """

    def __init__(
        self,
        registry: Registry,
        ask: Callable[[Version, Sequence[str], Table, Attribution], list[Any]],
        idle: Callable[[], bool],
        give_up: Callable[[Version], None],
        note: Callable[[str, int], None],
    ) -> None:
        self._registry = registry
        self._ask = ask
        self._idle = idle
        self._give_up = give_up
        self._note = note
        self._counts: OrderedDict[str, _Counts] = OrderedDict()
        #: Rows to be compared, or a version of which rows are to be counted.
        self._waiting: queue.Queue[Sample | Version] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        #: (model, version, digest) -> what is to be noted in the registry, and who is to be pinned there.
        self._found: dict[tuple[str, int, str], Live] = {}
        self._ended: set[tuple[str, int, str]] = set()
        #: Digests of versions whose program does not answer any more.
        self._over: set[str] = set()
        #: (digest, method) -> what the estimator answered last, which says what its usual numbers are.
        self._answers: OrderedDict[tuple[str, str], NDArray[Any]] = OrderedDict()
        self._noted = 0.0
        #: Whether the registry did not take what it was told last.
        self._refused = False

    def answered(
        self,
        version: Version,
        methods: Sequence[str],
        table: Table,
        results: list[Any],
        trust: Trust,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        """A program has answered these rows of a table (None: all); some of them may be compared."""
        counts = self._counts.get(version.digest) or self._begin(version.digest)
        count = table.rows if rows is None else len(rows)
        counts.answered += count
        if counts.taken < FIRST:
            wanted = FIRST - counts.taken
        elif counts.answered >= counts.next:
            wanted = 1
        else:
            return
        counts.next = counts.answered + ONE_IN
        chosen = np.array(sorted(random.sample(range(count), min(wanted, count, MOST_ROWS))))
        asked = table.at(chosen if rows is None else rows[chosen])
        sample = Sample(version, tuple(methods), [result[chosen] for result in results], asked, trust.sizes)
        if self._add(sample):
            counts.taken += len(chosen)

    def left(self, version: Version, rows: int) -> None:
        """A program has left so many rows to its estimator."""
        counts = self._counts.get(version.digest) or self._begin(version.digest)
        counts.left += rows
        if counts.noted[1] == 0 or counts.left >= counts.noted[1] + ONE_IN:
            self._add(version)

    def _begin(self, digest: str) -> _Counts:
        with self._lock:
            while len(self._counts) >= MOST_VERSIONS:
                self._counts.popitem(last=False)
            return self._counts.setdefault(digest, _Counts())

    def _add(self, what: Sample | Version) -> bool:
        """Have something looked at later; whether there is room for it."""
        try:
            self._waiting.put_nowait(what)
        except queue.Full:  # others of this version will come
            return False
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="live-proof", daemon=True)
                    self._thread.start()
        return True

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                first = self._waiting.get(timeout=self._until_noted())
            except queue.Empty:
                self._write()
                continue
            pause.wait(GATHERED)
            found = [first, *self._all_that_waits()]
            for version in found:
                if isinstance(version, Version):
                    self._take_up(version, Live(at=now()))
            for some in alike(one for one in found if isinstance(one, Sample)):
                while not self._idle():
                    pause.wait(PAUSE)
                self._look_at(some)
                self._write_in_time()
            self._write_in_time()

    def _write_in_time(self) -> None:
        """Tell the registry at once of a program that no longer answers, and of all else each second."""
        if (self._ended and not self._refused) or time.monotonic() - self._noted >= NOTED:
            self._write()

    def _all_that_waits(self) -> Iterator[Sample | Version]:
        try:
            for _ in range(MOST_WAITING):
                yield self._waiting.get_nowait()
        except queue.Empty:
            return

    def _look_at(self, some: list[Sample]) -> None:
        version = some[0].version
        try:
            self._take_up(version, self._compare(joined_sample(some)))
        except (ModelCrashed, DeadlineExceeded, OutOfMemory) as error:
            # It would be in quarantine soon, for what nobody has asked of it.
            counts = self._begin(version.digest)
            counts.taken, counts.next = FIRST, sys.maxsize
            log.warning("%s version %d is not compared any more: %s", version.model, version.version, error)
        except (ServingError, StoreError) as error:
            if isinstance(error, PredictFailed) and len(some) > 1:  # one of the rows may be what it does not take
                for one in some:
                    self._look_at([one])
                return
            self._begin(version.digest).taken -= sum(one.table.rows for one in some)  # others come in their place
            log.info("%s version %d was not compared: %s", version.model, version.version, error)
        except Exception:  # whatever it is, the next rows are compared
            log.exception("%s version %d was not compared", version.model, version.version)

    def _until_noted(self) -> float | None:
        """Seconds until the registry is told of what was found; None if there is nothing."""
        if not (self._found or self._ended):
            return None
        return AGAIN if self._refused else NOTED

    def _take_up(self, version: Version, found: Live) -> None:
        key = (version.model, version.version, version.digest)
        self._found[key] = self._found.get(key, Live()) + found

    def _compare(self, sample: Sample) -> Live:
        """Ask the estimator. Raises ServingError or StoreError if it does not answer."""
        version = sample.version
        expected = self._ask(version, sample.methods, sample.table, SERVER)
        wrong = np.zeros(sample.table.rows, dtype=np.bool_)
        for method, one, other in zip(sample.methods, expected, sample.results, strict=True):
            size = self._size(version.digest, method, dense(one), sample.sizes.get(method, ()))
            wrong |= differing(dense(one), dense(other), size)
        if wrong.any():
            self._end(sample, int(np.flatnonzero(wrong)[0]))
        return Live(rows=len(wrong), differences=int(wrong.sum()), at=now())

    def _size(self, digest: str, method: str, expected: NDArray[Any], sizes: Sequence[float]) -> Any:
        """What differences are measured by: of rows near the data, or of the last rows if these are smaller."""
        if expected.dtype.kind != "f":
            return 0.0
        known = self._answers.pop((digest, method), expected[:0])
        known = np.concatenate([known, expected])[-FIRST:] if known.shape[1:] == expected.shape[1:] else expected
        self._answers[digest, method] = known
        while len(self._answers) > MOST_VERSIONS:
            self._answers.popitem(last=False)
        size = np.reshape(sizes, expected.shape[1:]) if sizes else 0.0
        return np.minimum(size, smallest(known)) if len(known) >= ENOUGH else size

    def _end(self, sample: Sample, row: int) -> None:
        """Let the estimator answer from now on; the registry is told of it until it has heard."""
        version = sample.version
        if version.digest in self._over:
            return
        self._over.add(version.digest)
        self._ended.add((version.model, version.version, version.digest))
        self._give_up(version)
        self._note(version.model, version.version)
        log.error(
            "%s version %d: its program answered a row otherwise than its estimator, which answers from now on "
            "(the row's sha256: %s)",
            version.model, version.version, digest_of_row(sample.table, row),
        )  # fmt: skip

    def _write(self) -> None:
        """Note in the registry what was found; what it does not take is noted later."""
        self._noted, self._refused = time.monotonic(), False
        for key in [*self._ended, *self._found]:
            try:
                self._write_one(*key)
            except NotFound:  # it was deleted meanwhile
                pass
            except StoreError as error:
                log.info("%s version %d: what was compared is not noted yet: %s", *key[:2], error)
                self._refused = True
                continue
            self._found.pop(key, None)
            self._ended.discard(key)

    def _write_one(self, model: str, number: int, digest: str) -> None:
        if (model, number, digest) in self._ended:
            self._registry.update_version(model, number, {"engine": NATIVE}, SERVER)
        if live := self._found.get((model, number, digest)):
            counts = self._counts.get(digest) or _Counts()
            answered, left = counts.answered, counts.left
            more = Live(answered=answered - counts.noted[0], left=left - counts.noted[1], at=live.at)
            self._registry.note_compared(model, number, live + more)
            counts.noted = answered, left


def alike(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Samples that may be joined together, but of no more than MOST_ROWS rows."""
    kinds: dict[Hashable, list[Sample]] = {}
    for sample in samples:
        some = kinds.setdefault(sample.kind, [])
        if sum(one.table.rows for one in some) + sample.table.rows > MOST_ROWS:
            yield kinds.pop(sample.kind)
        kinds.setdefault(sample.kind, []).append(sample)
    yield from kinds.values()


def joined_sample(some: Sequence[Sample]) -> Sample:
    """Samples of the same kind as one."""
    results = [np.concatenate(parts) for parts in zip(*(one.results for one in some), strict=True)]
    return structs.replace(some[0], results=results, table=joined([one.table for one in some]))


def differing(expected: NDArray[Any], found: NDArray[Any], size: Any) -> NDArray[np.bool_]:
    """Which rows of a program's result are not the estimator's, within the tolerance for numbers."""
    if expected.shape != found.shape:
        return np.ones(len(expected), dtype=np.bool_)
    if not _differs(difference(expected, found, size)):
        return np.zeros(len(expected), dtype=np.bool_)
    each = (difference(expected[[row]], found[[row]], size) for row in range(len(expected)))
    return np.array([_differs(one) for one in each], dtype=np.bool_)


def _differs(found: Difference) -> bool:
    return found.mismatches > 0 or not found.relative <= TOLERANCE


def digest_of_row(table: Table, row: int) -> str:
    """A name for a row that does not say what is in it."""
    one = table.at(np.array([row]))
    values = one.matrix.tolist() if one.matrix is not None else [
        cells.values if isinstance(cells.values, list) else cells.values.tolist() for cells in one.columns
    ]  # fmt: skip
    return hashlib.sha256(repr(values).encode()).hexdigest()
