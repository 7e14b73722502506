"""Parts of artifacts: one range of bytes is answered, what nobody has to answer is ignored (RFC 9110)."""

from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import models
import pytest
from conftest import StrictClient
from hypothesis import given
from hypothesis import strategies as st

from wsgi_service.app import create_app
from wsgi_service.hosts.pool import HostPool
from wsgi_service.settings import Settings

ADDRESS = "/models/line/versions/1/artifact"
LINE = models.skops_bytes(models.line())
SIZE = len(LINE)


@pytest.fixture(scope="module")
def line(pool: HostPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrictClient]:
    app = create_app(Settings(data=str(tmp_path_factory.mktemp("ranges")), acceleration="off"), pool)
    client = StrictClient(validator(app))
    assert client.put_model("line", LINE).status_code == 201
    yield client
    app.catalog.registry.close()


def ask(client: StrictClient, range_: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(ADDRESS, headers={"Range": range_, **named})


@pytest.mark.parametrize(
    ("range_", "first", "last"),
    [
        ("bytes=4-9", 4, 9),
        ("bytes=0-0", 0, 0),
        ("bytes=4-", 4, SIZE - 1),
        ("bytes=-4", SIZE - 4, SIZE - 1),
        ("Bytes=4-9", 4, 9),
        ("bytes= 4-9 , ,", 4, 9),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        (f"bytes=4-{SIZE * 2}", 4, SIZE - 1),
        ("bytes=4-" + "9" * 5_000, 4, SIZE - 1),
        ("bytes=" + "0" * 5_000 + "4-9", 4, 9),
    ],
)
def test_one_range_of_bytes_is_answered(line: StrictClient, range_: str, first: int, last: int) -> None:
    answer = ask(line, range_)
    assert (answer.status_code, answer.data) == (206, LINE[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"


@pytest.mark.parametrize(
    "range_",
    [
        "lines=1-2", "items=0-5", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-4", "bytes=4--9", "=0-5",
        "bytes=0-0,2-3", "bytes=0-,0-", f"bytes={SIZE}-,0-1", "bytes=" + ",".join(["0-0"] * 10_000), "none=0-1",
        "bytes=0x1-2", "bytes=+1-2", "bytes=1 - 2",
    ],
)  # fmt: skip
def test_other_units_several_ranges_and_what_is_none_are_ignored(line: StrictClient, range_: str) -> None:
    answer = ask(line, range_)
    assert (answer.status_code, answer.data) == (200, LINE)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize(
    "range_", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 9}", "bytes=-0", "bytes=" + "9" * 5_000 + "-"]
)
def test_a_range_without_a_byte_is_a_416_that_says_the_length(line: StrictClient, range_: str) -> None:
    answer = ask(line, range_)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{tag}", 206),
        ("W/{tag}", 200),
        ('"another"', 200),
        ("*", 200),
        ("", 200),
        ("{tag}, {tag}", 200),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 200),
    ],
)
def test_a_part_is_only_of_the_state_that_if_range_names(line: StrictClient, condition: str, status: int) -> None:
    tag = line.get(ADDRESS).headers["ETag"]
    assert ask(line, "bytes=4-9", If_Range=condition.format(tag=tag)).status_code == status
    beyond = ask(line, f"bytes={SIZE}-", If_Range=condition.format(tag=tag))
    assert beyond.status_code == (416 if status == 206 else 200)


def test_who_has_it_gets_no_part_of_it(line: StrictClient) -> None:
    """If-None-Match comes before Range (section 13.2.2)."""
    tag = line.get(ADDRESS).headers["ETag"]
    for condition in (tag, f"W/{tag}", "*"):
        assert ask(line, "bytes=4-9", If_None_Match=condition).status_code == 304
        assert ask(line, f"bytes={SIZE}-", If_None_Match=condition).status_code == 304
    assert ask(line, "bytes=4-9", If_None_Match='"another"').status_code == 206


def test_dates_change_nothing_where_there_is_no_date_of_the_last_change(line: StrictClient) -> None:
    """Also ones in the future: If-Modified-Since and If-Unmodified-Since are ignored then (section 13.1)."""
    for date in ("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "soon"):
        for name in ("If-Modified-Since", "If-Unmodified-Since"):
            assert line.get(ADDRESS, headers={name: date}).status_code == 200
            assert line.get("/models/line", headers={name: date}).status_code == 200


@given(st.from_regex(r"(bytes|lines)?=?[0-9 ,-]{0,12}", fullmatch=True))
def test_any_range_gets_the_whole_a_part_or_a_416(line: StrictClient, range_: str) -> None:
    answer = ask(line, range_)
    match answer.status_code:
        case 200:
            assert answer.data == LINE
        case 206:
            first, last = answer.headers["Content-Range"].removeprefix("bytes ").partition("/")[0].split("-")
            assert answer.data == LINE[int(first) : int(last) + 1]
        case status:
            assert (status, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
