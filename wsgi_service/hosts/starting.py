"""What the pool asks of whatever starts its hosts, and of their processes."""

from pathlib import Path
from typing import IO, Any, Protocol


class Started(Protocol):
    """A host's process, as `subprocess.Popen` has it.

    Attributes:
        pid: of the process.
        stdin, stdout: the pipes to it and from it.
        returncode: how it ended, negative for a signal; None while it runs, as far as was looked.
        lost: whether it ended because the process that it was forked from did.
    """

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    returncode: Any
    lost: bool

    def poll(self) -> int | None:
        """How it ended, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """How it ended; raises subprocess.TimeoutExpired after `timeout` seconds."""

    def kill(self) -> None:
        """End it at once, if it has not ended."""


class Template(Protocol):
    """The process that hosts are forked from."""

    @property
    def path(self) -> Path:
        """The socket that server processes connect to."""

    def ensure(self) -> None:
        """Start it unless it runs. Raises OSError."""

    def memory(self) -> int:
        """Bytes of memory of it; of what hosts share with it, its part."""

    def end(self) -> None:
        """End it, and all hosts with it, until it is started again."""

    def close(self) -> None:
        """End it for good."""


class Starter(Protocol):
    """Starts hosts."""

    @property
    def quick(self) -> bool:
        """Whether that takes milliseconds, so that no host need stand by, and each upload gets one of its own."""

    def prepare(self) -> None:
        """Begin with what hosts are started from. Raises OSError."""

    def start(self, memory: int) -> Started:
        """A new host that may take `memory` bytes beside its imports. Raises OSError."""

    def memory(self) -> int:
        """Bytes of memory of what hosts are started from."""

    def rest(self) -> None:
        """End what hosts are started from until the next one is; there are none."""

    def interrupt(self) -> None:
        """Have a call of `start` that is under way fail, and all that come."""

    def close(self) -> None:
        """End what hosts are started from, and leave nothing behind; the hosts have ended."""
