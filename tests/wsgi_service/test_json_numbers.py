"""Large JSON bodies of numbers: the fast way gives what the other way gives, and takes nothing else."""

import json
import math
import sys
import threading
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE
from hypothesis import given
from hypothesis import strategies as st

from model_store.schema import Column, Schema
from wsgi_service.errors import TooManyRows
from wsgi_service.rows.formats import json_body, json_numbers
from wsgi_service.rows.unread import Reading

pytestmark = [pytest.mark.system, pytest.mark.extras]

pytest.importorskip("simdjson")

NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, 0.0, -0.0, 5e-324, sys.float_info.max, 2**53 + 1, 0.1]),
)


@pytest.fixture(autouse=True)
def _any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_numbers, "LARGE", 0)


@given(st.integers(1, 4), st.data(), st.booleans())
def test_every_number_is_the_nearest_one_with_its_sign(width: int, data: st.DataObject, narrow: bool) -> None:
    rows = data.draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=5))
    text = json.dumps({"instances": rows}, separators=(",", ":") if narrow else None).encode()
    matrix = json_numbers.read_matrix(text)
    if matrix is None:  # there may be a zero with a sign
        assert b"-0" in text
        return
    wanted = np.array([[float(value) for value in row] for row in rows])
    assert matrix.tobytes() == wanted.tobytes()


REFUSED = [
    b'{"instances": []}',
    b'{"instances": [[]]}',
    b'{"instances": [1, 2]}',
    b'{"instances": [[1, 2], [3]]}',
    b'{"instances": [[1, [2]], [3, 4]]}',
    b'{"instances": [[[1, 2]], [[3, 4]]]}',
    b'{"instances": [[1, null]]}',
    b'{"instances": [[1, true]]}',
    b'{"instances": [[1, "2"]]}',
    b'{"instances": [[1, {}]]}',
    b'{"instances": ["ab", [1, 2]]}',
    b'{"instances": [[1, 2], {"a": 1, "b": 2}]}',
    b'{"instances": [[1, 1e400]]}',
    b'{"instances": [[1, 123456789012345678901234567890]]}',
    b'{"instances": [[0, -0]]}',
    b'{"instances": [[1, NaN]]}',
    b'{"instances": [[1, 01]]}',
    b'{"instances": [[1, 2]]',
    b'{"instances": [[1, 2]]} {}',
    b'{"instances": [[1, 2]], "instances": [[3, 4]]}',
    b'{"instances": [[1, 2]], "method": "predict"}',
    b'{"other": [[1, 2]]}',
    b"[[1, 2]]",
    b'{"instances": [[1, "\xff"]]}',
    b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}",
]


@pytest.mark.parametrize("body", REFUSED, ids=range(len(REFUSED)))
def test_anything_but_rows_of_numbers_is_left_to_the_other_way(body: bytes) -> None:
    assert json_numbers.read_matrix(body) is None
    assert json_numbers.read_matrix(b'{"instances": [[1, 2.5]]}') is not None  # and nothing of it stays


def test_a_body_for_another_schema_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"instances": [[1, 2], [3, 4]]}'
    integers = Schema(inputs=tuple(Column(name=name, type="integer", sample=0) for name in "ab"))
    table = json_body.read_sent(body, ()).read(integers, Reading(10)).table
    monkeypatch.setattr(json_numbers, "LARGE", math.inf)
    wanted = json_body.read_sent(body, ()).read(integers, Reading(10)).table
    assert table is not None
    assert wanted is not None
    assert [(cells.kind, list(cells.values)) for cells in table.columns] == [
        (cells.kind, list(cells.values)) for cells in wanted.columns
    ]


def test_very_large_bodies_and_those_with_more_behind_the_rows_are_not_even_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(json_numbers, "_matrix", lambda *_: pytest.fail("it was tried"))
    assert json_numbers.read_matrix(b'{"instances": [[1, 2]], "method": "predict"}') is None
    assert json_numbers.read_matrix(b'{"instances": [[' + b"1," * json_numbers.LARGEST + b"1]]}") is None


def test_white_space_at_the_end_is_none_of_the_rows() -> None:
    for end in (b"]]}", b"] ]\r\n} \n"):
        assert json_numbers.read_matrix(b'{"instances": [[1, 2.5]' + end[1:]) is not None


def test_rows_beyond_the_limit_are_refused() -> None:
    numbers = Schema(inputs=tuple(Column(name=name, type="number", sample=0.0) for name in "ab"))
    with pytest.raises(TooManyRows):
        json_body.read_sent(b'{"instances": [[1, 2], [3, 4]]}', ()).read(numbers, Reading(1))


def test_who_comes_while_the_parser_is_used_gets_another_one() -> None:
    parsers = json_numbers._parsers()
    assert parsers is not None
    with parsers.one(10) as kept, parsers.one(10) as other:
        assert kept is parsers._kept
        assert other is not kept
    with parsers.one(json_numbers.MOST_KEPT + 1) as large, parsers.one(10) as again:
        assert large is not kept
        assert again is kept


def test_threads_read_their_own_bodies() -> None:
    found: dict[int, Any] = {}
    together = threading.Barrier(4)

    def read(number: int) -> None:
        body = json.dumps({"instances": [[number, 0.5]] * 3000}).encode()
        together.wait(PATIENCE)
        found[number] = [json_numbers.read_matrix(body) for _ in range(20)]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for number, matrices in found.items():
        for matrix in matrices:
            np.testing.assert_array_equal(matrix, [[number, 0.5]] * 3000)


def test_without_the_library_everything_goes_the_other_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_numbers, "_parsers", lambda: None)
    assert json_numbers.read_matrix(b'{"instances": [[1, 2]]}') is None
