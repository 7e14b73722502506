"""The counters of host calls and programs; see `Metrics`."""

from typing import Protocol


class Counts(Protocol):
    """Counts."""

    def joined(self, requests: int, rows: int) -> None:
        """A model host is called once for several requests."""

    def differed(self, model: str, version: int) -> None:
        """A proven program answered a row otherwise than its estimator."""


class Uncounted:
    """Counts nothing."""

    def joined(self, requests: int, rows: int) -> None:
        """See `Counts`."""

    def differed(self, model: str, version: int) -> None:
        """See `Counts`."""
