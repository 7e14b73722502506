"""Having a version answer before anybody relies on it: the contract, and the rehearsal in this very process.

The server has versions rehearsed in model hosts; a notebook does it itself.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from model_store.artifacts.local import Artifacts
from model_store.entities import Attribution, Version
from model_store.errors import Implausible, RehearsalFailed, StoreError
from model_store.safety import STRICT, Policy
from model_store.schema import Scalar

Rows = Sequence[Sequence[Scalar]]
#: Method -> one entry for each row, as an answer has them.
Answers = dict[str, list[Any]]


class Rehearsal(Protocol):
    """Has stored versions load and answer."""

    def load(self, version: Version, by: Attribution) -> None:
        """Prove that a version loads, and that its bytes have their digest.

        Raises RehearsalFailed, or ArtifactCorrupt.
        """

    def answers(self, version: Version, rows: Rows, methods: Sequence[str], by: Attribution) -> Answers:
        """What a version answers for rows in the order of its columns.

        Raises like `load`, or Implausible if the answers make no sense.
        """


class LocalRehearsal:
    """Rehearses in the calling process, which imports scikit-learn for it.

    Args:
        artifacts: where the bytes are.
        policy: what is allowed beyond what is safe for everybody.
    """

    def __init__(self, artifacts: Artifacts, policy: Policy = STRICT) -> None:
        self._artifacts = artifacts
        self._policy = policy

    def load(self, version: Version, _by: Attribution) -> None:
        """See `Rehearsal`."""
        self._load(version)

    def answers(self, version: Version, rows: Rows, methods: Sequence[str], _by: Attribution) -> Answers:
        """See `Rehearsal`."""
        loaded = self._load(version)
        try:
            answers: Answers = loaded.answers(methods, rows)
        except Implausible:
            raise
        except Exception as error:
            raise RehearsalFailed(f"The version raised {type(error).__name__} for these rows.") from error
        return answers

    def _load(self, version: Version) -> Any:
        from model_store.estimators.loaded import load

        path = self._artifacts.path(version.digest)
        try:
            return load(path, version.digest, version.format, self._policy)
        except StoreError:
            raise
        except Exception as error:
            raise RehearsalFailed(f"The version does not load: it raised {type(error).__name__}.") from error
