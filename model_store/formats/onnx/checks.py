"""The rules for ONNX programs, before anything runs: one file, standard operators, plain tensors, sound trees."""

import re
from collections.abc import Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from model_store.errors import NotAPredictor, Unreadable
from model_store.formats.onnx.ensembles import fault
from model_store.formats.rules import Audit, Found, Rule, unreadable

DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
MAX_NODES = 20_000
MAX_DEPTH = 8
MAX_INPUTS = 10_000
#: Types that rows arrive in.
ROW_TYPES = tuple(getattr(TensorProto, name) for name in ("FLOAT", "DOUBLE", "INT64", "INT32", "BOOL", "STRING"))
CLASSIFIERS = ("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier")
SPARSE = "A constant is sparse. Save the program with dense constants."
ENSEMBLES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")


def parse(data: bytes, audit: Audit) -> ModelProto:
    """The program in a file. Raises Unreadable."""
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise audit.refuse(
            "program-is-whole", "The file is not an ONNX program, or is cut off.", Unreadable
        ) from None
    return model


def graphs_of(model: ModelProto) -> Iterator[tuple[GraphProto, int]]:
    """The graph, and the graphs in its nodes, with how deep they stand."""
    waiting = [(model.graph, 0)]
    while waiting:
        graph, depth = waiting.pop()
        yield graph, depth
        if depth <= MAX_DEPTH:
            waiting += [(inner, depth + 1) for node in graph.node for inner in _inner(node)]


def tensors_of(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that stands in the file."""
    for graph, _ in graphs_of(model):
        yield from graph.initializer
        for node in graph.node:
            for attribute in node.attribute:
                yield from _tensors_in(attribute)


def graphs_are_not_nested_deeply(model: ModelProto) -> Iterator[Found]:
    """What reads a graph in a graph does it with one call in another."""
    if any(depth > MAX_DEPTH for _, depth in graphs_of(model)):
        yield Found("graph", f"Graphs are nested more than {MAX_DEPTH} deep.")


def nodes_are_few(model: ModelProto) -> Iterator[Found]:
    """Optimising a program takes longer than in proportion to its length."""
    if sum(len(graph.node) for graph, _ in graphs_of(model)) > MAX_NODES:
        yield Found("graph", f"The program has more than {MAX_NODES} nodes.")


def data_is_inside_the_file(model: ModelProto) -> Iterator[Found]:
    """A tensor outside the file is a path on the server."""
    for tensor in tensors_of(model):
        if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
            yield Found(tensor.name, "A tensor is kept outside the file. Save the program with its data inside.")


def tensors_are_dense(model: ModelProto) -> Iterator[Found]:
    """The runtime makes a sparse tensor dense, and a hundred bytes become gigabytes."""
    for graph, _ in graphs_of(model):
        if graph.sparse_initializer:
            yield Found(graph.name, SPARSE)
        for node in graph.node:
            if any(_is_sparse(attribute) for attribute in node.attribute):
                yield Found(node.name or node.op_type, SPARSE)


def attributes_are_named_once(model: ModelProto) -> Iterator[Found]:
    """Of two attributes of one name, or two forms of one list, one would be checked and the other followed."""
    for graph, _ in graphs_of(model):
        for node in graph.node:
            names = [attribute.name.removesuffix("_as_tensor") for attribute in node.attribute]
            if len(set(names)) != len(names):
                yield Found(node.name or node.op_type, "An operator has two attributes of one name.")


def operators_are_standard(model: ModelProto) -> Iterator[Found]:
    """Operators of other domains need code that is not here, or do things that are not in the standard."""
    named = {entry.domain for entry in model.opset_import}
    named |= {node.domain for graph, _ in graphs_of(model) for node in graph.node}
    for domain in sorted(named - set(DOMAINS)):
        yield Found(domain, "The program uses operators outside the standard domains ai.onnx and ai.onnx.ml.")


def functions_are_not_defined(model: ModelProto) -> Iterator[Found]:
    """A function that is called twice in each function doubles from level to level."""
    if model.functions or model.training_info:
        yield Found("functions", "The program defines functions or training steps of its own.")


def inputs_are_columns(model: ModelProto) -> Iterator[Found]:
    """Rows are a table: one tensor of rows x columns, or one of rows x 1 for each column."""
    inputs = inputs_of(model)
    if not 1 <= len(inputs) <= MAX_INPUTS:
        yield Found("input", "The program has no inputs, or too many.")
    for value in inputs:
        shape = shape_of(value)
        if type_of(value) not in ROW_TYPES or shape is None or len(shape) not in (1, 2):
            yield Found(value.name, "An input is not a table of numbers or texts.")
        elif len(inputs) > 1 and shape[1:] not in ([], [1]):
            yield Found(value.name, "Of several inputs each must be a single column.")
        elif len(inputs) == 1 and not (len(shape) == 2 and 1 <= (shape[1] or 0) <= MAX_INPUTS):  # noqa: PLR2004
            yield Found(value.name, "The input does not say how many columns it has.")


def outputs_are_tensors(model: ModelProto) -> Iterator[Found]:
    """A sequence of maps is a shape of its own for each row."""
    if not model.graph.output:
        yield Found("output", "The program has no outputs.")
    for value in model.graph.output:
        if value.type.WhichOneof("value") != "tensor_type":
            yield Found(
                value.name,
                "An output is a sequence or a map and not a tensor. "
                "With skl2onnx, convert with options={'zipmap': False}.",
            )


def the_checker_agrees(model: ModelProto) -> Iterator[Found]:
    """The standard's own checker knows what each operator takes."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, TypeError) as error:
        yield Found("graph", f"ONNX's own checker refuses the program: {_first_line(error)}")


def scores_are_written(model: ModelProto) -> Iterator[Found]:
    """With two classes the runtime leaves a score of PROBIT as the memory was, which is another's."""
    for graph, _ in graphs_of(model):
        for node in graph.node:
            if node.op_type in CLASSIFIERS and any(attribute.s == b"PROBIT" for attribute in node.attribute):
                yield Found(
                    node.name or node.op_type, "A classifier gives scores as PROBIT, which is not computed."
                )


def trees_stay_within_themselves(model: ModelProto) -> Iterator[Found]:
    """A child or feature out of range reads memory that is not the tree's, and a loop never ends."""
    for graph, _ in graphs_of(model):
        for node in graph.node:
            if node.op_type in ENSEMBLES and (wrong := fault(node)):
                yield Found(node.name or node.op_type, wrong)
            elif node.op_type == "TreeEnsemble":
                yield Found(node.name, "The operator TreeEnsemble is not read yet; use opset 3 of ai.onnx.ml.")


#: In their order; each relies on those before it.
RULES = (
    Rule(graphs_are_not_nested_deeply),
    Rule(nodes_are_few),
    Rule(data_is_inside_the_file),
    Rule(tensors_are_dense),
    Rule(attributes_are_named_once),
    Rule(operators_are_standard),
    Rule(functions_are_not_defined),
    Rule(inputs_are_columns, NotAPredictor),
    Rule(outputs_are_tensors, NotAPredictor),
    unreadable(the_checker_agrees),
    Rule(trees_stay_within_themselves),
    Rule(scores_are_written),
)


def inputs_of(model: ModelProto) -> list[Any]:
    """The inputs that a caller gives: older programs list their constants among them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def type_of(value: Any) -> int:
    """The element type of an input or output; 0 if it is no tensor."""
    return int(value.type.tensor_type.elem_type)


def shape_of(value: Any) -> list[int | None] | None:
    """The dimensions of an input or output, None for those that vary; None if it does not say."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    dimensions = value.type.tensor_type.shape.dim
    return [dimension.dim_value if dimension.HasField("dim_value") else None for dimension in dimensions]


def width_of(model: ModelProto) -> int:
    """How many columns the program takes."""
    inputs = inputs_of(model)
    return int((shape_of(inputs[0]) or [0, 0])[1] or 0) if len(inputs) == 1 else len(inputs)


def _inner(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH or attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors_in(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def _is_sparse(attribute: AttributeProto) -> bool:
    return attribute.HasField("sparse_tensor") or bool(attribute.sparse_tensors)


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0][:160]
    return re.sub(r"[^\x20-\x7e]|[/\\]", "?", line)
