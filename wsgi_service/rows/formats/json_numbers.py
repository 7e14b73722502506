"""Large JSON bodies of nothing but rows of numbers, read by simdjson where it is installed (the `fast` extra).

It makes one array of a body and no Python object for each number: 0.5 ms for 1,000 x 30 where others take 1.4 ms.
Whatever it does not take is read the other way, which has the messages.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsgi_service.http.budget import UNCOUNTED, Claim
from wsgi_service.rows.unread import INSTANCES

#: Bytes of a body from which on it is faster, and beyond which it asks the system for too much memory at once:
#: fourteen times as much, whether it is used or not.
LARGE, LARGEST = 4096, 4 << 20
#: Bytes of a body whose parser is kept.
MOST_KEPT = 512 * 1024
#: Bytes that a byte of it becomes at most, most of them while it is read.
RATIO = 18
#: How a body ends with nothing behind the rows, and in how many bytes that is looked for.
END, TAIL = re.compile(rb"\]\s*\]\s*\}\s*\Z"), 64
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


def read_matrix(body: bytes, claim: Claim = UNCOUNTED) -> NDArray[np.float64] | None:
    """The rows of `{"instances": [[…], …]}`; None if a body is small or very large, or has anything else."""
    parsers = _parsers() if LARGE <= len(body) <= LARGEST else None
    if parsers is None or not END.search(body[-TAIL:]):
        return None
    with claim.briefly(RATIO * len(body)), parsers.one(len(body)) as parser:
        try:
            matrix = _matrix(parser, body)
        except REFUSALS:
            return None
    if matrix is None or _has_signed_zeros(body, matrix):
        return None
    claim.grow(matrix.nbytes)
    return matrix


def _matrix(parser: Any, body: bytes) -> NDArray[np.float64] | None:
    """The rows, None if they are not of one length. Raises REFUSALS."""
    document = parser.parse(body)
    if list(document) != [INSTANCES]:
        return None
    rows = document[INSTANCES]
    widths = {len(row) for row in rows}
    if len(widths) != 1 or 0 in widths or body.count(b"[") != len(rows) + 1:  # arrays in arrays would be made flat
        return None
    return np.frombuffer(rows.as_buffer(of_type="d")).reshape(len(rows), widths.pop())


def _has_signed_zeros(body: bytes, matrix: NDArray[np.float64]) -> bool:
    """Whether there may be a -0, of which simdjson makes a whole number, which has no sign."""
    return b"-" in body and b"-0" in body and not matrix.all()
