"""From a fitted estimator to an ONNX program that should answer the same, in double precision."""

import re
from typing import Any

import onnx
from onnx import ModelProto
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from model_store.acceleration import calibrated, linear, machines, mixtures, thresholded, transforms, trees
from model_store.acceleration.lookups import register
from model_store.acceleration.report import Unconvertible
from model_store.formats.onnx.checks import type_of

#: Releases of the standard that ONNX Runtime has had for long.
OPSETS = {"": 18, "ai.onnx.ml": 3}
ROWS = "rows"
#: What is converted by our own code: an estimator's type -> what skl2onnx calls for it.
CONVERTERS = {
    **trees.converters(),
    **calibrated.converters(),
    **linear.converters(),
    **machines.converters(),
    **mixtures.converters(),
    **thresholded.converters(),
    **transforms.converters(),
}
#: What skl2onnx raises for types that it does not know, and where it names them.
UNKNOWN = ("MissingShapeCalculator", "MissingConverter")
NAMED = re.compile(r"for type '<class '[\w.]*?(\w+)'>'")
#: Characters of a converter's words that a report repeats.
REPEATED = 200


def convert(estimator: Any, width: int) -> ModelProto:
    """The program of an estimator of `width` columns of numbers, as skl2onnx makes it; nothing is compared yet.

    Raises:
        Unconvertible: there is none.
    """
    try:
        return _with_true_types(_convert(estimator, width))
    except Unconvertible:
        raise
    except Exception as error:
        raise Unconvertible(_reason(error)) from error


def last_of(estimator: Any) -> Any:
    """What gives the answers of a pipeline or of a search."""
    if isinstance(estimator, Pipeline):
        return last_of(estimator.steps[-1][1])
    return last_of(estimator.best_estimator_) if hasattr(estimator, "best_estimator_") else estimator


def _convert(estimator: Any, width: int) -> ModelProto:
    """Scores are given as a tensor, and not as a map for each row."""
    if not is_classifier(estimator):
        return _converted(estimator, width, None)
    last = id(estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator)
    try:
        return _converted(estimator, width, {last: {"zipmap": False}})
    except NameError:  # there is no such option where there are no probabilities
        return _converted(estimator, width, {last: {"raw_scores": True}})


def _converted(estimator: Any, width: int, options: dict[Any, Any] | None) -> ModelProto:
    import skl2onnx
    from skl2onnx.common.data_types import DoubleTensorType

    register()
    model: ModelProto = skl2onnx.convert_sklearn(
        estimator,
        initial_types=[(ROWS, DoubleTensorType([None, width]))],
        options=options,
        target_opset=OPSETS,
        custom_conversion_functions=CONVERTERS,
    )
    return model


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
