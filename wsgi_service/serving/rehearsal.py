"""Stored versions are rehearsed in the hosts that serve, so what was proven is what will answer."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from model_store.entities import Attribution, Version
from model_store.errors import MissingExtra, Refused, RehearsalFailed
from model_store.methods import row_major
from model_store.proof.rehearsal import Answers, Rows
from wsgi_service.errors import Busy, InvalidRows, ServingError
from wsgi_service.rows.checking import tabulate
from wsgi_service.serving.predictor import Predictor

R = TypeVar("R")


class HostRehearsal:
    """A `Rehearsal` by the predictor.

    Args:
        predictor: has versions load and answer.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def load(self, version: Version, by: Attribution) -> None:
        """See `Rehearsal`; also raises Busy."""
        _rehearsed(lambda: self._predictor.load(version, by))

    def answers(self, version: Version, rows: Rows, methods: Sequence[str], by: Attribution) -> Answers:
        """See `Rehearsal`; also raises Busy."""

        def answer() -> Answers:
            table = tabulate(version.schema, [list(row) for row in rows])
            results = self._predictor.predict_in_host(version, methods, table, by)
            return {method: row_major(result)[0] for method, result in zip(methods, results, strict=True)}

        return _rehearsed(answer)


def _rehearsed(call: Callable[[], R]) -> R:
    """The result of a call, whatever keeps a version from answering being the same error."""
    try:
        return call()
    except Busy:
        raise
    except (ServingError, Refused, MissingExtra) as error:
        raise RehearsalFailed(str(error)) from error
    except InvalidRows as error:
        raise RehearsalFailed(f"The examples do not fit the version: {error}") from error
