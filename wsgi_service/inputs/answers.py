"""A result becomes the answer's JSON: rows first, honest numbers, and labels for people."""

from typing import Any

from msgspec import UNSET

from model_store.entities import Version
from model_store.outcomes import row_major
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


def _labels(version: Version, predictions: list[Any]) -> list[str | None] | None:
    names, classes = version.class_names, version.schema.classes
    if names is UNSET or classes is UNSET:
        return None
    by_class = dict(zip(classes, names, strict=True))
    return [None if isinstance(value, list) else by_class.get(value) for value in predictions]
