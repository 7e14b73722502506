"""An estimator of tables as one of numbers: the same steps, with tables in the place of its encoders.

What is chosen by name is chosen by number, and encoders of texts become `Lookup`s. Everything behind them stays
what it is, since it has been given numbers from the beginning.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from model_store.acceleration.codes import Known, missing
from model_store.acceleration.domains import Domain, domain_of
from model_store.acceleration.lookups import Lookup, lookup_of
from model_store.acceleration.report import Unconvertible
from model_store.estimators.loaded import Loaded
from model_store.estimators.outputs import is_missing
from model_store.estimators.readers import indices_of
from model_store.schema import Column, Schema

#: For these all values are alike that are not among their categories.
ENCODERS = (OneHotEncoder, OrdinalEncoder, TargetEncoder)
#: What stands for a text that the estimator does not know; longer, if it knows this one.
UNSEEN = "?"
Matrix = NDArray[np.float64]


class Tables:
    """Numbers back to what they stand for, in the shape that the estimator takes.

    Args:
        loaded: the estimator.
        known: the texts of its columns.
    """

    def __init__(self, loaded: Loaded, known: Known) -> None:
        self.schema: Schema = loaded.schema
        self.known = known
        self._loaded = loaded
        self._unseen = UNSEEN * (1 + max((len(text) for texts in known for text in texts or ()), default=0))

    def rows(self, matrix: Matrix) -> Any:
        """Rows x columns of numbers as the estimator takes them."""
        if self.plain and not self.schema.frame:
            return matrix
        columns = zip(self.schema.inputs, self.known, matrix.T, strict=True)
        return self._loaded.rows(None, [self._cells(column, texts, numbers) for column, texts, numbers in columns])

    @property
    def plain(self) -> bool:
        """Whether all columns are numbers, which need no codes."""
        return all(column.type in ("number", "any") for column in self.schema.inputs)

    def _cells(self, column: Column, texts: Sequence[str] | None, numbers: Matrix) -> Any:
        if texts is not None:
            every = [*texts, self._unseen, ""]
            valid = numbers != missing(texts)
            return [every[int(number)] for number in numbers], None if valid.all() else valid
        there = ~np.isnan(numbers)
        if column.type == "boolean":
            return there & (numbers != 0), None if there.all() else there
        if column.type == "integer" and there.all():
            return numbers.astype(np.int64), None
        return np.ascontiguousarray(numbers), None

    def domain(self, index: int) -> Domain | None:
        """What a column can hold, if these are a few values."""
        return domain_of(self.schema.inputs[index], self.known[index])


def surrogate_of(estimator: Any, tables: Tables) -> Any:
    """A copy of an estimator that takes numbers where it takes tables; itself if it takes numbers.

    Raises:
        Unconvertible: texts reach something else than an encoder.
    """
    return _Surrogates(tables).of(estimator, range(len(tables.schema.inputs)))


class _Surrogates:
    """Of an estimator and those inside it; `columns` are always those of the outermost."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def of(self, estimator: Any, columns: Sequence[int]) -> Any:
        if isinstance(estimator, Pipeline):
            return self._of_pipeline(estimator, columns)
        if isinstance(estimator, ColumnTransformer):
            return self._of_transformers(estimator, columns)
        if hasattr(estimator, "best_estimator_"):
            return self.of(estimator.best_estimator_, columns)
        if isinstance(estimator, ENCODERS) and self._domains(columns):
            return self._lookup([estimator], columns)[0]
        if any(self._tables.known[column] is not None for column in columns):
            raise Unconvertible(f"texts reach its {type(estimator).__name__}")
        return estimator

    def _of_pipeline(self, pipeline: Pipeline, columns: Sequence[int]) -> Pipeline:
        steps = [(name, step) for name, step in pipeline.steps if step not in ("passthrough", None)]
        if not steps:
            return pipeline
        name, first = steps[0]
        if self._are_looked_up(first, columns):
            lookup, used = self._lookup([step for _, step in steps], columns)
            return _with(pipeline, steps=[("lookup", lookup), *steps[used:]])
        return _with(pipeline, steps=[(name, self.of(first, columns)), *steps[1:]])

    def _of_transformers(self, transformer: ColumnTransformer, columns: Sequence[int]) -> ColumnTransformer:
        names = list(getattr(transformer, "feature_names_in_", ()))
        parts = []
        for name, part, chosen in transformer.transformers_:
            local = indices_of(chosen, names, len(columns))
            if local and not (isinstance(part, str) and part == "drop"):
                parts.append((name, self._of_part(part, [columns[index] for index in local]), local))
        return _with(transformer, transformers_=parts)

    def _of_part(self, part: Any, columns: Sequence[int]) -> Any:
        return self._lookup([part], columns)[0] if self._are_looked_up(part, columns) else self.of(part, columns)

    def _are_looked_up(self, part: Any, columns: Sequence[int]) -> bool:
        """Whether texts, among columns of a few values each, reach something that is not made of parts."""
        texts = any(self._tables.known[column] is not None for column in columns)
        return texts and not isinstance(part, Pipeline | ColumnTransformer) and bool(self._domains(columns))

    def _domains(self, columns: Sequence[int]) -> list[Domain]:
        """What each column can hold; nothing if that is not known of all of them."""
        found = [self._tables.domain(column) for column in columns]
        return [one for one in found if one is not None] if all(found) else []

    def _lookup(self, steps: Sequence[Any], columns: Sequence[int]) -> tuple[Lookup, int]:
        """What stands for the first steps, up to the one that gives numbers only; how many these are."""
        domains = self._domains(columns)
        if not all(domain.placed for domain in domains) and not isinstance(steps[0], ENCODERS):
            raise Unconvertible(f"texts and numbers reach its {type(steps[0]).__name__} together")
        used = 0

        def encode(numbers: Matrix) -> Matrix:
            nonlocal used
            matrix = np.zeros((len(numbers), len(self._tables.schema.inputs)))
            matrix[:, list(columns)] = numbers
            rows = self._tables.rows(matrix)
            chosen = rows.iloc[:, list(columns)] if hasattr(rows, "iloc") else rows[:, list(columns)]
            found, used = _through(steps, chosen)
            return found

        lookup = lookup_of(domains, encode)
        self._check_categories(steps[:used], columns)
        return lookup, used

    def _check_categories(self, steps: Sequence[Any], columns: Sequence[int]) -> None:
        """Raises Unconvertible if one unknown text, that a table was asked for, says too little about others."""
        inputs, known = self._tables.schema.inputs, self._tables.known
        if all(inputs[column].closed for column in columns):
            return
        if not isinstance(steps[-1], ENCODERS) or not all(map(_fills_gaps, steps[:-1])):
            raise Unconvertible(f"unknown texts reach its {type(steps[0]).__name__}")
        for column, categories in zip(columns, steps[-1].categories_, strict=True):
            texts = {value for value in categories.tolist() if isinstance(value, str)}
            if not texts <= set(known[column] or ()):
                raise Unconvertible("an encoder knows texts that requests do not")


def _through(steps: Sequence[Any], rows: Any) -> tuple[Matrix, int]:
    """The first numbers that come out of steps, and of how many of them."""
    for count, step in enumerate(steps, 1):
        if not hasattr(step, "transform"):
            break
        rows = step.transform(rows)
        if (found := _numbers(rows)) is not None:
            return found, count
    raise Unconvertible(f"texts reach its {type(steps[-1]).__name__}")


def _fills_gaps(step: Any) -> bool:
    """Whether a step leaves all texts alone, and only fills what is missing."""
    return isinstance(step, SimpleImputer) and is_missing(step.missing_values) and not step.add_indicator


def _with(estimator: Any, **attributes: Any) -> Any:
    """A copy of an estimator with other attributes."""
    copied = copy.copy(estimator)
    for name, value in attributes.items():
        setattr(copied, name, value)
    return copied


def _numbers(rows: Any) -> Matrix | None:
    """What a step gives, if these are numbers."""
    dense = np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)
    return dense.astype(np.float64) if dense.dtype.kind in "fiub" and dense.ndim == 2 else None  # noqa: PLR2004
