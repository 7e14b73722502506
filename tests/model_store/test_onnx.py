"""ONNX programs: what is taken, what is refused before anything runs, and what is known to be bounded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import programs
from onnx import TensorProto, helper, numpy_helper
from programs import FLOAT, INT64, STRING, node, program, tree, value
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, SVR

from model_store.errors import NotAPredictor, Refused, Unreadable, Unsafe
from model_store.estimators.facts import inspect
from model_store.estimators.loaded import Loaded
from model_store.formats import load
from model_store.formats.onnx.bounds import cost_of
from model_store.formats.onnx.tensors import Unbounded
from model_store.formats.sniffing import sniff

pytestmark = pytest.mark.extras

X, Y = load_iris(return_X_y=True)
ROW = np.array([[1.0, 2.0]])


@pytest.fixture
def judge(folder: Path) -> Any:
    def judge_(model: Any) -> Any:
        path = folder / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return inspect(path)

    return judge_


@pytest.fixture
def answer(folder: Path) -> Any:
    """The result of a method of a program that was judged."""

    def answer_(method: str, rows: Any) -> Any:
        return Loaded(load("onnx", folder / "model.onnx")).call([method], rows, [])[0]

    return answer_


def test_a_program_is_taken_and_answers(judge: Any, answer: Any) -> None:
    found = judge(programs.adder())
    assert (found.facts.format, found.facts.methods, found.facts.warnings) == ("onnx", ("predict",), ())
    assert [column.type for column in found.facts.schema.inputs] == ["number", "number"]
    assert found.safety.classes == ("Add",)
    assert answer("predict", ROW).tolist() == [[2.0, 4.0]]


def test_a_tree_gives_labels_and_probabilities(judge: Any, answer: Any) -> None:
    facts = judge(tree()).facts
    assert (facts.methods, facts.schema.classes) == (("predict", "predict_proba"), ("no", "yes"))
    assert answer("predict", ROW).tolist() == ["yes"]
    assert answer("predict_proba", ROW).tolist() == [[0.0, 1.0]]


def test_several_inputs_are_columns_with_names_and_types(judge: Any, answer: Any) -> None:
    model = program(
        [node("Cast", "age", "years", to=FLOAT), node("Add", "years height", "y"), node("Identity", "city", "z")],
        inputs=[
            value("age", INT64, [None, 1]),
            value("height", FLOAT, [None, 1]),
            value("city", STRING, [None, 1]),
        ],
        outputs=[value("y", FLOAT, [None, 1]), value("z", STRING, [None, 1])],
    )
    schema = judge(model).facts.schema
    assert [(column.name, column.type) for column in schema.inputs] == [
        ("age", "integer"), ("height", "number"), ("city", "string"),
    ]  # fmt: skip
    assert schema.names_from == "estimator"
    rows = np.array([[30, 1.5, "Oslo"]], dtype=object)
    assert answer("predict", rows).tolist() == [31.5]


def external(location: str) -> Any:
    model = programs.adder()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def nested_external() -> Any:
    model = programs.endless()
    model.graph.node[0].attribute[0].g.initializer.append(external("weights.bin").graph.initializer[0])
    return model


def sparse(kind: str) -> Any:
    """A hundred bytes that are made a gigabyte."""
    values = helper.make_tensor("c", FLOAT, [1], [1.0])
    made = helper.make_sparse_tensor(values, helper.make_tensor("i", INT64, [1], [5]), [1 << 28])
    model = programs.adder()
    if kind == "constant":
        model.graph.sparse_initializer.append(made)
    else:
        model.graph.node.insert(0, helper.make_node("Constant", [], ["s"], sparse_value=made))
    return model


def with_function() -> Any:
    function = helper.make_function("", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], programs.OPSETS)
    return program([node("Twice", "x", "y")], functions=[function])


def sequence() -> Any:
    output = helper.make_tensor_sequence_value_info("y", FLOAT, None)
    return program([node("SequenceConstruct", "x", "y")], outputs=[output])


def without(model: Any, field: str) -> Any:
    model.graph.ClearField(field)
    return model


def chain(depth: int) -> Any:
    """A tree of which each left child is a leaf and each right child goes on."""
    inner, nodes = depth, 2 * depth + 1
    leaves = range(inner, nodes)
    return tree(
        nodes_treeids=[0] * nodes,
        nodes_nodeids=list(range(nodes)),
        nodes_featureids=[0] * nodes,
        nodes_values=[0.5] * nodes,
        nodes_modes=["BRANCH_LEQ"] * inner + ["LEAF"] * (inner + 1),
        nodes_truenodeids=[*leaves][:inner] + [0] * (inner + 1),
        nodes_falsenodeids=[*range(1, inner), nodes - 1] + [0] * (inner + 1),
        class_treeids=[0] * (inner + 1),
        class_nodeids=[*leaves],
        class_ids=[0, 1] * (inner // 2) + [0] * (inner % 2 + 1),
        class_weights=[1.0] * (inner + 1),
    )


def ladder(depth: int) -> Any:
    """A tree whose nodes have the next one as both their children: the ways double from level to level."""
    below = [*range(1, depth), 0]
    return tree(
        nodes_treeids=[0] * depth,
        nodes_nodeids=list(range(depth)),
        nodes_featureids=[0] * depth,
        nodes_values=[0.5] * depth,
        nodes_modes=["BRANCH_LEQ"] * (depth - 1) + ["LEAF"],
        nodes_truenodeids=below,
        nodes_falsenodeids=below,
        class_treeids=[0, 0],
        class_nodeids=[depth - 1] * 2,
        class_ids=[0, 1],
        class_weights=[1.0, 1.0],
    )


def test_a_tree_of_usual_depth_is_taken(judge: Any) -> None:
    assert judge(chain(60)).facts.methods[0] == "predict"


def without_values(model: Any) -> Any:
    attributes = model.graph.node[0].attribute
    for attribute in [attribute for attribute in attributes if attribute.name.startswith("class_")]:
        attributes.remove(attribute)
    return model


REFUSED: dict[str, tuple[Any, type[Refused]]] = {
    "external data": (lambda: external("weights.bin"), Unsafe),
    "external data by path": (lambda: external("../../etc/passwd"), Unsafe),
    "external data in a loop": (nested_external, Unsafe),
    "a sparse constant": (lambda: sparse("constant"), Unsafe),
    "a sparse constant in an operator": (lambda: sparse("operator"), Unsafe),
    "scores that are not computed": (lambda: tree(post_transform="PROBIT"), Unsafe),
    "an attribute in two forms": (
        lambda: tree(nodes_values_as_tensor=numpy_helper.from_array(np.zeros(1, np.float32), "v")),
        Unsafe,
    ),
    "another domain": (lambda: program([node("Tokenizer", "x", "y", domain="com.microsoft")]), Unsafe),
    "another opset": (
        lambda: program([node("Neg", "x", "y")], opsets=[*programs.OPSETS, helper.make_opsetid("evil", 1)]),
        Unsafe,
    ),
    "functions": (with_function, Unsafe),
    "many nodes": (
        lambda: program([node("Neg", f"x{i}" if i else "x", f"x{i + 1}") for i in range(20_001)]),
        Unsafe,
    ),
    "no inputs": (lambda: without(programs.adder(), "input"), Refused),
    "unknown width": (
        lambda: program([node("Neg", "x", "y")], inputs=[value("x", FLOAT, [None, None])]),
        NotAPredictor,
    ),
    "an image": (
        lambda: program([node("Neg", "x", "y")], inputs=[value("x", FLOAT, [None, 3, 8, 8])]),
        NotAPredictor,
    ),
    "complex numbers": (
        lambda: program([node("Neg", "x", "y")], inputs=[value("x", TensorProto.COMPLEX64, [None, 2])]),
        NotAPredictor,
    ),
    "wide columns": (
        lambda: program(
            [node("Neg", "x", "y")], inputs=[value("x", FLOAT, [None, 2]), value("z", FLOAT, [None, 2])]
        ),
        NotAPredictor,
    ),
    "a sequence": (sequence, NotAPredictor),
    "no outputs": (lambda: without(programs.adder(), "output"), Refused),
    "an unknown operator": (lambda: program([node("Frobnicate", "x", "y")]), Unreadable),
    "an input from nowhere": (lambda: program([node("Neg", "nowhere", "y")]), Unreadable),
    "cut off": (lambda: programs.adder().SerializeToString()[:-9], Unreadable),
    "child out of range": (lambda: tree(nodes_truenodeids=[77, 0, 0]), Unsafe),
    "a loop": (lambda: tree(nodes_truenodeids=[0, 0, 0]), Unsafe),
    "shared child": (lambda: tree(nodes_falsenodeids=[1, 0, 0]), Unsafe),
    "children shared from level to level": (lambda: ladder(40), Unsafe),
    "negative feature": (lambda: tree(nodes_featureids=[-5, 0, 0]), Unsafe),
    "class out of range": (lambda: tree(class_ids=[0, 9, 0, 1]), Unsafe),
    "value of no node": (lambda: tree(class_nodeids=[1, 1, 2, 44]), Unsafe),
    "short lists": (lambda: tree(nodes_values=[0.5]), Unsafe),
    "equal numbers": (lambda: tree(nodes_nodeids=[0, 1, 1]), Unsafe),
    "unknown mode": (lambda: tree(nodes_modes=["JUMP", "LEAF", "LEAF"]), Unsafe),
    "one class": (
        lambda: tree(classlabels_strings=["a"], class_ids=[0] * 4),
        Unsafe,
    ),
    "two lists of classes": (lambda: tree(classlabels_int64s=[1, 2]), Refused),
    "very deep": (lambda: chain(1_500), Unsafe),
    "no values": (lambda: without_values(tree()), Refused),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_hurt_or_makes_no_sense_is_refused(judge: Any, kind: str) -> None:
    """Rows F25 to F27."""
    make, error = REFUSED[kind]
    with pytest.raises(error) as caught:
        judge(make())
    assert caught.value.report is not None
    assert caught.value.report.findings


@pytest.mark.parametrize("start", [b"", b"\x08", b"\x08\x07", b"\x08\x80", b"\x08\x07\x00"])
def test_what_only_begins_like_a_program_is_not_one(folder: Path, start: bytes) -> None:
    path = folder / "model"
    path.write_bytes(start)
    with pytest.raises(Refused):
        sniff(path)


BOUNDED = [
    make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y),
    LinearRegression().fit(X, Y),
    RandomForestClassifier(5, random_state=0).fit(X, Y),
    RandomForestRegressor(5, random_state=0).fit(X, Y),
    GradientBoostingClassifier(n_estimators=3, random_state=0).fit(X, Y),
    make_pipeline(MinMaxScaler(), MLPClassifier(4, tol=0.01, max_iter=500, random_state=0)).fit(X, Y),
    SVC().fit(X, Y),
    SVR().fit(X, Y),
]
UNBOUNDED = [KNeighborsClassifier().fit(X, Y)]


def converted(estimator: Any) -> Any:
    skl2onnx = pytest.importorskip("skl2onnx")
    options = {"zipmap": False} if hasattr(estimator, "classes_") else None
    return skl2onnx.to_onnx(estimator, X[:1].astype(np.float32), options=options)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("estimator", [*BOUNDED, *UNBOUNDED], ids=lambda e: type(e).__name__)
def test_converted_estimators_are_taken_and_agree(judge: Any, answer: Any, estimator: Any) -> None:
    model = converted(estimator)
    facts = judge(model).facts
    assert facts.warnings == ()
    np.testing.assert_allclose(answer("predict", X), estimator.predict(X), rtol=1e-3, atol=1e-3)
    if estimator in BOUNDED:
        assert cost_of(model).steps < 50_000
    else:
        with pytest.raises(Unbounded):
            cost_of(model)


def test_converted_forests_keep_their_labels_of_text(judge: Any, answer: Any) -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[Y]
    estimator = RandomForestClassifier(3, random_state=0).fit(X, names)
    facts = judge(converted(estimator)).facts
    assert facts.schema.classes == ("setosa", "versicolor", "virginica")
    assert facts.schema.outputs[0].type == "string"
    np.testing.assert_array_equal(answer("predict", X), estimator.predict(X))


WIDE = np.ones((2, 200_000), dtype=np.float32)
DOUBLING = [node("Concat", f"x{i} x{i}" if i else "x x", f"x{i + 1}", axis=1) for i in range(40)]
OLDER = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 3)]
TEXTS = np.array([["a", "b"]], dtype=object)


def machine(**changed: Any) -> Any:
    """A support vector machine of two classes, two columns and three vectors."""
    attributes = {
        "classlabels_ints": [0, 1], "vectors_per_class": [2, 1], "support_vectors": [1.0] * 6,
        "coefficients": [1.0, 1.0, -1.0], "rho": [0.5], "kernel_params": [1.0, 0.0, 3.0], "kernel_type": "RBF",
    } | changed  # fmt: skip
    outputs = [value("l", INT64, [None]), value("y", FLOAT, [None, 2])]
    return program([node("SVMClassifier", "x", "l y", **attributes)], outputs=outputs)


def regression_machine(**changed: Any) -> Any:
    attributes = {
        "n_supports": 3, "support_vectors": [1.0] * 6, "coefficients": [1.0, 1.0, -1.0], "rho": [0.5],
        "kernel_params": [1.0, 0.0, 3.0], "kernel_type": "RBF",
    } | changed  # fmt: skip
    return program([node("SVMRegressor", "x", "y", **attributes)], outputs=[value("y", FLOAT, [None, 1])])


def labelled(labels: list[str]) -> Any:
    """The label of the larger of two numbers."""
    nodes = [
        node("ArgMax", "x", "i", axis=1, keepdims=0),
        node("ArrayFeatureExtractor", "c i", "q", domain="ai.onnx.ml"),
        node("Reshape", "q f", "y"),
    ]
    constants = {"c": np.array(labels, dtype=object), "f": np.array([-1])}
    return program(nodes, outputs=[value("y", STRING, None)], constants=constants)


#: A row's place in a table.
PLACE = [node("ArgMax", "x", "p", axis=1, keepdims=0)]
#: The same as one row: a constant of two dimensions has it lie.
LYING = [*PLACE, node("Add", "p z", "q")]
LOOKED_UP = {"c": np.ones((2, 5), dtype=np.float32)}


def test_tables_and_columns_that_are_spread_are_bounded() -> None:
    found = cost_of(program([*PLACE, node("Gather", "c p", "y")], constants=LOOKED_UP))
    assert (found.steps, found.given) == (2 + 5, 5)  # two numbers are compared, five are copied
    one = [node("ReduceMax", "x", "m", axes=[1]), node("Equal", "m c", "y")]
    assert cost_of(program(one, opsets=OLDER, constants={"c": np.ones((1, 7), np.float32)})).steps >= 7


def without_last(model: Any) -> Any:
    """The program without its last node, whose input it gives."""
    model.graph.output[0].name = model.graph.node[-1].input[0]
    del model.graph.node[-1]
    return model


def test_what_is_shared_counts_for_each_that_uses_it() -> None:
    """A constant is in the file once, and is gone through by every operator that has it."""
    few, many = (
        cost_of(
            program(
                [*(node("Gemm", "x w", f"g{i}", alpha=1.0 + i) for i in range(count)),
                 node("Sum", " ".join(f"g{i}" for i in range(count)), "y")],
                constants={"w": np.ones((2, 500), np.float32)},
            )
        )
        for count in (10, 1000)
    )  # fmt: skip
    assert many.steps > 90 * few.steps
    assert many.bytes > 90 * few.bytes
    assert many.kept < 90 * few.kept


@pytest.mark.parametrize("start", [[], [0.5], [0.5, 0.25]])
@pytest.mark.parametrize("classes", [[0, 0], [1, 1], [0, 1]])
def test_scores_are_made_of_the_file_alone(
    judge: Any, answer: Any, start: list[float], classes: list[int]
) -> None:
    """The runtime reads as many base values as it has scores; one that is missing would be some other memory."""
    leaves = {
        "class_treeids": [0, 0], "class_nodeids": [1, 2], "class_ids": classes, "class_weights": [0.25, 0.5],
    }  # fmt: skip
    model = tree(**leaves, **({"base_values": start} if start else {}))
    if len(start) == 1 and classes == [0, 1]:
        with pytest.raises(Unsafe):
            judge(model)
        return
    judge(model)
    assert np.isfinite(answer("predict_proba", ROW)).all()
    assert answer("predict_proba", ROW).max() <= 2


def test_probabilities_of_many_classes_and_shared_vectors_cost_what_they_take() -> None:
    """They are searched for in turns, each of which goes through all pairs of classes."""
    costs = []
    for classes in (10, 100):
        pairs = classes * (classes - 1) // 2
        costs.append(
            cost_of(
                machine(
                    classlabels_ints=list(range(classes)), vectors_per_class=[1] * classes,
                    support_vectors=[1.0] * 2 * classes, coefficients=[1.0] * classes * (classes - 1),
                    rho=[0.1] * pairs, prob_a=[-1.0] * pairs, prob_b=[0.1] * pairs,
                )
            )
        )  # fmt: skip
    assert costs[1].steps > 90 * costs[0].steps
    assert costs[1].bytes > 50 * costs[0].bytes


def test_an_output_that_is_given_twice_counts_twice() -> None:
    model = programs.adder()
    once = cost_of(model)
    model.graph.output.append(model.graph.output[0])
    assert cost_of(model).given == 2 * once.given
    assert cost_of(model).bytes > once.bytes


def test_machines_and_labels_are_bounded() -> None:
    """What the wrong ones below are made of is right."""
    for model in (machine(), regression_machine(), labelled(["a", "b"])):
        assert cost_of(model).steps < 1_000


def whole(operator: str, first: str, second: str, **constants: Any) -> Any:
    """A program that combines whole numbers of 32 bits: `i` is cast from the rows, `n` is 0 or 1."""
    nodes = [
        node("Cast", "x", "i", to=TensorProto.INT32),
        node("IsNaN", "x", "t"),
        node("Cast", "t", "n", to=TensorProto.INT32),
        node(operator, f"{first} {second}", "y"),
    ]
    outputs = [value("y", TensorProto.INT32, [None, 2])]
    return program(nodes, outputs=outputs, constants={name: np.int32([one]) for name, one in constants.items()})


WHOLE = {
    "added to a place": lambda: whole("Add", "n", "c", c=7),
    "a product with a place": lambda: whole("Mul", "c", "n", c=-(2**31)),
    "divided by a constant": lambda: whole("Div", "n", "c", c=-3),
    "the larger one": lambda: whole("Max", "i", "n"),
}
UNTOLD: dict[str, Any] = {
    "the least of all divided by what may be -1": lambda: whole("Div", "c", "i", c=-(2**31)),
    "division by zero": lambda: whole("Div", "c", "n", c=7),
    "division by -1": lambda: whole("Div", "i", "c", c=-1),
    "a remainder": lambda: whole("Mod", "i", "c", c=3),
    "a sum that overflows": lambda: whole("Add", "i", "c", c=1),
    "a difference that overflows": lambda: whole("Sub", "c", "i", c=0),
    "a product that overflows": lambda: whole("Mul", "i", "i"),
    "a power of whole numbers": lambda: whole("Pow", "n", "c", c=40),
    "a shift": lambda: whole("BitShift", "i", "c", c=40),
    "the least of all without its sign": lambda: program(
        [node("Cast", "x", "i", to=INT64), node("Abs", "i", "y")], outputs=[value("y", INT64, [None, 2])]
    ),
    "the least of all negated": lambda: program(
        [node("Cast", "x", "i", to=INT64), node("Neg", "i", "y")], outputs=[value("y", INT64, [None, 2])]
    ),
    "whole numbers multiplied together": lambda: program(
        [node("Cast", "x", "i", to=INT64), node("ReduceProd", "i", "y", axes=[1])],
        opsets=OLDER,
        outputs=[value("y", INT64, [None, 1])],
    ),
    "labels by a number that was cast": lambda: program(
        [
            node("ReduceMax", "x", "m", axes=[1], keepdims=0),
            node("Cast", "m", "i", to=INT64),
            node("ArrayFeatureExtractor", "c i", "q", domain="ai.onnx.ml"),
            node("Reshape", "q f", "y"),
        ],
        opsets=OLDER,
        constants={"c": np.arange(3), "f": np.array([-1])},
        outputs=[value("y", INT64, [None])],
    ),
    "half precision": lambda: program(
        [node("Cast", "x", "y", to=TensorProto.FLOAT16)], outputs=[value("y", TensorProto.FLOAT16, [None, 2])]
    ),
    "scores over rows": lambda: program([node("Softmax", "x", "y", axis=0)]),
    "labels that lie": lambda: without_last(labelled(["a", "b"])),
    "an output that is a constant": lambda: program(
        [node("Neg", "x", "z")], constants={"y": np.zeros((1, 2), np.float32)}
    ),
    "constants that become large when a session is made": lambda: program(
        [node("Expand", "c s", "z"), node("ReduceMax", "z", "m", keepdims=0), node("Add", "x m", "y")],
        opsets=OLDER,
        constants={"c": np.ones((1, 1), np.float32), "s": np.array([1 << 15, 1 << 15])},
    ),
    "a table of a size that stands in a constant": lambda: program(
        [node("ConstantOfShape", "s", "z"), node("Add", "x z", "y")], constants={"s": np.array([1 << 31])}
    ),
    "very many targets": lambda: program(
        [
            node(
                "TreeEnsembleRegressor",
                "x",
                "y",
                n_targets=1 << 40,
                target_treeids=[0],
                target_nodeids=[1],
                target_ids=[0],
                target_weights=[1.0],
                **{name: values for name, values in programs.TREE.items() if name.startswith("nodes")},
            )
        ]
    ),
    "two lists of labels": lambda: machine(classlabels_strings=["a"]),
    "very many constants": lambda: program(
        [node("Neg", "x", "y")], constants={f"c{i}": np.float32(i) for i in range(10_001)}
    ),
    "a loop": programs.endless,
    "doubling": lambda: program(DOUBLING, outputs=[value("x40", FLOAT, None)]),
    "rows of rows": lambda: program([node("Add", "x c", "y")], constants={"c": np.ones((500, 1), np.float32)}),
    "a product of rows": lambda: program([node("MatMul", "x x", "y")]),
    "another width": lambda: program([node("MatMul", "x c", "y")], constants={"c": np.ones((3, 2), np.float32)}),
    "size from data": lambda: program([node("Shape", "x", "s"), node("ConstantOfShape", "s", "y")]),
    "a long label": lambda: tree(classlabels_strings=["no", "y" * 1000]),
    "a feature beyond": lambda: tree(nodes_featureids=[5, 0, 0]),
    "fixed rows": lambda: program([node("Neg", "x", "y")], inputs=[value("x", FLOAT, [1, 2])]),
    "text": lambda: program([node("Cast", "x", "y", to=STRING)], outputs=[value("y", STRING, [None, 2])]),
    "turned": lambda: program([node("Reshape", "x f", "y")], constants={"f": np.array([2, -1])}),
    "coefficients": lambda: program([node("LinearRegressor", "x", "y", coefficients=[1.0], targets=1)]),
    "over rows": lambda: program([node("ArgMax", "x", "y", axis=0)], outputs=[value("y", INT64, None)]),
    "vectors that are not there": lambda: machine(support_vectors=[1.0]),
    "coefficients of a machine": lambda: machine(coefficients=[1.0] * 4),
    "kernel": lambda: machine(kernel_params=[1.0]),
    "offsets": lambda: machine(rho=[1.0, 2.0]),
    "classes of a machine": lambda: machine(vectors_per_class=[3, -1]),
    "one class of a machine": lambda: machine(vectors_per_class=[2], classlabels_ints=[0]),
    "half of the probabilities": lambda: machine(prob_a=[1.0]),
    "vectors of a regressor": lambda: regression_machine(n_supports=9),
    "coefficients of a regressor": lambda: regression_machine(coefficients=[1.0]),
    "offsets of a regressor": lambda: regression_machine(rho=[1.0, 2.0]),
    "sums over rows": lambda: program([node("ReduceMax", "x", "y", axes=[0])], opsets=OLDER),
    "sums over what comes": lambda: program([node("ReduceSum", "x x", "y")]),
    "texts that are combined": lambda: program([node("Concat", "c c", "y", axis=1)], constants={"c": TEXTS}),
    "a long label of a class": lambda: labelled(["a" * 300, "b"]),
    "something else than rows looked up": lambda: program(
        [node("Gather", "x c", "y")], constants={"c": np.array([0])}
    ),
    "rows of rows looked up": lambda: program(
        [*LYING, node("Gather", "c q", "y")], constants={"z": np.zeros((1, 1), np.int64), "c": np.ones((2, 5))}
    ),
    "labels looked up as places": lambda: program(
        [*PLACE, node("ArrayFeatureExtractor", "z p", "q", domain="ai.onnx.ml"), node("Gather", "c q", "y")],
        constants={"z": np.zeros((1, 2), np.int64), "c": np.ones((2, 5))},
    ),
    "labels combined with rows": lambda: program(
        [*PLACE, node("ArrayFeatureExtractor", "z p", "q", domain="ai.onnx.ml"), node("Add", "q q", "y")],
        constants={"z": np.zeros((1, 2), np.float32)},
    ),
    "columns looked up": lambda: program([*PLACE, node("Gather", "c p", "y", axis=1)], constants=LOOKED_UP),
    "a wide constant beside one column": lambda: program(
        [node("ReduceMax", "x", "m", axes=[1]), node("Add", "m c", "y")], opsets=OLDER, constants={"c": WIDE[:1]}
    ),
    "constant output": lambda: program([node("Neg", "c", "y")], constants={"c": WIDE[:, :2]}),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers_whose_ranges_are_known_are_computed_with(judge: Any, answer: Any, kind: str) -> None:
    model = WHOLE[kind]()
    assert cost_of(model).steps < 100
    judge(model)
    assert len(answer("predict", np.array([[1e30, np.nan], [-np.inf, 3]]))) == 2


@pytest.mark.parametrize("kind", UNTOLD)
def test_what_cannot_be_told_beforehand_is_for_a_host(kind: str) -> None:
    with pytest.raises(Unbounded):
        cost_of(UNTOLD[kind]())


def test_a_bound_holds_for_every_tensor_of_a_run() -> None:
    """The cost of a program is what a run of it makes, tensor by tensor."""
    import onnxruntime

    model = converted(BOUNDED[5])
    names = [output for one in model.graph.node for output in one.output]
    model.graph.ClearField("output")
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = 7
    made = session.run(None, {"X": X[:rows].astype(np.float32)})
    assert sum(np.size(array) for array in made) <= rows * cost_of(converted(BOUNDED[5])).steps
