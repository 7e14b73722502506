"""Large JSON bodies of nothing but rows of numbers, read by simdjson where it is installed (the `fast` extra).

It makes one array of a body and no Python object for each number: 0.5 ms for 1,000 x 30 where others take 1.4 ms.
Whatever it does not take is read the other way, which has the messages.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Bytes of a body from which on it is faster.
LARGE = 4096
#: Bytes of a body whose parser is kept, with fourteen times as much memory.
MOST_KEPT = 512 * 1024
ROWS = "instances"
#: What it raises for what it does not take.
REFUSALS = (ValueError, TypeError, RuntimeError, MemoryError)


class Parsers:
    """Parsers of a library, one of which is kept: to make one takes as long as to use it.

    Args:
        library: simdjson.
    """

    def __init__(self, library: Any) -> None:
        self._make = library.Parser
        self._kept = library.Parser()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, length: int) -> Iterator[Any]:
        """A parser for a body of this length; what it gave must be gone afterwards."""
        if length > MOST_KEPT or not self._lock.acquire(blocking=False):
            yield self._make()
            return
        try:
            yield self._kept
        finally:
            self._lock.release()


@cache
def _parsers() -> Parsers | None:
    """Those of simdjson; None if it is not installed."""
    try:
        import simdjson
    except ImportError:
        return None
    return Parsers(simdjson)


def read_matrix(body: bytes) -> NDArray[np.float64] | None:
    """The rows of `{"instances": [[…], …]}`; None if the body is small or has anything else in it."""
    parsers = _parsers() if len(body) >= LARGE else None
    if parsers is None:
        return None
    with parsers.one(len(body)) as parser:
        try:
            matrix = _matrix(parser, body)
        except REFUSALS:
            return None
    return None if matrix is None or _has_signed_zeros(body, matrix) else matrix


def _matrix(parser: Any, body: bytes) -> NDArray[np.float64] | None:
    """The rows, None if they are not of one length. Raises REFUSALS."""
    document = parser.parse(body)
    if list(document) != [ROWS]:
        return None
    rows = document[ROWS]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or 0 in widths or body.count(b"[") != len(rows) + 1:  # arrays in arrays would be made flat
        return None
    return np.frombuffer(rows.as_buffer(of_type="d")).reshape(len(rows), widths.pop())


def _has_signed_zeros(body: bytes, matrix: NDArray[np.float64]) -> bool:
    """Whether there may be a -0, of which simdjson makes a whole number, which has no sign."""
    return b"-" in body and b"-0" in body and not matrix.all()
