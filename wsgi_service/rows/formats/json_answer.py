"""An answer in JSON: rows first, honest numbers, and labels for people."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from model_store.entities import MIXED
from model_store.schema import Classes, Scalar
from wsgi_service.errors import RowError
from wsgi_service.rows.answer import PER_CLASS, Answer

NOT_FINITE = "Some outputs are not finite numbers; they are null here."
NOT_ALL = "Some rows were wrong; their predictions are null, and errors says why."


class Predictions(Struct, frozen=True, kw_only=True):
    """What a version answered.

    Attributes:
        engine: `native` (the estimator itself, in a model host), `onnx` (ONNX Runtime), or `mixed` (both, for some
            rows each).
        estimator_rows: how many the estimator answered, where the engine is `mixed`.
        method: that was called, where the request did not name several.
        predictions: one entry for each row of the request; null where it is not finite, or the row was wrong.
        outputs: method -> the same, where the request named several.
        prediction: the only one, where the request was a single record.
        classes: in the order of the numbers that there is one of for each class.
        labels: the names of the predicted classes.
        label: the only one, where the request was a single record.
        errors: what was wrong with rows that were left out.
        warnings: what else is worth knowing.
        example: the row that was answered, where the request had none.
    """

    model: str
    version: int
    alias: str | UnsetType = UNSET
    digest: str
    engine: str
    estimator_rows: int | UnsetType = UNSET
    method: str | UnsetType = UNSET
    predictions: list[Any] | UnsetType = UNSET
    outputs: dict[str, list[Any]] | UnsetType = UNSET
    prediction: Any | UnsetType = UNSET
    classes: Classes | UnsetType = UNSET
    labels: list[str | None] | UnsetType = UNSET
    label: str | UnsetType | None = UNSET
    errors: list[RowError] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET
    example: dict[str, Scalar] | UnsetType = UNSET
    request_id: str


def show(answer: Answer) -> Predictions:
    """An answer as JSON has it."""
    version, labels = answer.version, answer.labels
    return Predictions(
        model=version.model,
        version=version.version,
        alias=_known(answer.alias),
        digest=version.digest,
        engine=answer.engine,
        estimator_rows=answer.estimator_rows if answer.engine == MIXED else UNSET,
        **_outputs(answer),
        classes=version.schema.classes if answer.outputs.keys() & set(PER_CLASS) else UNSET,
        labels=_known(labels),
        label=labels[0] if labels and answer.flat else UNSET,
        errors=answer.errors or UNSET,
        warnings=_warnings(answer) or UNSET,
        example=_known(answer.example),
        request_id=answer.request_id,
    )


def _outputs(answer: Answer) -> dict[str, Any]:
    """The outputs of the one method, or of each of several."""
    if answer.several:
        return {"outputs": answer.outputs}
    ((method, entries),) = answer.outputs.items()
    return {"method": method, "predictions": entries, "prediction": entries[0] if answer.flat else UNSET}


def _known(value: Any) -> Any:
    return UNSET if value is None else value


def _warnings(answer: Answer) -> list[str]:
    return [text for text, holds in ((NOT_FINITE, not answer.finite), (NOT_ALL, answer.errors)) if holds]


def write(answer: Answer, _row_by_row: bool = False, _spreadsheet: bool = False) -> bytes:
    """The bytes of an answer."""
    return _encoder.encode(show(answer))


_encoder = msgspec.json.Encoder()
