"""What a version takes and gives: the columns, the outputs and the classes, as plain data."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

ColumnType = Literal["number", "integer", "boolean", "string", "datetime", "any"]
Scalar = str | int | float | bool | None
#: One label per class; for several outputs one tuple of labels each.
Classes = tuple[Scalar | tuple[Scalar, ...], ...]
#: Where the names of the columns come from; only names that the estimator does not know can be changed.
NamesFrom = Literal["estimator", "upload", "position"]


class Column(Struct, frozen=True, kw_only=True):
    """One input column.

    Attributes:
        name: as it is written in a record.
        type: `any` where the estimator does not say. A `datetime` is ISO 8601 text, read in UTC.
        nullable: whether a missing value (JSON null) is taken.
        categories: the values that the estimator was fitted on, where it says.
        other_categories: true where values outside `categories` are taken as well.
        required: false for a column that the estimator was fitted with and does not use.
        sample: a plausible value, for examples and forms.
    """

    name: str
    type: ColumnType = "any"
    nullable: bool = False
    categories: tuple[Scalar, ...] | UnsetType = UNSET
    other_categories: bool | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    sample: Scalar = None

    @property
    def optional(self) -> bool:
        """Whether a record may leave the column out."""
        return self.required is False

    @property
    def closed(self) -> bool:
        """Whether only the listed categories are taken."""
        return self.categories is not UNSET and self.other_categories is not True


class Output(Struct, frozen=True, kw_only=True):
    """One output column of `predict`.

    Attributes:
        quantile: of the target that a regressor estimates, where it is not the mean.
    """

    name: str
    type: ColumnType = "any"
    quantile: float | UnsetType = UNSET


class Schema(Struct, frozen=True, kw_only=True):
    """Inputs and outputs of an estimator.

    Attributes:
        classes: the class labels in the order of `predict_proba`'s columns; a list of lists for several outputs.
        text: true where the one column is handed to the estimator as a list of texts, not as a table.
        frame: true where the estimator selects its columns by name or dtype and so needs a DataFrame.
    """

    inputs: tuple[Column, ...]
    outputs: tuple[Output, ...] = ()
    classes: Classes | UnsetType = UNSET
    names_from: NamesFrom = "position"
    text: bool = False
    frame: bool = False

    def with_samples(self, row: Sequence[Scalar]) -> "Schema":
        """The same columns with the values of a row as their samples, where it has any."""
        sampled = (
            column if value is None else msgspec.structs.replace(column, sample=value)
            for column, value in zip(self.inputs, row, strict=True)
        )
        return msgspec.structs.replace(self, inputs=tuple(sampled))

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the inputs, in the estimator's order."""
        return tuple(column.name for column in self.inputs)
