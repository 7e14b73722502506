"""An ONNX program: what it takes and gives, and the session that computes it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from msgspec import UNSET
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from model_store.described import SelfDescribed
from model_store.formats.onnx.bounds import cost_of
from model_store.formats.onnx.checks import CLASSIFIERS, inputs_of, type_of, width_of
from model_store.formats.onnx.ensembles import attributes_of
from model_store.formats.onnx.tensors import Unbounded
from model_store.naming import positional
from model_store.schema import Classes, Column, ColumnType, Output, Scalar, Schema

FATAL_ONLY = 4
#: Optimisations that lose digits: this one keeps a factor of double precision in single precision.
IMPRECISE = ["MatMulScaleFusion"]
NUMPY: dict[int, Any] = {
    TensorProto.FLOAT: np.float32, TensorProto.DOUBLE: np.float64, TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32, TensorProto.BOOL: np.bool_, TensorProto.STRING: np.object_,
}  # fmt: skip
TYPES: dict[int, ColumnType] = {
    TensorProto.FLOAT: "number", TensorProto.DOUBLE: "number", TensorProto.INT64: "integer",
    TensorProto.INT32: "integer", TensorProto.BOOL: "boolean", TensorProto.STRING: "string",
}  # fmt: skip
SAMPLES: dict[ColumnType, Scalar] = {"number": 0.0, "integer": 0, "boolean": False, "string": "some text"}
#: The same by what the runtime calls them.
TENSORS: dict[str, Any] = {
    "tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
    "tensor(int32)": np.int32, "tensor(bool)": np.bool_, "tensor(string)": np.object_,
}  # fmt: skip
SCORES = ("tensor(float)", "tensor(double)")
LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


class Session:
    """What computes the outputs of a program; nothing else of the program is kept.

    Args:
        program: that has passed every rule, or its bytes, which are not looked at here.
        methods: that its outputs answer, in their order; by default `predict` is the first output, and what scores
            or probabilities are called is the second.
        patterns: see `session_of`.

    Attributes:
        metadata: what stands in the program under names of its own.
    """

    def __init__(self, program: ModelProto | bytes, methods: Sequence[str] = (), patterns: bool = False) -> None:
        session = session_of(program if isinstance(program, bytes) else program.SerializeToString(), patterns)
        inputs, outputs = session.inputs_meta, session.outputs_meta
        self._names = [value.name for value in inputs]
        self._dtypes = [TENSORS[value.type] for value in inputs]
        self._ranks = [len(value.shape) for value in inputs]
        self._run = session.run
        #: What the second output may answer of a program that is a model of its own.
        self._scores = () if methods else _scores_methods(outputs)
        first, *further = [value.name for value in outputs]
        self._output_of = dict(zip(methods, [first, *further], strict=False)) if methods else {"predict": first}
        self._output_of |= dict.fromkeys(self._scores, further[0]) if self._scores else {}
        self.metadata: dict[str, str] = session.model_meta.custom_metadata_map

    @property
    def methods(self) -> tuple[str, ...]:
        """What it answers."""
        return tuple(self._output_of)

    def call(self, method: str, rows: Any, options: Any = None) -> NDArray[Any]:
        """A method's result.

        Args:
            method: one that this program has.
            rows: rows x columns, numbers or objects.
            options: from `run_options`, to stop the call.
        """
        return self.run([method], np.asarray(rows), options)[0]

    def run(self, methods: Sequence[str], rows: NDArray[Any], options: Any = None) -> list[NDArray[Any]]:
        """The results of several methods in one run; see `call`."""
        names = [self._output_of[method] for method in methods]
        found = self._run(names, self._feed(rows), options)
        return [_entries(method, np.asarray(result)) for method, result in zip(methods, found, strict=True)]

    @staticmethod
    def run_options() -> Any:
        """Options for one call, which another thread can stop by setting their `terminate`."""
        return onnxruntime.RunOptions()

    def _feed(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        if len(self._names) == 1:
            return {self._names[0]: rows.astype(self._dtypes[0], copy=False)}
        return {
            name: (rows[:, [index]] if rank == 2 else rows[:, index]).astype(dtype)  # noqa: PLR2004
            for index, (name, dtype, rank) in enumerate(zip(self._names, self._dtypes, self._ranks, strict=True))
        }


class Program(Session, SelfDescribed):
    """A program as a model of its own, which can be judged.

    Args:
        model: a program that has passed every rule.
    """

    def __init__(self, model: ModelProto) -> None:
        super().__init__(model)
        self._model = model
        for name in self.names_of_scores:
            setattr(self, name, partial(self.call, name))

    @property
    def names_of_scores(self) -> tuple[str, ...]:
        """See `SelfDescribed`."""
        return self._scores

    @property
    def adds_up(self) -> bool:
        """See `SelfDescribed`: not if each class may have a logistic function of its own."""
        return not any(
            node.op_type == "Sigmoid" or attributes_of(node).get("post_transform") in {b"LOGISTIC", b"PROBIT"}
            for node in self._model.graph.node
        )

    @property
    def title(self) -> str:
        """See `SelfDescribed`."""
        operators = {node.op_type for node in self._model.graph.node}
        known = sorted(operators & {*CLASSIFIERS, "LinearRegressor", "SVMRegressor", "TreeEnsembleRegressor"})
        return f"ONNX({', '.join(known) or 'program'})"

    @property
    def schema(self) -> Schema:
        """See `SelfDescribed`."""
        first = self._model.graph.output[0]
        output = Output(name="prediction", type=TYPES.get(type_of(first), "any"))
        classes = classes_of(self._model)
        return Schema(
            inputs=tuple(self._columns()),
            outputs=(output,),
            classes=UNSET if classes is None else classes,
            names_from="estimator" if len(self._names) > 1 else "position",
        )

    @property
    def row_by_row(self) -> bool:
        """See `SelfDescribed`: all operators whose work can be told look at one row at a time."""
        try:
            cost_of(self._model)
        except Unbounded:
            return False
        return True

    def predict(self, rows: Any) -> NDArray[Any]:
        """The first output, one entry for each row."""
        return self.call("predict", rows)

    def _columns(self) -> list[Column]:
        inputs = inputs_of(self._model)
        kinds = [TYPES[type_of(value)] for value in inputs]
        if len(inputs) == 1:
            names, kinds = list(positional(width_of(self._model))), kinds * width_of(self._model)
        else:
            names = [value.name for value in inputs]
        return [
            Column(name=name, type=kind, sample=SAMPLES[kind]) for name, kind in zip(names, kinds, strict=True)
        ]


def _entries(method: str, result: NDArray[Any]) -> NDArray[Any]:
    """One entry for each row, where there is one output."""
    single = method == "predict" and result.ndim == 2 and result.shape[1] == 1  # noqa: PLR2004
    return result[:, 0] if single else result


def session_of(program: bytes, patterns: bool = False) -> Any:
    """ONNX Runtime's session of a program, on one thread, without a word.

    What is usually around it keeps the bytes of the file, to begin anew elsewhere, and looks at every input once
    more.

    Args:
        program: that has passed every rule.
        patterns: whether it is kept, for each number of rows that ever came, where its tensors lay, which makes
            large calls a sixth faster.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    options.enable_mem_pattern = patterns
    session = onnxruntime.InferenceSession(
        program, options, providers=["CPUExecutionProvider"], disabled_optimizers=IMPRECISE
    )
    return session._sess


def _scores_methods(outputs: Sequence[Any]) -> tuple[str, ...]:
    """The methods that the second output may answer.

    Converters write "probabilities" over scores as well; so both are known here, and the inspection finds out
    which it is.
    """
    if len(outputs) < 2 or outputs[1].type not in SCORES:  # noqa: PLR2004
        return ()
    name = outputs[1].name.lower()
    scores = "score" in name or "decision" in name
    return ("decision_function",) if scores else ("predict_proba", "decision_function")


def classes_of(model: ModelProto) -> Classes | None:
    """The labels of the classes, where one operator of the program knows them."""
    for node in reversed(model.graph.node):
        if node.op_type in CLASSIFIERS:
            attributes = attributes_of(node)
            labels = next((attributes[name] for name in LABELS if name in attributes), None)
            return None if labels is None else tuple(_scalar(label) for label in labels)
    return None


def _scalar(label: Any) -> Scalar:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else int(label)
