"""Random ONNX programs: whole numbers, casts, shared and sparse constants, trees and machines, sound and unsound.

`made(seed)` gives the same program each time; half of them are such that their cost can be told.
"""

import random
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

F, D, I32, I64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64
B, S = TensorProto.BOOL, TensorProto.STRING
DTYPES: dict[int, Any] = {F: np.float32, D: np.float64, I32: np.int32, I64: np.int64, B: np.bool_}
ML = "ai.onnx.ml"
FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    7.0,
    0.5,
    1e300,
    -1e300,
    2.0**31,
    -(2.0**63),
    1e-310,
    1e-40,
    np.nan,
    np.inf,
    -np.inf,
]
WHOLE = [0, 1, -1, 2, 7, -(2**31), 2**31 - 1, -(2**63), 2**63 - 1, 2**32]
ONE = (
    *("Abs", "Neg", "Sign", "Relu", "Ceil", "Exp", "Floor", "IsNaN", "Log", "Reciprocal", "Round", "Sigmoid"),
    *("Sqrt", "Tanh", "Softmax", "LogSoftmax", "Not", "Identity"),
)
TWO = (
    *("Add", "Sub", "Mul", "Div", "Div", "Max", "Min", "Pow", "Mod", "Equal", "Less", "Greater"),
    *("And", "Or", "Xor", "Mean", "Sum", "BitShift"),
)
REDUCE = (
    *("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"),
    *("ReduceSum", "ReduceSumSquare"),
)
Known = tuple[str, int, int | None]


def made(seed: int) -> ModelProto:
    """The program that belongs to a seed."""
    return _Maker(random.Random(seed)).program()  # noqa: S311 - it must be made again, not kept secret


def rows_of(seed: int, rows: int, width: int, unusual: float = 0.5) -> Any:
    """Rows of numbers, so many of them unusual."""
    chance = random.Random(-seed - 1)  # noqa: S311
    values = [
        chance.choice(FLOATS) if chance.random() < unusual else chance.gauss(0, 3) for _ in range(rows * width)
    ]
    return np.array(values, dtype=np.float64).reshape(rows, width)


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.pool: dict[tuple[int, tuple[int, ...]], str] = {}
        self.width = chance.choice([1, 1, 2, 3, 5])
        self.kind = chance.choice([F, D, D])
        self.opset = chance.choice([11, 13, 17, 18, 21])
        #: Name, element type, and columns (None: one value for each row) of what there is.
        self.known: list[Known] = [("x", self.kind, self.width)]

    def program(self) -> ModelProto:
        chance = self.chance
        count = chance.choice([1, 2, 3, 4, 6, 8, 12, 20]) if chance.random() > 0.002 else chance.choice([200, 800])
        for _ in range(count):
            chance.choice(STEPS)(self)
        last = [one for one in self.known if one[0] != "x"][-chance.choice([1, 1, 1, 2, 3]) :] or self.known
        outputs = [
            helper.make_tensor_value_info(name, kind, [None, width] if width else [None])
            for name, kind, width in last
        ]
        if chance.random() < 0.02:
            outputs.append(outputs[0])
        inputs = [helper.make_tensor_value_info("x", self.kind, [None, self.width])]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.constants)
        if chance.random() < 0.01:
            graph.sparse_initializer.append(_sparse(chance.choice([8, 1 << 20, 1 << 30])))
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(ML, 3)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def some(self, *kinds: int, columns: bool = False) -> Known:
        """Something that there is, of these types if there is such."""
        fit = [one for one in self.known if (not kinds or one[1] in kinds) and (one[2] or not columns)]
        return self.chance.choice(fit[-4:] or self.known)

    def add(
        self, operator: str, inputs: list[str], kind: int, width: int | None, more: int = 1, **given: Any
    ) -> str:
        """Add a node; the name of its first output."""
        first = len(self.nodes)
        names = [f"t{first}_{index}" for index in range(more)]
        self.nodes.append(helper.make_node(operator, inputs, names, **given))
        self.known.append((names[0], kind, width))
        return names[0]

    def constant(self, kind: int, *shape: int) -> str:
        """The name of a constant; often one that others have as well."""
        known = self.pool.get((kind, shape))
        if known and self.chance.random() < 0.6:
            return known
        name = f"c{len(self.constants)}"
        size = int(np.prod(shape))
        one = self.chance.random() < 0.5
        values = [self.value(kind) for _ in range(1 if one else min(size, 50))]
        with np.errstate(all="ignore"):
            array = np.resize(np.array(values, dtype=DTYPES[kind]), size).reshape(shape)
        self.constants.append(numpy_helper.from_array(array, name))
        self.pool[kind, shape] = name
        return name

    def value(self, kind: int) -> Any:
        if kind in (F, D):
            value = self.chance.choice(FLOATS) if self.chance.random() < 0.3 else self.chance.gauss(0, 3)
            return value if kind == D or abs(value) < 1e38 or value != value else 3.0
        if kind == B:
            return self.chance.random() < 0.5
        limits = np.iinfo(DTYPES[kind])
        value = self.chance.choice(WHOLE) if self.chance.random() < 0.4 else self.chance.randrange(-9, 9)
        return value if limits.min <= value <= limits.max else -1

    def one(self) -> None:
        operator = self.chance.choice(ONE)
        name, kind, width = self.some(*((B,) if operator == "Not" else (F, D, I32, I64)))
        if operator == "Not" and kind != B:
            return
        given = {"axis": self.chance.choice([1, 1, 1, 1, -1, -1, -1, 0])} if "Softmax" in operator else {}
        self.add(operator, [name], B if operator in ("IsNaN", "Not") else kind, width, **given)

    def two(self) -> None:
        operator = self.chance.choice(TWO if self.chance.random() < 0.5 else TWO[:7])
        kinds = (B,) if operator in ("And", "Or", "Xor") else self.chance.choice([(F, D), (I32, I64), ()])
        name, kind, width = self.some(*kinds)
        if kinds and kind not in kinds and self.chance.random() < 0.9:
            return
        inputs = [name, self.beside(kind, width)]
        if self.chance.random() < 0.4:
            inputs.reverse()
        given: dict[str, Any] = {"direction": "LEFT"} if operator == "BitShift" else {}
        if operator == "Mod" and kind in (F, D):
            given = {"fmod": 1}
        if operator == "Mean" and self.chance.random() < 0.9:
            operator = "Sum"
        told = operator in ("Equal", "Less", "Greater", "And", "Or", "Xor")
        self.add(operator, inputs, B if told else kind, width, **given)

    def beside(self, kind: int, width: int | None) -> str:
        """What can be combined with rows of this type and width; now and then what cannot."""
        same = [one[0] for one in self.known if one[1:] == (kind, width)]
        if same and self.chance.random() < 0.4:
            return self.chance.choice(same)
        if kind not in DTYPES:
            return self.known[0][0]
        shapes = [(1,), (width or 1,), (1, width or 1)] if width else [(1,)]
        return self.constant(kind, *(self.chance.choice(shapes) if self.chance.random() < 0.97 else (2, 1)))

    def where(self) -> None:
        name, kind, width = self.some(F, D, I32, I64)
        told = [one[0] for one in self.known if one[1] == B and one[2] == width]
        if told:
            values = [name, self.beside(kind, width)]
            self.chance.shuffle(values)
            self.add("Where", [self.chance.choice(told), *values], kind, width)

    def cast(self) -> None:
        name, _, width = self.some()
        strange = self.chance.random() < 0.05
        kind = self.chance.choice([TensorProto.UINT8, TensorProto.FLOAT16, S] if strange else [F, D, I32, I64, B])
        self.add("Cast", [name], kind, width, to=kind)

    def product(self) -> None:
        name, kind, width = self.some(F, D, columns=True)
        out = self.chance.choice([1, 2, 3, 7, 300])
        if width and self.chance.random() < 0.7:
            self.add("MatMul", [name, self.constant(kind if kind in DTYPES else F, width, out)], kind, out)
        elif width:
            turned = self.chance.random() < 0.3
            shape = (out, width) if turned else (width, out)
            inputs = [name, self.constant(kind if kind in DTYPES else F, *shape)]
            inputs += [self.constant(kind, out)] if kind in DTYPES and self.chance.random() < 0.5 else []
            self.add("Gemm", inputs, kind, out, transB=int(turned), alpha=self.chance.choice([1.0, 0.5, 1e-40]))

    def spread(self) -> None:
        name, kind, width = self.some(F, D, I64, columns=True)
        if width == 1 and kind in DTYPES:
            out = self.chance.choice([2, 5, 400, 5000])
            self.add(self.chance.choice(["Add", "Mul", "Equal"]), [name, self.constant(kind, 1, out)], kind, out)

    def extreme(self) -> None:
        name, _, _ = self.some(columns=True)
        keep = self.chance.choice([0, 1])
        axis = self.chance.choice([1, -1] if self.chance.random() < 0.95 else [0])
        self.add(
            self.chance.choice(["ArgMax", "ArgMin"]), [name], I64, 1 if keep else None, axis=axis, keepdims=keep
        )

    def reduce(self) -> None:
        name, kind, _ = self.some(F, D, columns=True)
        operator, keep = self.chance.choice(REDUCE), self.chance.choice([0, 1])
        if self.opset >= 18 or (operator == "ReduceSum" and self.opset >= 13):
            axes = f"c{len(self.constants)}"
            self.constants.append(
                numpy_helper.from_array(np.array([self.chance.choice([1, 1, 1, -1, -1, -1, -1, 0])]), axes)
            )
            self.add(operator, [name, axes], kind, 1 if keep else None, keepdims=keep)
        else:
            self.add(operator, [name], kind, 1 if keep else None, axes=[1], keepdims=keep)

    def look_up(self) -> None:
        name, kind, width = self.some(I32, I64)
        if kind not in (I32, I64) or (width and self.chance.random() < 0.7):
            name = self.add("ArgMax", [self.some(F, D, columns=True)[0]], I64, None, axis=1, keepdims=0)
        size = self.chance.choice([1, 2, 3, 50])
        table = self.constant(D, size, self.chance.choice([1, 2, 4]))
        self.add("Gather", [table, name], D, 2, axis=0)

    def label(self) -> None:
        name = self.add("ArgMax", [self.some(F, D, columns=True)[0]], I64, None, axis=1, keepdims=0)
        if self.chance.random() < 0.1:
            name = self.some(I64)[0]
        size = self.chance.choice([5, 50, 400] if self.chance.random() < 0.8 else [1, 2])
        if self.chance.random() < 0.5:
            labels = f"c{len(self.constants)}"
            texts = np.array([f"label {index}" for index in range(size)], dtype=object)
            self.constants.append(numpy_helper.from_array(texts, labels))
            kind = S
        else:
            labels, kind = self.constant(I64, size), I64
        lying = self.add("ArrayFeatureExtractor", [labels, name], kind, None, domain=ML)
        self.known.pop()
        form = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), form))
        self.add("Reshape", [lying, form], kind, None)

    def columns(self) -> None:
        name, kind, width = self.some(F, D, I32, I64, columns=True)
        if width:
            places = f"c{len(self.constants)}"
            chosen = [self.chance.choice([0, width - 1, self.chance.randrange(width)]) for _ in range(3)]
            chosen += [width] if self.chance.random() < 0.05 else []
            self.constants.append(numpy_helper.from_array(np.array(chosen, dtype=np.int64), places))
            self.add("ArrayFeatureExtractor", [name, places], kind, len(chosen), domain=ML)

    def join(self) -> None:
        name, kind, width = self.some(columns=True)
        if width and width < 3000:
            others = [one for one in self.known if one[1] == kind and one[2]][-3:]
            names = [name, *(one[0] for one in others)]
            self.add("Concat", names, kind, width + sum(one[2] or 0 for one in others), axis=1)

    def reshape(self) -> None:
        name, kind, width = self.some()
        usual = [[-1, width or 1], [0, width or 1], [-1] if not width or width == 1 else [-1, width]]
        target = self.chance.choice(usual if self.chance.random() < 0.95 else [[-1], [1, -1], [-1, 1]])
        form = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(target, dtype=np.int64), form))
        self.add("Reshape", [name, form], kind, target[-1] if target[-1] > 0 else None)

    def linear(self) -> None:
        name, kind, width = self.some(F, columns=True)
        if not width or width > 50 or (kind != F and self.chance.random() < 0.9):
            return
        out = self.chance.choice([1, 2, 3, 40])
        coefficients = [self.chance.gauss(0, 1) for _ in range(out * width + (self.chance.random() < 0.05))]
        if self.chance.random() < 0.5:
            self.add("LinearRegressor", [name], F, out, coefficients=coefficients, targets=out, domain=ML)
            return
        labels = [self.value(I64) for _ in range(max(2, out))]
        self.add("LinearClassifier", [name], I64, None, more=2, coefficients=coefficients, intercepts=[0.5] * out,
                 classlabels_ints=labels, post_transform=self.after(), domain=ML)  # fmt: skip
        self.known.append((self.nodes[-1].output[1], F, max(2, out)))

    def after(self) -> str:
        usual = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"]
        return self.chance.choice(usual) if self.chance.random() < 0.98 else "PROBIT"

    def machine(self) -> None:
        name, kind, width = self.some(F, columns=True)
        if not width or width > 50 or (kind != F and self.chance.random() < 0.9):
            return
        chance = self.chance
        classes, each = chance.choice([2, 2, 3, 12]), chance.choice([1, 3, 20])
        vectors, pairs = classes * each, classes * (classes - 1) // 2
        likely: dict[str, Any] = (
            {"prob_a": [-1.0] * pairs, "prob_b": [0.1] * pairs} if chance.random() < 0.5 else {}
        )
        kernel = chance.choice(["LINEAR", "POLY", "RBF", "SIGMOID"])
        shared: dict[str, Any] = {
            "support_vectors": [chance.gauss(0, 1) for _ in range(vectors * width)],
            "kernel_type": kernel,
            "kernel_params": [0.5, 0.1, 3.0],
            "domain": ML,
        }
        if chance.random() < 0.3:
            self.add(
                "SVMRegressor", [name], F, 1, coefficients=[1.0] * vectors, rho=[0.1], n_supports=vectors, **shared
            )
            return
        self.add("SVMClassifier", [name], I64, None, more=2,
                 coefficients=[chance.gauss(0, 1)] * (vectors * (classes - 1)),
                 rho=[0.1] * pairs, vectors_per_class=[each] * classes, classlabels_ints=list(range(classes)),
                 post_transform=self.after(), **likely, **shared)  # fmt: skip
        self.known.append((self.nodes[-1].output[1], F, classes if likely or classes == 2 else pairs))

    def trees(self) -> None:
        name, _, width = self.some(F, D, I64, columns=True)
        if not width:
            return
        chance = self.chance
        classes = chance.choice([2, 2, 2, 3, 3, 5, 100])
        lists = _trees(chance, width, classes)
        if chance.random() < 0.5:
            named = {f"target_{name}": values for name, values in lists.pop("leaves").items()}
            self.add("TreeEnsembleRegressor", [name], F, classes, n_targets=classes, **lists, **named, domain=ML)
            return
        named = {f"class_{name}": values for name, values in lists.pop("leaves").items()}
        labels = list(range(classes)) if chance.random() < 0.5 else [self.value(I64) for _ in range(classes)]
        self.add("TreeEnsembleClassifier", [name], I64, None, more=2, classlabels_int64s=labels,
                 post_transform=self.after(), **lists, **named, domain=ML)  # fmt: skip
        self.known.append((self.nodes[-1].output[1], F, classes))


def _trees(chance: random.Random, width: int, classes: int) -> dict[str, Any]:
    """A few trees of one depth, each a heap; now and then with a place that is not there."""
    depth, trees = chance.choice([0, 1, 2, 3]), chance.choice([1, 1, 2, 5])
    inner, total = 2**depth - 1, 2 ** (depth + 1) - 1
    ids = [(tree, node) for tree in range(trees) for node in range(total)]
    split = [node < inner for _, node in ids]
    leaves = [one for one, inside in zip(ids, split, strict=True) if not inside]
    wrong = chance.random() < 0.05
    return {
        "nodes_treeids": [tree for tree, _ in ids],
        "nodes_nodeids": [node for _, node in ids],
        "nodes_featureids": [chance.randrange(width + wrong) for _ in ids],
        "nodes_values": [chance.choice(FLOATS) if chance.random() < 0.1 else chance.gauss(0, 1) for _ in ids],
        "nodes_truenodeids": [2 * node + 1 if inside else 0 for (_, node), inside in zip(ids, split, strict=True)],
        "nodes_falsenodeids": [
            2 * node + 2 if inside else 0 for (_, node), inside in zip(ids, split, strict=True)
        ],
        "nodes_modes": [
            chance.choice(["BRANCH_LEQ", "BRANCH_LT", "BRANCH_EQ"]) if inside else "LEAF" for inside in split
        ],
        "leaves": {
            "treeids": [tree for tree, _ in leaves],
            "nodeids": [node for _, node in leaves],
            "ids": [chance.randrange(classes + wrong) for _ in leaves],
            "weights": [chance.gauss(0, 1) for _ in leaves],
        },
    }


def _sparse(size: int) -> Any:
    values = helper.make_tensor("sparse", D, [1], [1.0])
    return helper.make_sparse_tensor(values, helper.make_tensor("sparse_i", I64, [1], [5]), [size])


STEPS = [
    _Maker.one, _Maker.one, _Maker.two, _Maker.two, _Maker.two, _Maker.where, _Maker.cast, _Maker.cast,
    _Maker.product, _Maker.spread, _Maker.extreme, _Maker.reduce, _Maker.look_up, _Maker.label, _Maker.columns,
    _Maker.join, _Maker.reshape, _Maker.linear, _Maker.machine, _Maker.trees,
]  # fmt: skip
