"""A result becomes the answer's JSON: rows first, honest numbers, and labels for people."""

from typing import Any

import numpy as np
from msgspec import UNSET

from model_store.entities import Version
from wsgi_service.serving.directory import Target
from wsgi_service.serving.predictor import ENGINES, NATIVE

NOT_FINITE = "Some outputs are not finite numbers; they are null here."
PER_CLASS = ("predict_proba", "predict_log_proba")


def answer(target: Target, method: str, result: Any, flat: bool, request_id: str) -> dict[str, Any]:
    """The answer to a predict.

    Args:
        target: the version that answered.
        method: the method that was called.
        result: what `tables.decode_result` gave.
        flat: whether the request was one flat record, which also gets its single prediction by itself.
        request_id: of the request.
    """
    version = target.version
    predictions, finite = row_major(result)
    labels = _labels(version, predictions) if method == "predict" else None
    said: dict[str, Any] = {"model": version.model, "version": version.version}
    if target.alias is not None:
        said["alias"] = target.alias
    said |= {
        "digest": version.digest,
        "method": method,
        "engine": ENGINES.get(version.format, NATIVE),
        "predictions": predictions,
    }
    if flat:
        said["prediction"] = predictions[0]
    if method in PER_CLASS and version.schema.classes is not UNSET:
        said["classes"] = version.schema.classes
    if labels is not None:
        said["labels"] = labels
    if flat and labels is not None:
        said["label"] = labels[0]
    if not finite:
        said["warnings"] = [NOT_FINITE]
    return said | {"request_id": request_id}


def row_major(result: Any) -> tuple[list[Any], bool]:
    """A result as one entry per row, non-finite numbers as None, and whether all were finite.

    Several outputs with probabilities of their own come as one array each and leave as
    `[[[…], […]], …]`: row, output, class.
    """
    if isinstance(result, np.ndarray):
        return _finite_list(result)
    if result and isinstance(result[0], np.ndarray):
        parts = [_finite_list(part) for part in result]
        rows = [list(row) for row in zip(*(values for values, _ in parts), strict=True)]
        return rows, all(finite for _, finite in parts)
    return result, True


def _finite_list(array: np.ndarray[Any, Any]) -> tuple[list[Any], bool]:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return array.tolist(), True
    objects = array.astype(object)
    objects[~np.isfinite(array)] = None
    return objects.tolist(), False


def _labels(version: Version, predictions: list[Any]) -> list[str | None] | None:
    names, classes = version.class_names, version.schema.classes
    if names is UNSET or classes is UNSET:
        return None
    by_class = dict(zip(classes, names, strict=True))
    return [None if isinstance(value, list) else by_class.get(value) for value in predictions]
