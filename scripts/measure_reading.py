"""Measures how fast bodies become tables, beside the fastest readers there are, and what memory that takes.

Ratios of medians over interleaved runs; docs/performance.md has a run.
"""

import io
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import msgspec
import numpy as np

from model_store.schema import Column, Schema
from wsgi_service.rows.formats import csv_body, json_body
from wsgi_service.rows.unread import Reading

RUNS = 15
LIMIT = Reading(10_000_000)


def main() -> None:
    """Print a table."""
    chance = np.random.default_rng(0)
    small, large = chance.normal(size=(1000, 30)), chance.normal(size=(100_000, 20))
    as_json = msgspec.json.encode({"instances": small.tolist()})
    as_csv = csv_of(large)
    print("| what | ours, ms | the other, ms | ratio |\n|---|---|---|---|")
    decoder = msgspec.json.Decoder(dict[str, list[list[float]]])
    compare(
        "1,000 x 30 in JSON; msgspec and numpy.array",
        lambda: json_body.read_sent(as_json, ()).read(schema_of(30), LIMIT),
        lambda: np.array(decoder.decode(as_json)["instances"]),
    )
    for name, read in others():
        compare(
            f"100,000 x 20 in CSV; {name}",
            lambda: csv_body.read_sent(as_csv, {}).read(schema_of(20), LIMIT),
            partial(read_file, read, as_csv),
        )
    print("\n| body | most memory, as a multiple of the body |\n|---|---|")
    for name in ("json", "json records", "csv", "csv by text"):
        print(f"| 100,000 x 20 in {name} | {memory(name):.1f} |")


def read_file(read: Callable[[Any], Any], content: bytes) -> Any:
    """What a reader of files makes of some bytes."""
    return read(io.BytesIO(content))


def csv_of(rows: Any) -> bytes:
    """The rows with a heading."""
    lines = [",".join(f"x{i}" for i in range(rows.shape[1])), *(",".join(map(repr, row)) for row in rows.tolist())]
    return "\n".join(lines).encode()


def records_of(rows: Any) -> bytes:
    """The rows by name, in JSON."""
    names = [f"x{i}" for i in range(rows.shape[1])]
    return msgspec.json.encode({"instances": [dict(zip(names, row, strict=True)) for row in rows.tolist()]})


#: What is written how, for the measurement of memory.
BODIES: dict[str, Callable[[Any], bytes]] = {
    "json": lambda rows: msgspec.json.encode({"instances": rows.tolist()}),
    "json records": records_of,
    "csv": csv_of,
    "csv by text": csv_of,
}


def schema_of(width: int) -> Schema:
    """Columns of numbers."""
    return Schema(inputs=tuple(Column(name=f"x{i}", type="number") for i in range(width)))


def others() -> list[tuple[str, Callable[[Any], Any]]]:
    """Readers of CSV that are installed."""
    found: list[tuple[str, Callable[[Any], Any]]] = []
    try:
        import pandas as pd

        found.append(("pandas", lambda file: pd.read_csv(file).to_numpy()))
    except ImportError:
        pass
    try:
        from pyarrow import csv

        single = csv.ReadOptions(use_threads=False)
        found.append(("pyarrow, one thread", lambda file: csv.read_csv(file, single)))
        found.append(("pyarrow, all threads", csv.read_csv))
    except ImportError:
        pass
    return found


def compare(what: str, ours: Callable[[], Any], other: Callable[[], Any]) -> None:
    """Print a line: medians of interleaved runs, and their ratio."""
    mine, others = [], []
    for _ in range(RUNS):
        mine.append(timed(ours))
        others.append(timed(other))
    one, two = median(mine), median(others)
    print(f"| {what} | {one * 1000:.1f} | {two * 1000:.1f} | {one / two:.2f} |", flush=True)


def timed(call: Callable[[], Any]) -> float:
    """Seconds for a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def memory(name: str) -> float:
    """How much more memory than before a process of its own takes at most while it reads, in bodies."""
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, check=True, text=True)
    return float(done.stdout)


def read_once(name: str) -> None:
    """Read one body, and print what that took."""
    from model_store.footprint import forget_peak, peak, resident

    rows = np.random.default_rng(0).normal(size=(100_000, 20))
    width = rows.shape[1]
    body = BODIES[name](rows)
    schema = schema_of(width)
    if name == "csv by text":  # which takes the long way
        schema = Schema(inputs=tuple(Column(name=f"x{i}", type="any") for i in range(width)))
    read = json_body.read_sent(body, ()).read if "json" in name else csv_body.read_sent(body, {}).read
    del rows
    forget_peak()
    before = resident()
    read(schema, LIMIT)
    print((peak() - before) / len(body))


if __name__ == "__main__":
    read_once(sys.argv[1]) if len(sys.argv) > 1 else main()
