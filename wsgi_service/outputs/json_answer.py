"""An answer in JSON: rows first, honest numbers, and labels for people."""

from typing import Any

from msgspec import UNSET

from wsgi_service.outputs.answer import PER_CLASS, Answer, labels_of

NOT_FINITE = "Some outputs are not finite numbers; they are null here."
NOT_ALL = "Some rows were wrong; their predictions are null, and errors says why."


def write(answer: Answer) -> dict[str, Any]:
    """The keys of an answer in JSON."""
    version, labels = answer.version, labels_of(answer)
    said: dict[str, Any] = {"model": version.model, "version": version.version}
    if answer.alias is not None:
        said["alias"] = answer.alias
    said |= {
        "digest": version.digest,
        "method": answer.method,
        "engine": answer.engine,
        "predictions": answer.predictions,
    }
    if answer.flat:
        said["prediction"] = answer.predictions[0]
    if answer.method in PER_CLASS and version.schema.classes is not UNSET:
        said["classes"] = version.schema.classes
    if labels is not None:
        said["labels"] = labels
    if answer.flat and labels is not None:
        said["label"] = labels[0]
    if answer.errors:
        said["errors"] = answer.errors
    if warnings := _warnings(answer):
        said["warnings"] = warnings
    return said | {"request_id": answer.request_id}


def _warnings(answer: Answer) -> list[str]:
    return [text for text, holds in ((NOT_FINITE, not answer.finite), (NOT_ALL, answer.errors)) if holds]
