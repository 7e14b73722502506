"""One of several server processes: it is told to stop, tells of changes, and waits until the others know of them.

What travels is lines of words through two pipes. A process asks all others by `changed N` (they are to forget
what they know of the registry) or `measure N` (they are to say what they have counted). Each of them reads
`forget M` or `count M` and answers `done M`, with what it has counted in base64. The first one reads `said N` with
that as soon as one of them has answered, and `all N` when all have. Besides, `started MODELS` goes to the
supervisor, and `stop` comes from it; the end of the pipe means stop as well. `turn` asks how often the loop has
turned, and `turned TURNS` says it.
"""

import base64
import logging
import threading
from collections.abc import Callable
from typing import BinaryIO

log = logging.getLogger(__name__)

#: Seconds that a change waits for the other processes at the most.
PATIENCE = 0.2
#: No metrics: an empty list in MessagePack.
EMPTY = b"\x90"


class Siblings:
    """The other processes of a server, as one of them sees them.

    Args:
        incoming: what the supervisor writes to.
        outgoing: what it reads from.
    """

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._lock = threading.Lock()
        self._waiting: dict[int, _Question] = {}
        self._asked = 0

    def started(self, models: int) -> None:
        """Tell that this process serves, and how many models there are."""
        self._say(f"started {models}")

    def changed(self) -> None:
        """Tell that something was changed, and wait until all others know, but not for long."""
        if not self._ask("changed").answered.is_set():
            log.warning("not all processes have taken a change over within %g seconds", PATIENCE)

    def counted(self) -> list[bytes]:
        """What the others have counted; of those that do not say it in time, nothing."""
        return [base64.b64decode(said) for said in self._ask("measure").answers]

    def _ask(self, what: str) -> "_Question":
        """What is asked of the others, and what those have said that answer in time."""
        with self._lock:
            self._asked += 1
            number = self._asked
            question = self._waiting[number] = _Question()
        self._say(f"{what} {number}")
        question.answered.wait(PATIENCE)
        with self._lock:
            self._waiting.pop(number, None)
        return question

    def listen(
        self,
        forget: Callable[[], None],
        count: Callable[[], bytes],
        stop: Callable[[], None],
        turns: Callable[[], int],
    ) -> None:
        """Do what the supervisor says, in a thread of its own, until it says stop or is gone.

        Args:
            forget: what was remembered of the registry.
            count: gives what this process has counted.
            stop: serving.
            turns: how often the loop has turned.
        """

        def listen() -> None:
            for line in iter(self._incoming.readline, b""):
                match line.decode().split():
                    case ["forget", number]:
                        forget()
                        self._say(f"done {number}")
                    case ["count", number]:
                        self._say(f"done {number} {base64.b64encode(_counted(count)).decode()}")
                    case ["turn"]:
                        self._say(f"turned {turns()}")
                    case ["said", number, answer]:
                        self._said(int(number), answer)
                    case ["all", number]:
                        self._answered(int(number))
                    case _:
                        break
            stop()

        threading.Thread(target=listen, name="siblings", daemon=True).start()

    def _said(self, number: int, answer: str) -> None:
        with self._lock:
            if question := self._waiting.get(number):
                question.answers.append(answer)

    def _answered(self, number: int) -> None:
        with self._lock:
            if question := self._waiting.get(number):
                question.answered.set()

    def _say(self, words: str) -> None:
        with self._lock:
            try:
                self._outgoing.write(f"{words}\n".encode())
                self._outgoing.flush()
            except OSError:  # the supervisor is gone, and this process will hear of that as well
                return


def _counted(count: Callable[[], bytes]) -> bytes:
    """What was counted; nothing if that fails, so that this thread goes on to hear of changes."""
    try:
        return count()
    except Exception:
        log.exception("this process cannot say what it has counted")
        return EMPTY


class _Question:
    """What was asked of the others."""

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.answers: list[str] = []
