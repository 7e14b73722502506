"""An answer in NDJSON: one JSON record on each line."""

from typing import Any

from wsgi_service.http.responses import json_bytes
from wsgi_service.rows.answer import Answer


def write(answer: Answer, _row_by_row: bool = False, _spreadsheet: bool = False) -> bytes:
    """The lines of an answer.

    Each has the `prediction` (or, where several methods were named, one key for each of them), and where there are
    some the `label` and the `error`.
    """
    labels, errors = answer.labels, answer.first_errors
    lines = []
    for row in range(answer.rows):
        line = _line(answer, row)
        if labels is not None:
            line["label"] = labels[row]
        if row in errors:
            line["error"] = {"column": errors[row].column, "message": errors[row].message}
        lines.append(json_bytes(line))
    return b"\n".join([*lines, b""])


def _line(answer: Answer, row: int) -> dict[str, Any]:
    if answer.several:
        return {method: entries[row] for method, entries in answer.outputs.items()}
    (entries,) = answer.outputs.values()
    return {"prediction": entries[row]}
