"""Heads that were read before: clients send the same one again and again, and what came of it is the same.

A head is the very bytes of a request line and its fields. What is kept of one is what Waitress's parser made of it
and the part of the WSGI environment that it decides. Nothing is decided here: who may ask is checked each time.
"""

from typing import Any

from msgspec import Struct

#: Bytes of a head that is kept, and how many are; then it begins anew.
LONGEST, MOST = 2_048, 512
#: Heads with these are read each time, so that no secret is kept.
SECRET = frozenset({"AUTHORIZATION", "COOKIE", "PROXY_AUTHORIZATION"})


class Head(Struct):
    """What came of a head.

    Attributes:
        parsed: the attributes that the parser got.
        environ: what it decides of the environment; None until it was made once.
    """

    parsed: dict[str, Any]
    environ: dict[str, Any] | None = None


class Heads:
    """The heads that a server has read."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, head: bytes) -> Head | None:
        """What came of these bytes, if they were read before."""
        return self._known.get(head)

    def keep(self, head: bytes, parsed: dict[str, Any]) -> Head | None:
        """Keep what came of a head that was right; None if it is one that is not kept."""
        if len(head) > LONGEST or SECRET & parsed["headers"].keys():
            return None
        if len(self._known) >= MOST:
            self._known.clear()
        kept = self._known[head] = Head(parsed)
        return kept
