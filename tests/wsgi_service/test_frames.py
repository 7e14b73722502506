"""Frames and tables survive the way through a pipe, and what is no frame is refused."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_results, decode_table, encode_result, encode_table
from wsgi_service.rows.tables import Cells, Table

FLOATS = st.floats(allow_nan=True, width=64)


def through_a_pipe(header: Any, buffers: list[Any]) -> tuple[Any, list[bytearray]]:
    pipe = io.BytesIO()
    frames.write(pipe, header, buffers)
    pipe.seek(0)
    return frames.read_reply(pipe) if isinstance(header, frames.Predicted) else frames.read_request(pipe)


def table_through_a_pipe(table: Table) -> Table:
    header, buffers = encode_table(table)
    request, received = through_a_pipe(frames.Predict("k", ("predict",), header), buffers)
    return decode_table(request.table, received)


def result_through_a_pipe(result: Any) -> Any:
    """Sent twice over, with another result between, so that each must find its own buffers."""
    outcome, buffers = encode_result(result)
    between, more = encode_result([np.zeros(1), np.zeros(2)])
    reply, received = through_a_pipe(frames.Predicted((outcome, between, outcome)), [*buffers, *more, *buffers])
    first, _, second = decode_results(reply.outcomes, received)
    assert repr(first) == repr(second)
    return second


@given(st.lists(st.lists(FLOATS, min_size=3, max_size=3), min_size=1, max_size=20))
def test_a_matrix_arrives_bit_for_bit(rows: list[list[float]]) -> None:
    matrix = np.array(rows)
    received = table_through_a_pipe(Table(len(rows), matrix=matrix))
    assert received.matrix is not None
    assert received.matrix.tobytes() == matrix.tobytes()


@given(st.lists(st.tuples(st.text(), st.booleans(), FLOATS, st.booleans()), min_size=1, max_size=20))
def test_typed_columns_arrive_with_what_is_missing(rows: list[tuple[str, bool, float, bool]]) -> None:
    texts, flags, numbers, present = (list(column) for column in zip(*rows, strict=True))
    valid = np.array(present)
    table = Table(
        len(rows),
        columns=[Cells("text", texts, valid), Cells("bool", np.array(flags)), Cells("f8", np.array(numbers))],
    )
    text, flag, number = table_through_a_pipe(table).columns
    assert text.values == texts
    assert text.valid is not None
    assert text.valid.tolist() == present
    assert np.array_equal(flag.values, flags)
    assert np.array_equal(number.values, numbers, equal_nan=True)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3), np.array([1, 2], dtype=np.int32), np.array([True, False]), np.zeros((0, 3)),
        np.arange(6.0).reshape(2, 3).T, np.array([1.5], dtype=np.float32), np.array([1, 2], dtype=">i8"),
    ],
)  # fmt: skip
def test_arrays_arrive_with_shape_and_kind(array: Any) -> None:
    received = result_through_a_pipe(array)
    assert (received.shape, received.dtype.kind) == (array.shape, array.dtype.kind)
    np.testing.assert_array_equal(received, array)


def test_texts_lists_sparse_and_mixed_results_arrive() -> None:
    assert result_through_a_pipe(np.array(["é", ""])) == ["é", ""]
    assert result_through_a_pipe(np.array([["a"], ["b"]], dtype=object)) == [["a"], ["b"]]
    assert result_through_a_pipe(np.array(["a", 1], dtype=object)) == ["a", 1]
    assert [part.tolist() for part in result_through_a_pipe([np.eye(2), np.ones((2, 3))])] == [
        np.eye(2).tolist(),
        np.ones((2, 3)).tolist(),
    ]
    matrix = sparse.csr_matrix([[0, 1.5], [2, 0]])
    np.testing.assert_array_equal(result_through_a_pipe(matrix), matrix.toarray())


@pytest.mark.parametrize("cut", [1, 7, 12, 30])
def test_a_frame_that_ends_early_is_broken(cut: int) -> None:
    pipe = io.BytesIO()
    frames.write(pipe, frames.Unload("some key"), [b"abc"])
    with pytest.raises(frames.BrokenFrame):
        frames.read_request(io.BytesIO(pipe.getvalue()[:cut]))


def test_the_end_of_the_stream_is_no_broken_frame() -> None:
    with pytest.raises(EOFError):
        frames.read_request(io.BytesIO())


@pytest.mark.parametrize(
    "data",
    [
        frames.PREFIX.pack(frames.MAX_HEADER + 1, 0),
        frames.PREFIX.pack(1, frames.MAX_BUFFERS + 1),
        frames.PREFIX.pack(1, 1) + (frames.MAX_BODY + 1).to_bytes(8, "little") + b"x",
        frames.PREFIX.pack(1, 0) + b"\xc1",
    ],
)
def test_sizes_are_checked_before_anything_is_allocated(data: bytes) -> None:
    with pytest.raises(frames.BrokenFrame):
        frames.read_request(io.BytesIO(data))
