"""What came of accelerating a version, as plain data."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

#: How far a number may be off, in parts of itself, or of the smallest usual size of such numbers near its row.
TOLERANCE = 1e-9
#: What the proof allows: other rows than those that were compared may be off a little more.
PROVEN = TOLERANCE / 30
#: Programs that passed an earlier edition of the proof are proven anew.
PROOF = 1
#: `pending`: it is being converted and compared. `failed`: the estimator answers itself, for the reason given.
Verdict = Literal["pending", "passed", "failed"]
#: Programs of earlier releases may have been in single precision.
Precision = Literal["double", "single"]


class ComparedMethod(Struct, frozen=True, kw_only=True):
    """One method of estimator and program on the same rows.

    Attributes:
        rows: that were compared, together and some of them one by one.
        mismatches: rows with another label, or with another number where one of the two is missing or infinite.
        largest_absolute: difference of two numbers.
        largest_relative: difference, in parts of the number or of the smallest usual size near it.
    """

    method: str
    rows: int
    mismatches: int
    largest_absolute: float
    largest_relative: float

    @property
    def passes(self) -> bool:
        """Whether the program may answer instead of the estimator."""
        return self.rows > 0 and not self.mismatches and self.largest_relative <= PROVEN


class Program(Struct, frozen=True, kw_only=True):
    """The program that answers for an estimator.

    Attributes:
        digest: of its bytes, which lie among the artifacts.
        size: of them.
        methods: that it answers; all others are the estimator's.
        runtime: with which a serving host has computed it.
        proof: the edition of the proof that it passed; if it is not that of today, the program must not answer.
    """

    digest: str
    size: int
    methods: tuple[str, ...]
    runtime: str = ""
    proof: int = 0

    @property
    def current(self) -> bool:
        """Whether the proof that it passed is the one of today."""
        return self.proof == PROOF


class Live(Struct, frozen=True, kw_only=True):
    """What came of a program on rows of requests.

    Attributes:
        rows: that were compared with what the estimator answers.
        differences: of these, how many were answered otherwise.
        answered: rows that the program answered, as they were counted last.
        left: rows that it left to the estimator.
        at: when rows were compared or counted last.
    """

    rows: int = 0
    differences: int = 0
    answered: int = 0
    left: int = 0
    at: str = ""

    def __add__(self, later: "Live") -> "Live":
        return Live(
            rows=self.rows + later.rows,
            differences=self.differences + later.differences,
            answered=self.answered + later.answered,
            left=self.left + later.left,
            at=later.at,
        )


class Acceleration(Struct, frozen=True, kw_only=True):
    """The report about a version's acceleration.

    Attributes:
        verdict: whether a program may answer for the estimator.
        reason: why not.
        precision: in which the program computes.
        rows: that were compared: probes from the estimator and the version's examples.
        tolerance: how far a number may be off, in parts of itself or of the smallest usual size near its row.
        methods: what was compared.
        native_microseconds, onnx_microseconds: what one row takes in each, without the way there.
        releases: of what converted and computed.
        seconds: that converting and comparing took.
        at: when.
        program: that passed.
        live: what came of comparing it on rows of requests.
    """

    verdict: Verdict = "pending"
    reason: str | UnsetType = UNSET
    precision: Precision | UnsetType = UNSET
    rows: int = 0
    tolerance: float = TOLERANCE
    methods: tuple[ComparedMethod, ...] = ()
    native_microseconds: float | UnsetType = UNSET
    onnx_microseconds: float | UnsetType = UNSET
    releases: dict[str, str] = {}
    seconds: float = 0.0
    at: str = ""
    program: Program | UnsetType = UNSET
    live: Live | UnsetType = UNSET


PENDING = Acceleration()


class Unconvertible(Exception):
    """An estimator has no program; the text says why, as the end of a sentence."""
