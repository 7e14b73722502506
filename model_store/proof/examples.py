"""Examples of a version: rows, and what it must answer for them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from model_store.errors import InvalidExamples
from model_store.methods import usual_method
from model_store.schema import Scalar

#: Rows of examples that a version can have.
MOST = 1000
#: Bytes of examples and their outputs that are kept.
LARGEST = 4 << 20
#: How far a number may be from the expected one: `|a - b| <= tolerance * max(1, |b|)`.
TOLERANCE = 1e-6
#: The method whose outputs are kept beside those of the usual one.
PROBABILITIES = "predict_proba"
#: The method whose numbers are labels where a version has classes, and are compared as labels are.
LABELS = "predict"
#: Entries of a long output, and characters of a long text, that a mismatch shows.
SHOWN_ENTRIES, SHOWN_CHARACTERS = 10, 200


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
    usual = usual_method(methods)
    return (usual, PROBABILITIES) if PROBABILITIES in methods and usual != PROBABILITIES else (usual,)


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


def mismatches(examples: Examples, answers: Mapping[str, list[Any]], classes: bool) -> Iterator[Mismatch]:
    """The examples whose answers are not the expected ones.

    Args:
        examples: with their outputs.
        answers: method -> one entry for each row.
        classes: whether the version has classes, so that its predictions are labels.
    """
    for method, outputs in examples.outputs.items():
        tolerance = 0.0 if classes and method == LABELS else examples.tolerance
        for row, (expected, answered) in enumerate(zip(outputs, answers[method], strict=True)):
            if not agree(expected, answered, tolerance):
                yield Mismatch(row, method, shortened(expected), shortened(answered))


def agree(expected: Any, answered: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether two outputs of one row are the same: numbers within the tolerance, anything else exactly."""
    if isinstance(expected, list) and isinstance(answered, list):
        pairs = zip(expected, answered, strict=False)
        return len(expected) == len(answered) and all(agree(a, b, tolerance) for a, b in pairs)
    if is_number(expected) and is_number(answered):
        return bool(expected == answered) or _near(expected, answered, tolerance)
    return type(expected) is type(answered) and bool(expected == answered)


def _near(expected: float, answered: float, tolerance: float) -> bool:
    try:
        return bool(abs(expected - answered) <= tolerance * max(1.0, abs(expected)))
    except OverflowError:  # an integer that no float can hold
        return False


def shortened(output: Any) -> Any:
    """An output as a report shows it: the beginning of what is long."""
    if isinstance(output, list):
        more = ["…"] if len(output) > SHOWN_ENTRIES else []
        return [*(shortened(entry) for entry in output[:SHOWN_ENTRIES]), *more]
    if isinstance(output, str) and len(output) > SHOWN_CHARACTERS:
        return output[:SHOWN_CHARACTERS] + "…"
    return output


def is_number(value: Any) -> bool:
    """Whether an output is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)
