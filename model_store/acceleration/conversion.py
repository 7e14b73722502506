"""From a fitted estimator to ONNX programs that should answer the same: in double precision, then in single."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import onnx
from onnx import ModelProto
from sklearn.base import is_classifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from model_store.acceleration.imputers import convert_imputer
from model_store.acceleration.lookups import register
from model_store.acceleration.report import Precision, Unconvertible
from model_store.acceleration.trees import converters
from model_store.formats.onnx.checks import type_of

#: Releases of the standard that ONNX Runtime has had for long.
OPSETS = {"": 18, "ai.onnx.ml": 3}
ROWS = "rows"
#: What is converted by our own code: an estimator's type -> what skl2onnx calls for it.
CONVERTERS = {**converters(), SimpleImputer: convert_imputer}
#: What skl2onnx raises for types that it does not know, and where it names them.
UNKNOWN = ("MissingShapeCalculator", "MissingConverter")
NAMED = re.compile(r"for type '<class '[\w.]*?(\w+)'>'")
#: Characters of a converter's words that a report repeats.
REPEATED = 200


class Candidate(NamedTuple):
    """A program that has not been compared yet; or why there is none."""

    precision: Precision
    model: ModelProto | None
    reason: str = ""


def candidates(estimator: Any, width: int) -> Iterator[Candidate]:
    """Programs for an estimator of `width` columns of numbers, the better one first."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    precisions: tuple[tuple[Precision, Any], ...] = (("double", DoubleTensorType), ("single", FloatTensorType))
    for precision, kind in precisions:
        try:
            yield Candidate(precision, _with_true_types(_convert(estimator, kind([None, width]))))
        except Unconvertible as error:
            yield Candidate(precision, None, str(error))
            return  # in whichever precision
        except Exception as error:  # noqa: BLE001 - a converter may raise anything
            yield Candidate(precision, None, _reason(error))


def _convert(estimator: Any, rows: Any) -> ModelProto:
    """The program as skl2onnx makes it; scores as a tensor, and not as a map for each row."""
    if not is_classifier(estimator):
        return _converted(estimator, rows, None)
    last = id(_last_of(estimator))
    try:
        return _converted(estimator, rows, {last: {"zipmap": False}})
    except NameError:  # there is no such option where there are no probabilities
        return _converted(estimator, rows, {last: {"raw_scores": True}})


def _converted(estimator: Any, rows: Any, options: dict[Any, Any] | None) -> ModelProto:
    import skl2onnx

    register()
    model: ModelProto = skl2onnx.convert_sklearn(
        estimator,
        initial_types=[(ROWS, rows)],
        options=options,
        target_opset=OPSETS,
        custom_conversion_functions=CONVERTERS,
    )
    return model


def _last_of(estimator: Any) -> Any:
    return _last_of(estimator.steps[-1][1]) if isinstance(estimator, Pipeline) else estimator


def _with_true_types(model: ModelProto) -> ModelProto:
    """The program with outputs of the types that they have: skl2onnx expects single precision of trees."""
    untyped = ModelProto()
    untyped.CopyFrom(model)
    for output in untyped.graph.output:
        output.ClearField("type")
    inferred = onnx.shape_inference.infer_shapes(untyped)
    for output, found in zip(model.graph.output, inferred.graph.output, strict=True):
        if kind := type_of(found):
            output.type.tensor_type.elem_type = kind
    return model


def _reason(error: Exception) -> str:
    kind = NAMED.search(str(error))
    if type(error).__name__ in UNKNOWN and kind:
        return f"skl2onnx has no converter for {kind[1]}"
    line = " ".join(str(error).split())[:REPEATED]
    return f"skl2onnx cannot convert it ({type(error).__name__}: {line})"
