"""How long a connection may take over what it sends and reads, so that slow ones do not keep others out.

A head has to be there within `HEAD_SECONDS`. Of a body `SLOWEST` bytes a second have to come, and of an answer as
many to be read, in each `GRACE` seconds: a fast beginning buys no time for later.
"""

HEAD_SECONDS = 6.0
GRACE = 20.0
SLOWEST = 4096


class Flow:
    """Bytes that should go on moving.

    Args:
        now: when they began to, in seconds.
    """

    def __init__(self, now: float) -> None:
        self._since = now
        self._moved = 0

    def moved(self, count: int) -> None:
        """So many did."""
        self._moved += count

    def too_slow(self, now: float) -> bool:
        """Whether too few did in the last seconds; asked again and again."""
        if now - self._since <= GRACE:
            return False
        slow = self._moved < GRACE * SLOWEST
        self._since, self._moved = now, 0
        return slow


class Pace:
    """What one connection has sent and read since when, in seconds of one clock.

    Args:
        now: when it was made.
    """

    def __init__(self, now: float) -> None:
        #: Since when a head is arriving, or the first one is awaited; between two requests a client may be idle.
        self._head_since: float | None = now
        self._body: Flow | None = None
        self._answer: Flow | None = None

    def began(self, now: float) -> None:
        """The first bytes of a request have come, or more of it."""
        if self._head_since is None and self._body is None:
            self._head_since = now

    def took(self, count: int, now: float) -> None:
        """So many bytes have come, and the head is there, but not the whole body."""
        if self._body is None:
            self._head_since, self._body = None, Flow(now)
        self._body.moved(count)

    def is_whole(self) -> None:
        """The request is there."""
        self._head_since = self._body = None

    def rests(self, now: float) -> None:
        """Nothing is read at the moment, so that nothing is held against the client."""
        if self._head_since is not None:
            self._head_since = now
        if self._body is not None:
            self._body = Flow(now)

    def sent(self, count: int) -> None:
        """The client has taken so many bytes of an answer."""
        if self._answer is not None:
            self._answer.moved(count)

    def waits_for_client(self, waits: bool, now: float) -> None:
        """Whether there is something of an answer that the client has not taken."""
        if not waits:
            self._answer = None
        elif self._answer is None:
            self._answer = Flow(now)

    def too_slow(self, now: float) -> str | None:
        """What the client is too slow with; None if nothing."""
        if self._head_since is not None and now - self._head_since > HEAD_SECONDS:
            return "head"
        if self._body is not None and self._body.too_slow(now):
            return "body"
        if self._answer is not None and self._answer.too_slow(now):
            return "answer"
        return None
