"""The outputs and classes of a fitted estimator."""

import math
from datetime import datetime
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.linear_model import QuantileRegressor

from model_store.errors import NotAPredictor
from model_store.schema import Classes, ColumnType, Output, Scalar

#: Columns that predict may give; each is described in the schema.
MAX_OUTPUTS = 10_000


def read_classes(estimator: Any) -> Classes | None:
    """The classes in the order of `predict_proba`'s columns; per output if there are several; None if none."""
    if not is_classifier(estimator):
        return None
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return None
    if isinstance(classes, list | tuple):
        return tuple(tuple(scalars(part)) for part in classes)
    return tuple(scalars(classes))


def read_outputs(estimator: Any) -> tuple[Output, ...]:
    """One output named `prediction`, or `y0`, `y1`, … where predict gives several columns."""
    types = _types(estimator)
    if len(types) > MAX_OUTPUTS:
        raise NotAPredictor(f"The estimator claims to have more than {MAX_OUTPUTS} outputs.")
    if len(types) == 1:
        return (Output(name="prediction", type=types[0], quantile=_quantile(estimator)),)
    return tuple(Output(name=f"y{index}", type=type_) for index, type_ in enumerate(types))


def _quantile(estimator: Any) -> float | UnsetType:
    """Which quantile a regressor was fitted for, where it was fitted for one."""
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if isinstance(last, QuantileRegressor):
        return float(last.quantile)
    if getattr(last, "loss", None) == "quantile":
        return float(last.quantile if hasattr(last, "quantile") else last.alpha)
    return UNSET


def scalars(values: Any) -> list[Scalar]:
    """An array's values as Python scalars that JSON can carry."""
    array = np.asarray(values)
    if array.dtype.kind == "M":
        array = array.astype("datetime64[us]")  # of anything finer numpy makes integers
    return [_scalar(value) for value in array.tolist()]


def type_of(values: Any) -> ColumnType:
    """The column type that holds an array's values."""
    array = np.asarray(values)
    kinds: dict[str, ColumnType] = {
        "b": "boolean",
        "i": "integer",
        "u": "integer",
        "f": "number",
        "U": "string",
        "M": "datetime",
    }
    if array.dtype.kind == "O":
        return _type_of_objects([value for value in array.tolist() if not is_missing(value)])
    return kinds.get(array.dtype.kind, "any")


def _type_of_objects(values: list[Any]) -> ColumnType:
    kinds: dict[type, ColumnType] = {
        str: "string",
        bool: "boolean",
        int: "integer",
        float: "number",
    }
    found = {kinds.get(type(value), "any") for value in values}
    if found == {"integer", "number"}:
        return "number"
    return found.pop() if len(found) == 1 else "any"


def is_missing(value: Any) -> bool:
    """Whether a value stands for a missing one: None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _scalar(value: Any) -> Scalar:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _types(estimator: Any) -> list[ColumnType]:
    classes = getattr(estimator, "classes_", None) if is_classifier(estimator) else None
    if isinstance(classes, list):
        return [type_of(part) for part in classes]
    if classes is not None:
        return _several(type_of(classes), _width(estimator, classes))
    if is_clusterer(estimator) or is_outlier_detector(estimator):
        return ["integer"]
    if is_regressor(estimator):
        return _several("number", _width(estimator, None))
    return ["any"]


def _several(type_: ColumnType, width: int) -> list[ColumnType]:
    """One type for each output, and never more than it takes to see that there are too many."""
    return [type_] * min(width, MAX_OUTPUTS + 1)


def _width(estimator: Any, classes: Any) -> int:
    """How many columns predict gives, where the estimator says; 1 otherwise."""
    last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    if classes is not None:
        return len(classes) if getattr(last, "multilabel_", False) else 1
    width = getattr(last, "n_outputs_", None) or getattr(last, "_n_targets", None)
    if width is None and is_regressor(estimator):
        shape = np.shape(getattr(last, "coef_", ()))
        width = shape[0] if len(shape) == 2 else 1  # noqa: PLR2004
    return int(width or 1)
