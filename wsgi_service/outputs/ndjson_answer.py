"""An answer in NDJSON: one JSON record on each line."""

from typing import Any

from wsgi_service.outputs.answer import Answer, labels_of
from wsgi_service.responses import json_bytes


def write(answer: Answer) -> bytes:
    """The lines of an answer: `prediction`, and where there are some `label` and `error`."""
    labels = labels_of(answer)
    errors: dict[int, Any] = {}
    for error in answer.errors:
        errors.setdefault(error.row, error)
    lines = []
    for row, prediction in enumerate(answer.predictions):
        line: dict[str, Any] = {"prediction": prediction}
        if labels is not None:
            line["label"] = labels[row]
        if row in errors:
            error = errors[row]
            line["error"] = {"column": error.column, "message": error.message}
        lines.append(json_bytes(line))
    return b"\n".join([*lines, b""])
