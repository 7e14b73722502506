"""One of several server processes: it is told to stop, tells of changes, and waits until the others know of them.

What travels is lines of words through two pipes. From the supervisor: `forget N` (something was changed
elsewhere), `seen N` (all others have forgotten what they knew before change N), `stop`; the end of the pipe means
stop as well. To the supervisor: `started MODELS`, `changed N`, `forgot N`.
"""

import logging
import threading
from collections.abc import Callable
from typing import BinaryIO

log = logging.getLogger(__name__)

#: Seconds that a change waits for the other processes at the most.
PATIENCE = 0.2


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
        self._waiting: dict[int, threading.Event] = {}
        self._changes = 0

    def started(self, models: int) -> None:
        """Tell that this process serves, and how many models there are."""
        self._say(f"started {models}")

    def changed(self) -> None:
        """Tell that something was changed, and wait until all others know, but not for long."""
        with self._lock:
            self._changes += 1
            number = self._changes
            seen = self._waiting[number] = threading.Event()
        self._say(f"changed {number}")
        if not seen.wait(PATIENCE):
            log.warning("not all processes have taken a change over within %g seconds", PATIENCE)
        with self._lock:
            self._waiting.pop(number, None)

    def listen(self, forget: Callable[[], None], stop: Callable[[], None]) -> None:
        """Do what the supervisor says, in a thread of its own, until it says stop or is gone.

        Args:
            forget: what was remembered of the registry.
            stop: serving.
        """
        threading.Thread(target=self._listen, args=(forget, stop), name="siblings", daemon=True).start()

    def _listen(self, forget: Callable[[], None], stop: Callable[[], None]) -> None:
        for line in iter(self._incoming.readline, b""):
            match line.decode().split():
                case ["forget", number]:
                    forget()
                    self._say(f"forgot {number}")
                case ["seen", number]:
                    self._seen(int(number))
                case _:
                    break
        stop()

    def _seen(self, number: int) -> None:
        with self._lock:
            event = self._waiting.get(number)
        if event is not None:
            event.set()

    def _say(self, words: str) -> None:
        with self._lock:
            try:
                self._outgoing.write(f"{words}\n".encode())
                self._outgoing.flush()
            except OSError:  # the supervisor is gone, and this process will hear of that as well
                return
