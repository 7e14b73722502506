"""Whether the loop of a server process still turns, as its supervisor sees it."""

#: Looks at a process between two questions how often its loop has turned, which it does each second, and after how
#: many without a turn it is replaced: 5 and 30 seconds.
LOOKS_PER_QUESTION, MOST_LOOKS = 25, 150


class Pulse:
    """Tells a process whose loop does not turn by how often that was looked for in vain.

    It has no clock: a supervisor that was stopped itself, with all of the machine, has not looked meanwhile.
    """

    def __init__(self) -> None:
        self._looks = 0
        self._seen = self._said = -1

    def look(self) -> bool:
        """Look once more; whether to ask how often the loop has turned."""
        if self._said != self._seen:
            self._seen, self._looks = self._said, 0
        self._looks += 1
        return self._looks % LOOKS_PER_QUESTION == 0

    def said(self, turns: int) -> None:
        """So often the loop has turned by now; said by another thread than the one that looks."""
        self._said = turns

    @property
    def stopped(self) -> bool:
        """Whether the loop did not turn for too long."""
        return self._looks >= MOST_LOOKS
