"""The session of a program: what it costs, what may be asked of it at once, and one call of it."""

from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from model_store.acceleration import codes, trust
from model_store.acceleration.trust import MARGIN, Trust
from model_store.formats.onnx.cost import Cost
from wsgi_service.rows.tables import MAX_VALUES, Table
from wsgi_service.serving.runnable import Runnable

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
#: Of each byte of the largest call, a session keeps two.
KEPT_OF_CALL = 2
#: Of each number of rows that came, the runtime keeps where its tensors lay: a byte for so many steps of a call.
KEPT_OF_STEPS = 32


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


class Kept:
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
