"""How much bodies may take while they are decoded and afterwards: bytes of memory and turns, for all together.

A body is decoded in pieces. Before each of them its worst is claimed; afterwards what it became counts as it is.
Large bodies take turns, since decoding holds the interpreter: who waits then waits for a turn, and not beside the
thread that looks after the connections.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from wsgi_service.at_once import elsewhere
from wsgi_service.errors import Busy, TooLargeDecoded

#: So many of the largest predicts may bodies take together when they are decoded, and so many bytes at the least.
LARGEST_PREDICTS, LEAST = 16, 256 << 20
#: Large bodies that are decoded at a time, and seconds after which whoever waits for a turn is refused.
TURNS, PATIENCE = 1, 10.0
NO_ROOM = "Other bodies take the memory that there is for decoding. Try again in a moment."
NO_TURN = "Other large bodies are being decoded. Try again in a moment."
TOO_LARGE = "The body would take too much memory when it is decoded. Send it in parts."


def size_for(largest: int) -> int:
    """Bytes for all bodies together, of which one may have so many."""
    return max(LEAST, LARGEST_PREDICTS * largest)


class Budget:
    """What may be claimed.

    Args:
        size: bytes.
        turns: large bodies that are decoded at a time.
        patience: seconds for which a turn is waited for.
    """

    def __init__(self, size: int, turns: int = TURNS, patience: float = PATIENCE) -> None:
        self.size = self._left = size
        self._turns = turns
        self._patience = patience
        self._changed = Condition()  # whose lock may be taken twice: a claim may be forgotten at any time

    def take(self, count: int) -> None:
        """Take bytes. Raises Busy, or Elsewhere in a thread that others wait for."""
        with self._changed:
            if count <= self._left:
                self._left -= count
                return
        elsewhere(lasting=False)
        raise Busy(NO_ROOM)

    def give_back(self, count: int) -> None:
        """Let others have bytes."""
        with self._changed:
            self._left += count

    def take_turn(self) -> None:
        """Wait for a turn. Raises Busy."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._turns > 0, self._patience):
                raise Busy(NO_TURN)
            self._turns -= 1

    def end_turn(self) -> None:
        """Let another one decode."""
        with self._changed:
            self._turns += 1
            self._changed.notify()


class Claim:
    """What one body takes, until it is forgotten.

    Args:
        budget: that it takes it from.
    """

    #: Bytes that are taken at the moment, and how many of them for the body itself.
    count = kept = 0
    _has_turn = False

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def grow(self, count: int) -> None:
        """Take bytes more. Raises Busy, or TooLargeDecoded where all there are would not do."""
        if self.count + count > self._budget.size:
            raise TooLargeDecoded(TOO_LARGE)
        self._budget.take(count)
        self.count += count

    def keep(self, count: int) -> None:
        """Take bytes for the body itself, which stays until its claim is forgotten. Raises like `grow`."""
        self.grow(count)
        self.kept += count

    def settle(self, count: int) -> None:
        """Take no more than so many bytes from now on."""
        if count < self.count:
            self._budget.give_back(self.count - count)
            self.count = count

    @contextmanager
    def briefly(self, count: int) -> Iterator[None]:
        """Take bytes for what is done inside. Raises like `grow`."""
        self.grow(count)
        try:
            yield
        finally:
            self.settle(self.count - count)

    def begin(self) -> None:
        """Wait for a turn, which ends with the claim at the latest. Raises Busy."""
        if not self._has_turn:
            self._budget.take_turn()
            self._has_turn = True

    def end(self) -> None:
        """All is decoded, and stays."""
        if self._has_turn:
            self._has_turn = False
            self._budget.end_turn()

    def __del__(self) -> None:
        """Whoever forgets a claim has forgotten what it was for."""
        self.end()
        self.settle(0)


class _Uncounted(Claim):
    """Takes nothing."""

    def __init__(self) -> None:
        """There is no budget."""

    def grow(self, count: int) -> None:
        """See `Claim`."""

    def keep(self, count: int) -> None:
        """See `Claim`."""

    def settle(self, count: int) -> None:
        """See `Claim`."""

    def begin(self) -> None:
        """See `Claim`."""

    def end(self) -> None:
        """See `Claim`."""


#: For a body that nobody counts: of the command line, or a small one.
UNCOUNTED: Claim = _Uncounted()
