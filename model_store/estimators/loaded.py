"""A verified artifact's estimator, ready to be called with columns as they arrive."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store import formats
from model_store.artifacts.local import check_digest
from model_store.errors import ArtifactCorrupt, MissingExtra
from model_store.estimators.facts import PANDAS_MISSING, read_schema
from model_store.estimators.frames import as_input, assemble
from model_store.estimators.inputs import missing_texts
from model_store.estimators.passes import Passes
from model_store.estimators.plausibility import check_sense, expected_of
from model_store.estimators.rowwise import answers_row_by_row
from model_store.methods import row_major
from model_store.safety import STRICT, Policy

Values = NDArray[Any] | list[str]
Column = tuple[Values, NDArray[np.bool_] | None]


class Loaded:
    """An estimator and how it wants its rows.

    Attributes:
        estimator, schema: what it is, and what it takes.
        joinable: whether rows of several requests may stand in one call.
    """

    def __init__(self, estimator: Any) -> None:
        self.joinable = answers_row_by_row(estimator)
        self.estimator = estimator
        self._passes = Passes(estimator)
        self.schema = read_schema(estimator)
        self._missing = missing_texts(estimator, len(self.schema.inputs))
        if self.schema.frame:
            _require_pandas()

    def call(
        self, methods: Sequence[str], matrix: NDArray[np.float64] | None, columns: Sequence[Column]
    ) -> list[Any]:
        """The result of each method for a matrix (rows x columns), or for one array or list per column."""
        return self._passes.call(methods, self.rows(matrix, columns))

    def rows(self, matrix: NDArray[np.float64] | None, columns: Sequence[Column]) -> Any:
        """A matrix, or one array or list per column, as the estimator takes them."""
        if matrix is not None and not (self.schema.frame or self.schema.text):
            return matrix
        if matrix is not None:
            columns = [(matrix[:, index], None) for index in range(matrix.shape[1])]
        arrays = [
            _array(values, valid, missing) for (values, valid), missing in zip(columns, self._missing, strict=True)
        ]
        return assemble(self.schema, arrays)

    def answers(self, methods: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
        """Method -> one entry for each row of Python values, as an answer has them. Raises Implausible."""
        found = {method: self._passes.call([method], as_input(self.schema, rows))[0] for method in methods}
        self.check_sense(found, len(rows))
        return {method: _entries(result) for method, result in found.items()}

    def check_sense(self, results: Mapping[str, Any], rows: int) -> None:
        """Raises Implausible if something does not make sense in the results of methods for so many rows."""
        check_sense(results, rows, expected_of(self.estimator, self.schema))


def load(path: Path, digest: str, format_: str, policy: Policy = STRICT) -> Loaded:
    """The estimator in a stored artifact.

    Raises:
        ArtifactCorrupt: the bytes no longer have their digest; nothing in them was read.
        Refused: the format's own checks.
    """
    try:
        with path.open("rb") as file:
            check_digest(file, digest)
    except FileNotFoundError:
        raise ArtifactCorrupt("The stored bytes of this version are gone.") from None
    return Loaded(formats.load(format_, path, policy))


def _entries(result: Any) -> list[Any]:
    dense = result.toarray() if hasattr(result, "toarray") else result
    entries, _ = row_major(dense if isinstance(dense, list) else np.asarray(dense))
    return entries


def _require_pandas() -> None:
    try:
        import pandas as pd  # noqa: F401 - now, and not while somebody waits for a prediction
    except ImportError:
        raise MissingExtra(PANDAS_MISSING, extra="pandas") from None


def _array(values: Values, valid: NDArray[np.bool_] | None, missing: float | None) -> NDArray[Any]:
    if not isinstance(values, list):
        if valid is None or valid.all():
            return values
        if values.dtype != np.bool_:
            return np.where(valid, values.astype(np.float64), np.nan)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    if valid is not None:
        array[~valid] = missing
    return array
