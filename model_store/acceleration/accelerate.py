"""From a fitted estimator to a program that was proven to answer the same, and the report about it."""

import time
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import msgspec
import numpy as np
from onnx import ModelProto
from sklearn.base import BaseEstimator
from sklearn.svm import SVC, NuSVC

from model_store.acceleration import codes, trust
from model_store.acceleration.conversion import convert, last_of
from model_store.acceleration.decisions import with_margin
from model_store.acceleration.differences import usual_sizes
from model_store.acceleration.probes import GAPS, LARGEST, Probes, probes
from model_store.acceleration.proof import (
    Method,
    compare,
    least_margin,
    microseconds,
    names_of,
    with_edges,
)
from model_store.acceleration.report import PROOF, Acceleration, ComparedMethod, Program, Unconvertible
from model_store.acceleration.surrogates import Tables, surrogate_of
from model_store.acceleration.trust import MARGIN, Trust
from model_store.entities import now
from model_store.errors import Refused
from model_store.estimators.loaded import Loaded
from model_store.estimators.methods import methods_of
from model_store.formats.onnx.bounds import cost_of
from model_store.formats.onnx.checks import RULES
from model_store.formats.onnx.program import Session
from model_store.formats.onnx.tensors import Unbounded
from model_store.formats.rules import Audit
from model_store.schema import Schema

#: The least number of rows that a proof stands on.
LEAST_ROWS = 2_000
#: Of the rows near the data, the part that is the estimator's at the most.
MOST_LEFT = 0.05
#: What converts and computes.
RELEASES = ("scikit-learn", "skl2onnx", "onnxruntime")
#: What the outputs of a program may answer, by their order.
FIRST, SECOND = ("predict", "transform"), ("predict_proba", "decision_function")


def accelerate(estimator: Any, schema: Schema, examples: Sequence[Sequence[Any]]) -> tuple[Acceleration, bytes]:
    """The report, and the program if one passed (else nothing).

    Args:
        estimator: fitted.
        schema: of it.
        examples: rows of the version, compared as well.
    """
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report, program = _proven(estimator, schema, examples)
        except Unconvertible as error:
            report, program = Acceleration(verdict="failed", reason=f"The estimator answers itself: {error}."), b""
    return msgspec.structs.replace(
        report,
        releases={name: metadata.version(name) for name in RELEASES},
        seconds=round(time.perf_counter() - began, 3),
        at=now(),
    ), program


def _proven(estimator: Any, schema: Schema, examples: Sequence[Sequence[Any]]) -> tuple[Acceleration, bytes]:
    """The report about the program, and the program. Raises Unconvertible with the reason why there is none."""
    if not isinstance(estimator, BaseEstimator):
        raise Unconvertible("only estimators of scikit-learn are converted")
    tables = _tables(estimator, schema)
    surrogate, found = _as_numbers(estimator, tables, examples)
    model = convert(surrogate, len(schema.inputs))
    methods = _answered(model, estimator)
    model, everywhere = with_margin(_renamed(model, methods), found.blocks[0].rows[:2])
    if not (everywhere or found.located):
        raise Unconvertible("it says nothing of where its data lies; examples with the version would say it")
    return _compared(estimator, _Candidate(model, methods, everywhere), tables, found)


def _tables(estimator: Any, schema: Schema) -> Tables:
    try:
        return Tables(Loaded(estimator), codes.known_texts(schema))
    except ValueError as error:
        raise Unconvertible(
            f"only numbers and known categories are for programs, and {error} is neither"
        ) from None


def _as_numbers(estimator: Any, tables: Tables, examples: Sequence[Sequence[Any]]) -> tuple[Any, Probes]:
    """The estimator as one of numbers, and rows of numbers to compare them on."""
    try:
        return surrogate_of(estimator, tables), probes(estimator, tables.schema, examples)
    except Unconvertible:
        raise
    except Exception as error:
        raise Unconvertible(f"its columns cannot be told apart ({type(error).__name__})") from error


class _Candidate:
    """A program that has not been compared yet.

    Args:
        model: the program.
        methods: what its outputs answer.
        everywhere: whether it does not matter where rows lie.
    """

    def __init__(self, model: ModelProto, methods: tuple[str, ...], everywhere: bool) -> None:
        self.model = model
        self.methods = methods
        self.everywhere = everywhere
        self.decides = model.graph.output[-1].name == MARGIN
        self.session = _session(model, (*methods, MARGIN) if self.decides else methods)

    def answer(self, method: str) -> Method:
        """A method of the program."""
        return lambda rows: self.session.call(method, rows)

    def margin(self, rows: Any) -> Any:
        """How far rows are from being decided otherwise."""
        return self.session.call(MARGIN, rows)[:, 0] if self.decides else np.full(len(rows), np.inf)


def _compared(estimator: Any, candidate: _Candidate, tables: Tables, found: Probes) -> tuple[Acceleration, bytes]:
    """Hold a program against its estimator. Raises Unconvertible if it answers otherwise."""
    natives = {name: _native(getattr(estimator, name), tables) for name in candidate.methods}
    try:
        found = _without_refused_gaps(natives[candidate.methods[0]], found)
        least, found = _edges(natives, candidate, found)
        compared = tuple(
            compare(name, native, candidate.answer(name), candidate.margin, least, found)
            for name, native in natives.items()
        )
        left = float(np.mean(~(candidate.margin(found.blocks[0].rows) > least)))
    except Unconvertible:
        raise
    except Exception as error:
        raise Unconvertible(f"it raised {type(error).__name__} for rows that it was compared on") from error
    passed = names_of(compared)
    if candidate.methods[0] not in passed:
        raise Unconvertible(_difference(compared[0]))
    if left > MOST_LEFT:
        raise Unconvertible(f"its program decides too near to an edge for {left:.1%} of rows like its data")
    sizes = {name: usual_sizes(native(found.blocks[0].rows)) for name, native in natives.items()}
    _drop_outputs(candidate.model, {*passed, MARGIN})
    data = _written(candidate, tables, found, least, sizes)
    rows = found.rows
    one, table = rows[:1], tables.rows(rows[:1])
    first = candidate.methods[0]
    return Acceleration(
        verdict="passed",
        precision="double",
        rows=len(rows),
        methods=compared,
        native_microseconds=microseconds(lambda: getattr(estimator, first)(table)),
        onnx_microseconds=microseconds(lambda: candidate.session.call(first, one)),
        program=Program(digest="", size=len(data), methods=passed, proof=PROOF),
    ), data


def _without_refused_gaps(native: Method, found: Probes) -> Probes:
    """The probes; without rows in which numbers are missing, if the estimator refuses them despite its schema."""
    blocks = []
    for block in found.blocks:
        try:
            native(block.rows)
        except ValueError:
            if block.name != GAPS:
                raise
        else:
            blocks.append(block)
    return found._replace(blocks=tuple(blocks))


def _edges(natives: dict[str, Method], candidate: _Candidate, found: Probes) -> tuple[float, Probes]:
    """The least margin of an answer, and the probes with rows at the edges between labels."""
    if not candidate.decides:
        return 0.0, found
    found = with_edges(natives, found)
    programs = {name: candidate.answer(name) for name in natives}
    return least_margin(natives, programs, candidate.margin, found), found


def _drop_outputs(model: ModelProto, kept: set[str]) -> None:
    """Leave a program the outputs that it may answer."""
    outputs = [output for output in model.graph.output if output.name in kept]
    del model.graph.output[:]
    model.graph.output.extend(outputs)


def _written(
    candidate: _Candidate, tables: Tables, found: Probes, least: float, sizes: dict[str, tuple[float, ...]]
) -> bytes:
    """The bytes of a program that passed, with what it may answer and the texts that it knows."""
    ends = np.full((2, len(found.low)), LARGEST) * [[-1], [1]] if candidate.everywhere else (found.low, found.high)
    low, high = (tuple(end.tolist()) for end in np.asarray(ends))
    missing = tuple(bool(gap) for gap in np.atleast_1d(np.isnan(found.rows).any(axis=0)))
    least_ = least if candidate.decides else None
    trust.write(candidate.model, Trust(low, high, missing, least_, sizes))
    if not tables.plain:
        _write(candidate.model, tables.known)
    return bytes(candidate.model.SerializeToString(deterministic=True))


def _write(model: ModelProto, known: codes.Known) -> None:
    try:
        codes.write(model, known)
    except ValueError as error:  # also of half a character
        raise Unconvertible(f"its categories cannot be written: {error}") from None


def _answered(model: ModelProto, estimator: Any) -> tuple[str, ...]:
    """Which methods the program's outputs stand for, in their order."""
    available = methods_of(estimator)
    outputs = len(model.graph.output)
    first = next((name for name in FIRST if name in available), None)
    if first is None:
        raise Unconvertible("it has neither predict nor transform")
    # The probabilities of a machine come out of a loop until they are good enough.
    seconds = SECOND[1:] if isinstance(last_of(estimator), SVC | NuSVC) else SECOND
    second = next((name for name in seconds if name in available), None)
    return (first, second) if outputs > 1 and second else (first,)


def _renamed(model: ModelProto, methods: Sequence[str]) -> ModelProto:
    """The program with the outputs that are asked for, named after the methods."""
    named = ModelProto()
    named.CopyFrom(model)
    del named.graph.output[len(methods) :]
    for output, method in zip(named.graph.output, methods, strict=True):
        for node in named.graph.node:
            node.output[:] = [method if name == output.name else name for name in node.output]
            node.input[:] = [method if name == output.name else name for name in node.input]
        output.name = method
    return named


def _session(model: ModelProto, methods: Sequence[str]) -> Session:
    """The program as the server will run it. Raises Unconvertible if it would refuse."""
    try:
        Audit().apply(RULES, model)
        cost_of(model)
        return Session(model, methods)
    except Unbounded as error:
        raise Unconvertible(f"what its program takes cannot be told beforehand: {error}") from None
    except Refused as error:
        raise Unconvertible(f"its program is refused: {error}") from None
    except Exception as error:
        raise Unconvertible(f"ONNX Runtime makes no session of its program ({type(error).__name__})") from error


def _native(method: Method, tables: Tables) -> Method:
    """A method of the estimator, for rows of numbers."""
    return lambda rows: method(tables.rows(rows))


def _difference(compared: ComparedMethod) -> str:
    if not compared.rows:
        return f"no row lies far enough from where {compared.method} is decided otherwise"
    if compared.mismatches:
        return f"its program answers {compared.method} otherwise for {compared.mismatches} of {compared.rows} rows"
    return f"its program's {compared.method} is off by up to {compared.largest_relative:.1e} of what is usual"
