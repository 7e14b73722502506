"""Judging an uploaded artifact: the contract, and the judge that works in this very process.

The server hands this work to a host that never serves; a notebook does it itself.
"""

from pathlib import Path
from typing import Protocol

from model_store.entities import Facts


class Inspector(Protocol):
    """Finds out what an artifact is, and refuses those that cannot be taken."""

    def inspect(self, path: Path, column_names: tuple[str, ...] | None) -> Facts:
        """The facts about the artifact at `path`.

        Args:
            path: the staged bytes.
            column_names: names for the columns of an estimator that knows none itself.

        Raises:
            UnsupportedFormat, Unreadable, Unsafe, NotAPredictor, MissingExtra, InvalidMetadata.
        """


class LocalInspector:
    """Judges in the calling process, which imports scikit-learn for it."""

    def inspect(self, path: Path, column_names: tuple[str, ...] | None) -> Facts:
        """See `Inspector`."""
        from model_store.estimators.facts import read_facts

        return read_facts(path, column_names)
