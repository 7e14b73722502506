"""What was predicted, kept in files for later: rows, answers, and which version gave them.

Off unless a setting names models. Requests hand over what they have and go on; one thread writes. Each process has
its own file, of one JSON object in each line. A file that is full is followed by another; the oldest ones go.
"""

import errno
import logging
import os
import queue
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from msgspec import Struct

from model_store.artifacts.private import make_folder, open_new
from model_store.entities import now
from wsgi_service.rows.answer import Answer
from wsgi_service.rows.tables import Cells, Table
from wsgi_service.settings import MEGABYTE, Settings

log = logging.getLogger(__name__)

FOLDER, SUFFIX = "predictions", ".ndjson"
#: How the names of files begin.
BEGUN = "%Y%m%dT%H%M%S%f"
#: A file may seem to be begun so much later than now: clocks of several machines differ.
AHEAD = timedelta(days=1)
LARGEST_FILE = 64 * MEGABYTE
#: Requests, and rows in them, that wait to be written; what comes beyond them is not kept.
MOST_WAITING, MOST_ROWS = 1_000, 200_000
#: Seconds that the end of a server waits for what is left to be written.
CLOSING = 5.0


class Entry(Struct, frozen=True, kw_only=True):
    """One answered request.

    Attributes:
        rows: those that were right, in the order of the version's columns; null where a value was missing.
        outputs: method -> one entry for each of these rows.
    """

    time: str
    model: str
    version: int
    digest: str
    engine: str
    request_id: str
    alias: str | None = None
    trace_id: str | None = None
    rows: list[list[Any]]
    outputs: dict[str, list[Any]]


class PredictionLog:
    """Keeps a share of the requests of some models.

    Args:
        settings: prediction_log, prediction_log_limit and prediction_log_days are used.
        chance: gives numbers from 0 to 1.
    """

    def __init__(self, settings: Settings, chance: Callable[[], float] = random.random) -> None:
        self._shares = settings.shares
        self._files = Files(
            settings.folder / FOLDER, settings.prediction_log_limit * MEGABYTE, settings.prediction_log_days
        )
        self._chance = chance
        self._waiting: queue.Queue[tuple[int, Callable[[], Entry]] | None] = queue.Queue(MOST_WAITING)
        self._rows = 0
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        #: Requests that were to be kept and were not.
        self.lost = 0

    def note(self, answered: Answer, table: Table | None, trace: str | None = None) -> None:
        """Keep an answered request, if it is one of those; what it holds must not be changed afterwards."""
        if not self._shares or table is None or not self._is_kept(answered.version.model):
            return
        self._start()
        with self._lock:
            if self._rows + table.rows <= MOST_ROWS and not self._waiting.full():
                self._rows += table.rows
                self._waiting.put_nowait((table.rows, lambda: entry_of(answered, table, trace)))
                return
        if not self.lost:
            log.warning("predictions come faster than they can be kept, and some are not")
        self.lost += 1

    def sweep(self) -> None:
        """Remove what is too old, or too much. Raises OSError."""
        self._files.sweep()

    def close(self) -> None:
        """Write what is left, and end."""
        if self._writer is None:
            return
        try:
            self._waiting.put(None, timeout=CLOSING)
        except queue.Full:
            log.warning("the disk does not take what is left of the prediction log")
        else:
            self._writer.join(CLOSING)

    def _is_kept(self, model: str) -> bool:
        share = next((share for pattern, share in self._shares if fnmatchcase(model, pattern)), 0.0)
        return share > 0.0 and self._chance() < share

    def _start(self) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="prediction-log", daemon=True)
                self._writer.start()

    def _write(self) -> None:
        for rows, make in iter(self._waiting.get, None):
            with self._lock:
                self._rows -= rows
            try:
                self._files.append(msgspec.json.encode(make()) + b"\n", flush=self._waiting.empty())
            except OSError as error:
                self.lost += 1
                log.warning("a prediction was not kept: %s", error.strerror)
            except Exception:
                self.lost += 1
                log.exception("a prediction was not kept")
        self._files.close()


def entry_of(answered: Answer, table: Table, trace: str | None) -> Entry:
    """What is kept of a request."""
    version = answered.version
    good = set(range(answered.rows)) - {error.row for error in answered.errors}
    return Entry(
        time=now(),
        model=version.model,
        version=version.version,
        digest=version.digest,
        engine=answered.engine,
        alias=answered.alias,
        request_id=answered.request_id,
        trace_id=trace,
        rows=rows_of(table),
        outputs={name: [outputs[index] for index in sorted(good)] for name, outputs in answered.outputs.items()},
    )


def rows_of(table: Table) -> list[list[Any]]:
    """The rows of a table as JSON has them: null for what is missing, times in RFC 3339."""
    if table.matrix is not None:
        return [[None if value != value else value for value in row] for row in table.matrix.tolist()]  # noqa: PLR0124
    return [list(row) for row in zip(*map(_values_of, table.columns), strict=True)]


def _values_of(cells: Cells) -> list[Any]:
    values = cells.values if isinstance(cells.values, list) else _plain(cells.values)
    if cells.valid is None:
        return [None if value != value else value for value in values]  # noqa: PLR0124 - which is how NaN is told
    return [value if there else None for value, there in zip(values, cells.valid.tolist(), strict=True)]


def _plain(values: Any) -> list[Any]:
    if values.dtype.kind == "M":
        return [str(value) for value in np.datetime_as_string(values, unit="us")]
    plain: list[Any] = values.tolist()
    return plain


class Files:
    """The files of all processes, and the one that this one writes.

    Args:
        folder: where they are; it is made when something is written.
        limit: bytes of all of them together.
        days: after which one goes.
    """

    def __init__(self, folder: Path, limit: int, days: float) -> None:
        self._folder = folder
        self._limit = limit
        self._days = days
        #: Bytes of one file: several make the limit, so that the oldest can go.
        self._largest = min(LARGEST_FILE, limit // 4)
        self._file: IO[bytes] | None = None
        self._size = 0
        self._day = date.min

    def append(self, line: bytes, flush: bool = True) -> None:
        """Write a line. Raises OSError; also for one that takes more than a file may."""
        if len(line) > self._largest:
            raise OSError(errno.EFBIG, "It takes more than a file of the prediction log may")
        if self._file is None or self._size + len(line) > self._largest or self._is_over():
            self._begin()
        assert self._file is not None  # noqa: S101 - begun above
        self._file.write(line)
        self._size += len(line)
        if flush:
            self._file.flush()

    def _is_over(self) -> bool:
        """Whether the file is of another day, or another process has swept it away."""
        assert self._file is not None  # noqa: S101 - whoever asks has one
        return self._day != datetime.now(UTC).date() or not os.fstat(self._file.fileno()).st_nlink

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        """Begin a file, and remove what is too old or too much."""
        self.close()
        make_folder(self._folder)
        self.sweep()
        begun = datetime.now(UTC)
        path = self._folder / f"{begun.strftime(BEGUN)}-{os.getpid()}{SUFFIX}"
        self._file = open(path, "xb", opener=open_new)  # noqa: SIM115 - Path.open takes no opener
        self._size, self._day = 0, begun.date()

    def sweep(self) -> None:
        """Remove what is too old, or too much. Raises OSError."""
        present = datetime.now(UTC)
        earliest = present - timedelta(days=self._days)
        room = self._limit - self._largest
        for path in self._folder.glob(f"*{SUFFIX}"):
            if _begun(path) > present + AHEAD:
                _begin_anew(path, present)
        for path in sorted(self._folder.glob(f"*{SUFFIX}"), reverse=True):
            with suppress(FileNotFoundError):  # another process was first
                room -= path.stat().st_size
                if room < 0 or _begun(path) < earliest:
                    _remove(path)


def _begun(path: Path) -> datetime:
    """When a file was begun, which is when its oldest row is of; one that is not ours is of today."""
    try:
        return datetime.strptime(path.name.partition("-")[0], BEGUN).replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)


def _begin_anew(path: Path, present: datetime) -> None:
    """Let a file age from now on that was begun before the clock went back: it would outlive all later ones."""
    with suppress(OSError):  # another process was first; or, on Windows, writes it
        path.rename(path.with_name(f"{present.strftime(BEGUN)}-{path.name.partition('-')[2]}"))


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:  # on Windows, another process writes it
        log.info("%s stays for now: %s", path.name, error.strerror)


def read_log(path: Path) -> Iterator[Entry]:
    """The entries of a file, or of all in a folder, oldest first. Raises ValueError naming a line that is none."""
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    decoder = msgspec.json.Decoder(Entry)
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield decoder.decode(line)
                except msgspec.MsgspecError as error:
                    if line.endswith(b"\n"):
                        raise ValueError(f"{file.name}, line {number}: {error}") from None
                    break  # the server is writing it, or was ended while it did
