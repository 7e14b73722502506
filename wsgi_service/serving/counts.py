"""What is counted of calls of hosts and of programs; see `Metrics`."""

from typing import Protocol


class Counts(Protocol):
    """Counts."""

    def joined(self, requests: int, rows: int) -> None:
        """A model host is asked for so many requests at once."""

    def differed(self, model: str, version: int) -> None:
        """A proven program answered a row otherwise than its estimator."""


class Uncounted:
    """Counts nothing."""

    def joined(self, requests: int, rows: int) -> None:
        """See `Counts`."""

    def differed(self, model: str, version: int) -> None:
        """See `Counts`."""
