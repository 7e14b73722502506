"""Whether anybody still waits for an answer: until when the client does, and whether it is there."""

import math
import time
from collections.abc import Callable

from msgspec import Struct

from wsgi_service.at_once import never
from wsgi_service.errors import NotWanted, TooLate


class Wanted(Struct, frozen=True):
    """For how long an answer is wanted.

    Attributes:
        until: of the monotonic clock, as the client said; infinite if it did not.
        gone: whether the client has closed its connection.
    """

    until: float = math.inf
    gone: Callable[[], bool] = never

    @property
    def still(self) -> bool:
        """Whether it makes sense to begin to compute."""
        return time.monotonic() < self.until and not self.gone()

    def check(self) -> None:
        """Called before computing begins. Raises TooLate or NotWanted."""
        if self.gone():
            raise NotWanted("The client has closed its connection.")
        if time.monotonic() >= self.until:
            raise TooLate("The seconds of Request-Timeout were over before the model could answer.")


ALWAYS = Wanted()
