"""Examples of a version: rows, and what it must answer for them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from model_store.errors import InvalidExamples
from model_store.schema import Scalar

#: Rows of examples that a version can have.
MOST = 1000
#: Bytes of examples and their outputs that are kept.
LARGEST = 4 << 20
#: How far a number may be from the expected one: `|a - b| <= tolerance * max(1, |b|)`.
TOLERANCE = 1e-6
#: The methods whose outputs are kept, where a version has them; the first one is the usual method.
KEPT = ("predict", "transform", "predict_proba")


class Examples(Struct, frozen=True, kw_only=True):
    """Rows and outputs.

    Attributes:
        rows: one tuple of values for each row, in the order of the version's columns.
        outputs: method -> one entry for each row, as an answer has them.
        given: the methods whose outputs came with the examples; the others are the first answers of a host.
        tolerance: how far a number may be from the expected one, as `TOLERANCE` says.
    """

    rows: tuple[tuple[Scalar, ...], ...]
    outputs: dict[str, list[Any]] = {}
    given: tuple[str, ...] = ()
    tolerance: float = TOLERANCE


class Mismatch(Struct, frozen=True):
    """One example for which a method answered something else."""

    row: int
    method: str
    expected: Any
    answered: Any


def wanted(methods: Sequence[str]) -> tuple[str, ...]:
    """The methods whose outputs are kept for a version with these methods."""
    usual = next((name for name in ("predict", "transform") if name in methods), None)
    return tuple(name for name in KEPT if name in methods and name in {usual, "predict_proba"})


def completed(examples: Examples, answers: Mapping[str, list[Any]]) -> Examples:
    """Examples whose missing outputs are recorded from answers.

    Raises:
        InvalidExamples: with their outputs they are too large to keep.
    """
    whole = msgspec.structs.replace(examples, outputs={**answers, **examples.outputs})
    if len(msgspec.json.encode(whole)) > LARGEST:
        raise InvalidExamples(
            f"The examples with their outputs are larger than {LARGEST >> 20} MB. Give fewer rows."
        )
    return whole


def check_examples(examples: Examples, methods: Sequence[str]) -> None:
    """Raises InvalidExamples unless there is one output for each row, of methods that the version has."""
    if not examples.rows:
        raise InvalidExamples("There are no rows in the examples.")
    if len(examples.rows) > MOST:
        raise InvalidExamples(f"There are {len(examples.rows)} examples; a version has at most {MOST}.")
    if not 0 <= examples.tolerance < math.inf:
        raise InvalidExamples("The tolerance must be a number from 0 on.")
    for method, outputs in examples.outputs.items():
        if method not in methods:
            raise InvalidExamples(f"Outputs of {method} were given, which this version does not have.")
        if len(outputs) != len(examples.rows):
            raise InvalidExamples(
                f"There are {len(examples.rows)} examples, but {len(outputs)} outputs of {method} for them."
            )


def mismatches(examples: Examples, answers: Mapping[str, list[Any]]) -> Iterator[Mismatch]:
    """The examples whose answers are not the expected ones."""
    for method, outputs in examples.outputs.items():
        for row, (expected, answered) in enumerate(zip(outputs, answers[method], strict=True)):
            if not agree(expected, answered, examples.tolerance):
                yield Mismatch(row, method, expected, answered)


def agree(expected: Any, answered: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two outputs of one row are the same: numbers within the tolerance, anything else exactly."""
    if isinstance(expected, list) and isinstance(answered, list):
        pairs = zip(expected, answered, strict=False)
        return len(expected) == len(answered) and all(agree(a, b, tolerance) for a, b in pairs)
    if is_number(expected) and is_number(answered):
        return bool(abs(expected - answered) <= tolerance * max(1.0, abs(expected)))
    return type(expected) is type(answered) and bool(expected == answered)


def is_number(value: Any) -> bool:
    """Whether an output is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
