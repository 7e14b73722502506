"""What an ONNX program takes at the most; `bounds.py` works it out."""

from typing import NamedTuple


class Cost(NamedTuple):
    """What a program takes at the most.

    Attributes:
        steps: elementary steps for a row: one number read and combined with another.
        call: steps for a call, whatever the rows.
        bytes: of everything that is computed for a row, as if all of it were there at the same time.
        kept: bytes of a session.
        given: values in the answer for a row.
    """

    steps: int
    call: int
    bytes: int
    kept: int
    given: int
