"""ONNX programs that run in the HTTP process itself: those of which it is known beforehand that they end.

The bytes come from an upload, so they pass the same rules here as in the judging host, and what they compute must
be bounded (`model_store.formats.onnx.bounds`). A session is made here after a model host made one and answered.
"""

import io
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from model_store.artifacts import Artifacts, digest_of
from model_store.entities import Version
from model_store.errors import ArtifactCorrupt
from wsgi_service.serving.errors import DeadlineExceeded, PredictFailed
from wsgi_service.serving.tables import Table

if TYPE_CHECKING:
    from model_store.formats.onnx.program import Program

log = logging.getLogger(__name__)

FORMAT = "onnx"
#: Numbers that one call may compute here, and numbers of the program that it may go through; more is for a host.
MAX_CELLS = 20_000_000
MAX_STEPS = 2_000_000_000
#: Bytes of sessions that are kept here, each counted as so many times its file: trees grow the most.
MAX_KEPT = 256 << 20
GROWTH = 20
#: Seconds between two looks at what is overdue.
TICK = 0.1
#: Characters of the runtime's words that go to the log.
LOGGED = 300


class Programs:
    """The sessions of the HTTP process.

    Args:
        artifacts: where the bytes are.
        deadline: seconds a call may take.
    """

    def __init__(self, artifacts: Artifacts, deadline: float) -> None:
        self._artifacts = artifacts
        self._deadline = deadline
        self._answered: set[str] = set()
        self._kept: OrderedDict[str, _Kept | None] = OrderedDict()
        self._lock = threading.Lock()
        self._terminator = Terminator()

    def answered(self, version: Version) -> None:
        """A model host has made a session of this version and answered with it."""
        if version.format == FORMAT:
            self._answered.add(version.digest)

    def distrust(self, version: Version) -> None:
        """The version has taken a model host down: it runs in hosts until one has answered with it again."""
        with self._lock:
            self._answered.discard(version.digest)
            self._kept.pop(version.digest, None)

    def take(self, version: Version, table: Table) -> "Program | None":
        """The program of a version, if this table may be computed here."""
        if version.format != FORMAT or version.digest not in self._answered or table.matrix is None:
            return None
        kept = self._keep(version)
        if kept is None or table.rows * kept.cells > MAX_CELLS or table.rows * kept.constants > MAX_STEPS:
            return None
        return kept.program

    def call(self, program: "Program", method: str, table: Table) -> Any:
        """The result of a method for a table.

        Raises:
            DeadlineExceeded: it took too long and was stopped.
            PredictFailed: ONNX Runtime refused.
        """
        with self._terminator.stopping(program.run_options(), self._deadline) as options:
            try:
                return program.call(method, table.matrix, options)
            except Exception as error:  # noqa: BLE001 - the runtime raises what it likes
                if options.terminate:
                    raise DeadlineExceeded(
                        f"The model did not answer within {self._deadline:g} seconds."
                    ) from None
                log.warning("an ONNX program failed: %s", str(error)[:LOGGED])
                raise PredictFailed(f"The program raised {type(error).__name__} for these rows.") from None

    def _keep(self, version: Version) -> "_Kept | None":
        """What is kept of a version. Whoever asks first makes it; until it is made a host serves the others."""
        with self._lock:
            if version.digest in self._kept:
                self._kept.move_to_end(version.digest)
                return self._kept[version.digest]
            self._kept[version.digest] = None
        made = self._make(version)
        with self._lock:
            if version.digest in self._kept:  # and was not distrusted meanwhile
                self._kept[version.digest] = made
                self._make_room()
        return made

    def _make(self, version: Version) -> "_Kept | None":
        """A session, None if the program is for a host, which can serve whatever was taken."""
        if GROWTH * version.size > MAX_KEPT:
            return None
        try:
            with self._artifacts.open(version.digest) as file:
                data = file.read()
            return _Kept(data, version.digest)
        except Exception as error:  # noqa: BLE001 - whatever it is, a host can serve it
            log.info("%s version %d runs in a host: %s", version.model, version.version, error)
            return None

    def _make_room(self) -> None:
        while sum(kept.size for kept in self._kept.values() if kept) > MAX_KEPT:
            self._kept.popitem(last=False)


class _Kept:
    """A program that passed the rules and is bounded, and what it costs."""

    def __init__(self, data: bytes, digest: str) -> None:
        from model_store.formats.onnx.bounds import cost_of
        from model_store.formats.onnx.checks import RULES, parse
        from model_store.formats.onnx.program import Program
        from model_store.formats.rules import Audit

        if digest_of(io.BufferedReader(io.BytesIO(data))) != digest:
            raise ArtifactCorrupt("The stored bytes of this version are damaged.")
        audit = Audit()
        model = parse(data, audit)
        audit.apply(RULES, model)
        self.cells, self.constants = cost_of(model)
        self.size = GROWTH * len(data)
        self.program = Program(model)


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
