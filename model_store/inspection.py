"""Judging an uploaded artifact: the contract, and the judge that works in this very process.

The server hands this work to a host that never serves; a notebook does it itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from model_store.artifacts.local import Staged
from model_store.entities import Facts, Inspection
from model_store.errors import Implausible, RehearsalFailed
from model_store.proof.rehearsal import Answers, Rows
from model_store.safety import STRICT, Policy


class Inspector(Protocol):
    """Finds out what an artifact is, and refuses those that cannot be taken."""

    def inspect(self, path: Path, column_names: tuple[str, ...] | None) -> Inspection:
        """The facts about the artifact at `path`, and its safety report.

        Args:
            path: the staged bytes.
            column_names: names for the columns of an estimator that knows none itself.

        Raises:
            Refused: it is not taken; the error has the report.
            MissingExtra, InvalidMetadata.
        """

    def answers(self, staged: Staged, facts: Facts, rows: Rows, methods: Sequence[str]) -> Answers:
        """What a staged artifact, which was inspected, answers for rows in the order of its columns.

        Raises RehearsalFailed, or Implausible if the answers make no sense.
        """


class LocalInspector:
    """Judges in the calling process, which imports scikit-learn for it.

    Args:
        policy: what is allowed beyond what is safe for everybody.
    """

    def __init__(self, policy: Policy = STRICT) -> None:
        self._policy = policy

    def inspect(self, path: Path, column_names: tuple[str, ...] | None) -> Inspection:
        """See `Inspector`."""
        from model_store.estimators.facts import inspect

        return inspect(path, column_names, self._policy)

    def answers(self, staged: Staged, facts: Facts, rows: Rows, methods: Sequence[str]) -> Answers:
        """See `Inspector`."""
        from model_store.estimators.loaded import load

        try:
            loaded = load(staged.path, staged.digest, facts.format, self._policy)
            return loaded.answers(methods, rows)
        except Implausible:
            raise
        except Exception as error:
            raise RehearsalFailed(f"The estimator raised {type(error).__name__} for these rows.") from error
