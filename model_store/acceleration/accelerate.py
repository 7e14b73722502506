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

from model_store.acceleration import codes
from model_store.acceleration.conversion import Candidate, candidates
from model_store.acceleration.probes import probes
from model_store.acceleration.proof import Method, compare, microseconds, names_of
from model_store.acceleration.report import Acceleration, Compared, Program, Unconvertible
from model_store.acceleration.surrogates import Tables, surrogate_of
from model_store.entities import now
from model_store.errors import Refused
from model_store.estimators.loaded import Loaded
from model_store.estimators.methods import methods_of
from model_store.formats.onnx.bounds import Unbounded, cost_of
from model_store.formats.onnx.checks import RULES
from model_store.formats.onnx.program import Session
from model_store.formats.rules import Audit
from model_store.schema import Schema

#: The least number of rows that a proof stands on.
LEAST_ROWS = 2_000
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
    """The first candidate that passes. Raises Unconvertible with the reason why none does."""
    if not isinstance(estimator, BaseEstimator):
        raise Unconvertible("only estimators of scikit-learn are converted")
    tables = _tables(estimator, schema)
    surrogate, rows = _as_numbers(estimator, tables, examples)
    reasons = []
    for candidate in candidates(surrogate, len(schema.inputs)):
        try:
            return _tried(candidate, estimator, tables, rows)
        except Unconvertible as error:
            reasons.append(str(error))
    raise Unconvertible("; and in single precision ".join(dict.fromkeys(reasons)))


def _tables(estimator: Any, schema: Schema) -> Tables:
    try:
        return Tables(Loaded(estimator), codes.known_texts(schema))
    except ValueError as error:
        raise Unconvertible(
            f"only numbers and known categories are for programs, and {error} is neither"
        ) from None


def _as_numbers(estimator: Any, tables: Tables, examples: Sequence[Sequence[Any]]) -> tuple[Any, Any]:
    """The estimator as one of numbers, and rows of numbers to compare them on."""
    try:
        return surrogate_of(estimator, tables), probes(estimator, tables.schema, examples)
    except Unconvertible:
        raise
    except Exception as error:
        raise Unconvertible(f"its columns cannot be told apart ({type(error).__name__})") from error


def _tried(candidate: Candidate, estimator: Any, tables: Tables, rows: Any) -> tuple[Acceleration, bytes]:
    if candidate.model is None:
        raise Unconvertible(candidate.reason)
    methods = _answered(candidate.model, estimator)
    model = _renamed(candidate.model, methods)
    session = _session(model, methods)
    natives = {name: _native(getattr(estimator, name), tables) for name in methods}
    compared = tuple(_compared(name, native, session, rows) for name, native in natives.items())
    passed = names_of(compared)
    if methods[0] not in passed:
        raise Unconvertible(_difference(compared[0]))
    if not tables.plain:
        _write(model, tables.known)
    data = model.SerializeToString(deterministic=True)
    one, table = rows[:1], tables.rows(rows[:1])
    return Acceleration(
        verdict="passed",
        precision=candidate.precision,
        rows=len(rows),
        methods=compared,
        native_microseconds=microseconds(lambda: getattr(estimator, methods[0])(table)),
        onnx_microseconds=microseconds(lambda: session.call(methods[0], one)),
        program=Program(digest="", size=len(data), methods=passed, missing=bool(np.isnan(rows).any())),
    ), data


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
    second = next((name for name in SECOND if name in available), None)
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


def _compared(name: str, native: Method, session: Session, rows: Any) -> Compared:
    try:
        return compare(name, native, lambda some: session.call(name, some), rows)
    except Exception as error:
        raise Unconvertible(f"it raised {type(error).__name__} for rows that it was compared on") from error


def _difference(compared: Compared) -> str:
    if compared.mismatches:
        return f"its program answers {compared.method} otherwise for {compared.mismatches} of {compared.rows} rows"
    return f"its program's {compared.method} is off by up to {compared.largest_relative:.1e} of what is usual"
