"""Sends bodies that are made to take memory and time to a real server, many at once, and says what that does.

For each format: the peak of the HTTP process's memory, how long `GET /healthz` took meanwhile, and the statuses.
docs/security.md has a run.

    python scripts/hostile_bodies.py [--bodies 60] [--at-once 28] [--size 15] [FORMAT …]
"""

import argparse
import http.client
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

MEGABYTE = 1 << 20
#: Seconds between two looks at the server's health.
PAUSE = 0.01
JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
FIELDS, NPY = "application/x-www-form-urlencoded", "application/x-npy"
PARQUET, ARROW = "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"
WIDTH = 4


def fill(piece: bytes, size: int, begin: bytes = b"", end: bytes = b"", between: bytes = b",") -> bytes:
    """A piece again and again."""
    count = max(1, (size - len(begin) - len(end)) // (len(piece) + len(between)))
    return begin + between.join([piece] * count) + end


def numbered(form: bytes, size: int, between: bytes = b",") -> bytes:
    """Pieces that differ in a number."""
    count = size // (len(form % 1_000_000) + len(between))
    return between.join(form % place for place in range(count))


def instances(piece: bytes, size: int) -> bytes:
    """Rows in JSON."""
    return fill(piece, size, b'{"instances": [', b"]}")


def row(piece: bytes, size: int) -> bytes:
    """One row in JSON."""
    return fill(piece, size, b'{"instances": [[', b"]]}")


def json_bodies(size: int) -> dict[str, bytes]:
    """JSON of all shapes."""
    return {
        "nulls": instances(b"null", size),
        "empty lists": instances(b"[]", size),
        "empty objects": instances(b"{}", size),
        "empty texts": instances(b'""', size),
        "digits": instances(b"1", size),
        "rows of one digit": instances(b"[1,2,3,4]", size),
        "rows of floats": instances(b"[5.1,3.5,1.4,0.2]", size),
        "rows of nulls": instances(b"[null,null,null,null]", size),
        "rows of texts": instances(b'["ab","cd","ef","gh"]', size),
        "rows of lists": instances(b"[[],[],[],[]]", size),
        "records": instances(b'{"a":1,"b":2,"c":3,"d":4}', size),
        "many names in records": b'{"instances": [{%b}]}' % numbered(b'"%d":1', size),
        "one name again and again": fill(b'"a":1', size, b'{"instances": [{', b"}]}"),
        "one long row of digits": row(b"1", size),
        "one long row of texts": row(b'""', size),
        "one long row of both": row(b'"",1', size),
        "one long row of lists": row(b"[]", size),
        "large whole numbers": instances(b"[" + b"9" * 25 + b",1,1,1]", size),
        "a long text": b'{"instances": [["%b"]]}' % (b"a" * size),
        "a long text with one wide character": b'{"instances": [["%b\xf0\x9f\x98\x80"]]}' % (b"a" * size),
        "escapes": b'{"instances": [["%b"]]}' % (b"\\u0041" * (size // 6)),
        "surrogates": b'{"instances": [["%b"]]}' % (b"\\ud83d\\ude00" * (size // 12)),
        "texts with ends of rows": instances(b'["],["]', size),
        "deep": b'{"instances": ' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
        "many deep": instances(b"[" * 500 + b"]" * 500, size),
        "many keys": b"{%b}" % numbered(b'"%d":1', size),
        "one key again and again": fill(b'"instances":[1]', size, b"{", b"}"),
        "wide columns": b'{"inputs": {%b}}' % numbered(b'"%d":[1]', size),
        "long columns": b'{"inputs": {%b}}'
        % b",".join(fill(b"1", size // WIDTH, b'"%c":[' % name, b"]") for name in b"abcd"),
        "split with many names": b'{"dataframe_split": {"columns": [%b], "data": [[1]]}}'
        % numbered(b'"%d"', size),
        "split with long data": fill(b"[]", size, b'{"dataframe_split": {"columns": ["a"], "data": [', b"]}}"),
        "a long control key": fill(b"[]", size, b'{"instances": [[1]], "return": [', b"]}"),
        "a record with a list": fill(b"[]", size, b'{"a": [', b"]}"),
        "cut off": instances(b"[1,2,3,4]", size)[:-3],
        "spaces": b'{"instances": [[1,2,3,4]' + b" " * size + b"]}",
    }


def csv_bodies(size: int) -> dict[str, bytes]:
    """CSV of all shapes."""
    return {
        "newlines": b"\n" * size,
        "commas": b"," * size,
        "one line": b"1," * (size // 2),
        "one line of two digits": b"12," * (size // 3),
        "a heading of many names": numbered(b"c%d", size) + b"\n1",
        "many narrow rows": b"1\n" * (size // 2),
        "many rows": b"1,2,3,4\n" * (size // 8),
        "many rows of texts": b"ab,cd,ef,gh\n" * (size // 12),
        "many further columns": numbered(b"c%d", 400_000)
        + b"\n"
        + (b"12," * 50_000 + b"12\n") * (size // 150_000),
        "an open quote": b'"' + b"a" * size,
        "an open quote over lines": b'"' + b"a\n" * (size // 2),
        "a quoted text with a wide character": b'"%b\xf0\x9f\x98\x80"' % (b"a" * size),
        "quotes": b'"' * size,
        "empty quotes": b'"",' * (size // 3),
        "UTF-16": ("1," * (size // 4)).encode("utf-16"),
        "UTF-16 newlines": ("\n" * (size // 2)).encode("utf-16"),
        "tabs": b"\t" * size,
        "carriage returns": b"\r" * size,
        "zeros": b"\0" * size,
    }


def ndjson_bodies(size: int) -> dict[str, bytes]:
    """NDJSON of all shapes."""
    return {
        "newlines": b"\n" * size,
        "digits": b"1\n" * (size // 2),
        "empty lists": b"[]\n" * (size // 3),
        "records": b"{}\n" * (size // 3),
        "rows": b"[1,2,3,4]\n" * (size // 10),
        "texts": b'"ab"\n' * (size // 5),
        "one line": fill(b"[]", size, b"[", b"]"),
        "one line of digits": fill(b"1", size, b"[", b"]"),
        "one line of names": b"{%b}" % numbered(b'"%d":1', size),
        "one text": b'"%b\xf0\x9f\x98\x80"' % (b"a" * size),
        "deep": b"[" * (size // 2) + b"]" * (size // 2),
        "spaces": b" \n" * (size // 2),
    }


def form_bodies(size: int) -> dict[str, bytes]:
    """Urlencoded forms of all shapes: too large ones, and as large as may be."""
    shapes: dict[str, Callable[[int], bytes]] = {
        "escapes": lambda size: b"x0=" + b"%41" * (size // 3),
        "ampersands": lambda size: b"&" * size,
        "names": lambda size: numbered(b"%d=1", size, b"&"),
        "a text": lambda size: b"x0=" + b"a" * (size - 3),
        "pluses": lambda size: b"x0=" + b"+" * (size - 3),
        "wide characters": lambda size: b"x0=" + b"a" * (size - 20) + b"%F0%9F%98%80",
    }
    return {f"{name}, {part}": make(part) for name, make in shapes.items() for part in (size, MEGABYTE)}


def multipart_bodies(size: int) -> dict[str, bytes]:
    """Multipart forms of all shapes."""
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.%b"\r\n\r\n%b\r\n--b--\r\n'
    field = b'--b\r\nContent-Disposition: form-data; name="%d"\r\n\r\n%b\r\n'
    inside = {"csv": csv_bodies(size), "json": json_bodies(size), "ndjson": ndjson_bodies(size)}
    chosen = (("csv", "commas"), ("csv", "newlines"), ("json", "empty lists"), ("json", "a long text"),
              ("ndjson", "digits"))  # fmt: skip
    return {
        **{
            f"a file of {ending}: {name}": file % (ending.encode(), inside[ending][name])
            for ending, name in chosen
        },
        "many parts": b"".join(field % (place, b"") for place in range(size // 60)),
        "long fields": b"".join(field % (place, b"a" * 250_000) for place in range(size // 250_100)),
        "a heading without end": b"--b\r\nContent-Disposition: form-data; " + b"a" * size,
        "headings without end": b"--b\r\n" + b"A: b\r\n" * (size // 6),
        "newlines": b"\r\n" * (size // 2),
        "boundaries": b"--b\r\n" * (size // 5),
    }


def npy_bodies(size: int) -> dict[str, bytes]:
    """Arrays of all shapes."""
    rows = min(size // 160, 100_000)

    def body(array: Any) -> bytes:
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue()

    head = b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 65535
    return {
        "bytes": body(np.ones((rows, 160), np.int8)),
        "bytes, as wide as the version": body(np.ones((size // WIDTH, WIDTH), np.int8)),
        "truth values by columns": body(np.asfortranarray(np.ones((100_000, WIDTH), bool))),
        "floats": body(np.ones((100_000, WIDTH))),
        "one row": body(np.ones((1, size), np.int8)),
        "not a number": body(np.full((100_000, WIDTH), np.nan)),
        "a heading without end": head + b"\0" * (size - len(head)),
        "zeros": b"\0" * size,
    }


def columnar_bodies(size: int, parquet: bool) -> dict[str, bytes]:
    """Tables that are small until they are taken apart."""
    import pyarrow as pa
    from pyarrow import ipc
    from pyarrow import parquet as pq

    def body(table: Any) -> bytes:
        sink = io.BytesIO()
        if parquet:
            pq.write_table(table, sink, compression="zstd")
            return sink.getvalue()
        with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(compression="zstd")) as stream:
            stream.write_table(table)
        return sink.getvalue()

    numbers, texts = pa.array(np.ones(100_000)), pa.array(["abc"] * 100_000).dictionary_encode()
    long = pa.array(["a" * 1000] * 100_000).dictionary_encode()
    equal = pa.array(["a" * 30] * 100_000).dictionary_encode()
    return {
        "many columns": body(pa.table({f"c{place}": numbers for place in range(180)})),
        "many columns of texts": body(pa.table({f"c{place}": texts for place in range(40)})),
        "a few kilobytes of equal texts": body(pa.table({f"x{place}": equal for place in range(1, 20)})),
        "too many columns": body(pa.table({f"c{place}": numbers for place in range(600)})),
        "many short columns": body(pa.table({f"c{place}": pa.array([1]) for place in range(20_000)})),
        "long texts": body(pa.table({"a": long})),
        "the version's columns": body(pa.table({f"x{place}": numbers for place in range(WIDTH)})),
        "no table": b"PAR1" + b"\0" * size + b"PAR1",
    }


def link_bodies(_size: int) -> dict[str, bytes]:
    """Query strings, as long as a head may be."""
    size = 250_000
    return {
        "escapes": b"x0=" + b"%41" * (size // 3),
        "ampersands": b"&" * size,
        "names": numbered(b"%d=1", size, b"&"),
        "ten thousand names": numbered(b"a%d=1", 90_000, b"&"),
        "a text": b"x0=" + b"a" * size,
    }


#: Format -> its media type, None for links, and its bodies.
FORMATS: dict[str, tuple[str | None, Callable[[int], dict[str, bytes]]]] = {
    "JSON": (JSON, json_bodies),
    "CSV": (CSV, csv_bodies),
    "NDJSON": (NDJSON, ndjson_bodies),
    "form": (FIELDS, form_bodies),
    "multipart": ("multipart/form-data; boundary=b", multipart_bodies),
    "npy": (NPY, npy_bodies),
    "Parquet": (PARQUET, lambda size: columnar_bodies(size, parquet=True)),
    "Arrow": (ARROW, lambda size: columnar_bodies(size, parquet=False)),
    "link": (None, link_bodies),
}


class Outcome(NamedTuple):
    """What some hostile bodies did.

    Attributes:
        statuses: how often each was answered; 0 for none.
        slowest: name -> seconds of its slowest answer.
        pulse: seconds that each look at the server's health took.
        peak: bytes of the HTTP process at most.
    """

    statuses: Counter[int]
    slowest: dict[str, float]
    pulse: list[float]
    peak: int


def attack(port: int, pid: int, format_: str, bodies: int, at_once: int, size: int) -> Outcome:
    """Send bodies of a format to the model `iris`, so many at once, and watch the server meanwhile."""
    media_type, make = FORMATS[format_]
    named = list(islice(cycle(make(size).items()), bodies))
    statuses: Counter[int] = Counter()
    slowest: dict[str, float] = {}

    def send(one: tuple[str, bytes]) -> None:
        name, body = one
        began = time.perf_counter()
        statuses[ask(port, body, media_type)] += 1
        slowest[name] = max(slowest.get(name, 0.0), time.perf_counter() - began)

    forget_peak(pid)
    with pulse(port) as taken, ThreadPoolExecutor(at_once) as senders:
        list(senders.map(send, named))
    return Outcome(statuses, slowest, taken, peak_of(pid))


def ask(port: int, body: bytes, media_type: str | None) -> int:
    """The status that a body gets, 0 if the connection broke."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        if media_type is None:
            connection.request("GET", "/models/iris/predict?" + body.decode())
        else:
            connection.request("POST", "/models/iris/predict", body, {"Content-Type": media_type})
        answer = connection.getresponse()
        answer.read()
    except OSError:
        return 0
    finally:
        connection.close()
    return answer.status


@contextmanager
def pulse(port: int) -> Iterator[list[float]]:
    """How long each of many looks at the server's health takes, on one connection, while something is done."""
    taken: list[float] = []
    over = threading.Event()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def look() -> None:
        while not over.wait(PAUSE):
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            taken.append(time.perf_counter() - began)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield taken
    finally:
        over.set()
        looking.join()
        connection.close()


def peak_of(pid: int) -> int:
    """Bytes that a process has held at most (proc(5), VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


def forget_peak(pid: int) -> None:
    """Begin anew with what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def server(folder: str) -> Iterator[tuple[int, int]]:
    """A server of one's own with the model `iris`: its port and its process."""
    command = [sys.executable, "-m", "wsgi_service", "serve", "--listen", "127.0.0.1:0", "--data", folder]
    with (
        Path(folder, "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout
        try:
            line = next(line for line in process.stdout if line.startswith(b"address"))
            port = int(line.rsplit(b":", 1)[1].strip().rstrip(b"/"))
            publish(port)
            yield port, process.pid
        finally:
            process.terminate()


def publish(port: int) -> None:
    """Upload iris, and ask it once."""
    import skops.io
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    model = skops.io.dumps(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    for method, path, body, type_ in (
        ("PUT", "/models/iris/versions/1", model, "application/octet-stream"),
        ("POST", "/models/iris/predict", json.dumps({"instances": [[1, 2, 3, 4]]}).encode(), JSON),
    ):
        connection.request(method, path, body, {"Content-Type": type_})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 400:  # noqa: PLR2004
            raise RuntimeError(f"{method} {path} was answered with {answer.status}")
    connection.close()


def main() -> None:
    """Print a line for each format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--bodies", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=28)
    parser.add_argument("--size", type=float, default=15.0, help="MB of a body")
    parser.add_argument("--slowest", action="store_true", help="name the slowest bodies")
    given = parser.parse_args()
    print("| format | peak, MB | /healthz, ms: median | p99 | slowest | statuses |\n|---|---|---|---|---|---|")
    for format_ in given.formats or FORMATS:
        with tempfile.TemporaryDirectory() as folder, server(folder) as (port, pid):
            done = attack(port, pid, format_, given.bodies, given.at_once, int(given.size * MEGABYTE))
        times = sorted(1000 * seconds for seconds in done.pulse)
        median, tail, slowest = times[len(times) // 2], times[int(len(times) * 0.99)], times[-1]
        statuses = ", ".join(f"{count} x {status}" for status, count in sorted(done.statuses.items()))
        print(
            f"| {format_} | {done.peak >> 20} | {median:.1f} | {tail:.1f} | {slowest:.1f} | {statuses} |",
            flush=True,
        )
        if given.slowest:
            for name, seconds in sorted(done.slowest.items(), key=lambda one: -one[1])[:5]:
                print(f"    {seconds:6.1f} s  {name}", flush=True)


if __name__ == "__main__":
    main()
