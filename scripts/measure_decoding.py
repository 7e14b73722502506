"""Measures what hostile bodies become while they are decoded, and whether as much was claimed for them before.

Each body of `hostile_bodies.py` is read in a process of its own, against four columns of numbers, of any values
and of texts. What it took is given in bodies, and so is the most that its budget had given away.
docs/security.md has a run.

    python scripts/measure_decoding.py [--size 4] [FORMAT …]
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import hostile_bodies
from hostile_bodies import FORMATS, MEGABYTE

from model_store.footprint import forget_peak, peak, resident
from model_store.schema import Column, Schema
from wsgi_service.http.budget import Budget, Claim
from wsgi_service.rows.formats import csv_body, form_body, json_body, ndjson_body, npy_body
from wsgi_service.rows.unread import Reading, Sent

#: What is read here: no other process takes these apart.
READERS: dict[str, Any] = {
    "JSON": lambda body, claim: json_body.read_sent(body, (), claim),
    "CSV": lambda body, claim: csv_body.read_sent(body, {}, claim),
    "NDJSON": lambda body, claim: ndjson_body.read_sent(body, {}, claim),
    "form": lambda body, claim: form_body.read_sent(form_body.parse(body, claim), {}),
    "npy": lambda body, claim: npy_body.read_sent(body, {}, claim),
}
TYPES = ("number", "any", "string")
#: Memory that is not told from noise.
NOISE = 2 * MEGABYTE
BUDGET, ROWS = 256 * MEGABYTE, 100_000


class Watched(Budget):
    """A budget that knows how much was claimed at most."""

    most = 0

    def take(self, count: int) -> None:
        """See `Budget`."""
        super().take(count)
        self.most = max(self.most, self.size - self._left)


def read(format_: str, name: str, type_: Any, size: int) -> dict[str, Any]:
    """What a body takes: `taken` and `claimed` bytes, processor seconds, and how it ended."""
    body = FORMATS[format_][1](size)[name]
    names = "abcd" if format_ != "CSV" else [f"x{place}" for place in range(hostile_bodies.WIDTH)]
    schema = Schema(inputs=tuple(Column(name=column, type=type_) for column in names))
    budget = Watched(BUDGET)
    READERS[format_](b'{"instances": [[1,2,3,4]]}' if format_ == "JSON" else b"1", Claim(budget))
    forget_peak()
    before, began, ended = resident(), time.process_time(), "read"
    budget.most = 0
    try:
        sent: Sent = READERS[format_](body, Claim(budget))
        sent.read(schema, Reading(ROWS))
    except Exception as error:  # noqa: BLE001 - which one is printed
        ended = type(error).__name__
    seconds = time.process_time() - began
    return {
        "body": len(body),
        "taken": max(0, peak() - before),
        "claimed": budget.most,
        "seconds": seconds,
        "ended": ended,
    }


def main() -> None:
    """Print a line for each body, and which took more than was claimed for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(READERS))
    parser.add_argument("--size", type=float, default=4.0, help="MB of a body")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    size = int(given.size * MEGABYTE)
    if given.one:
        format_, name, type_ = given.one
        print(json.dumps(read(format_, name, type_, size)))
        return
    print(
        "| format | body | columns of | ends as | CPU, s | took, bodies | claimed, bodies | |\n" + "|---" * 8 + "|"
    )
    for format_ in given.formats or READERS:
        for name in FORMATS[format_][1](size):
            for type_ in TYPES:
                command = [sys.executable, __file__, "--size", str(given.size), "--one", format_, name, type_]
                done = subprocess.run(command, capture_output=True, check=True, text=True)
                found = json.loads(done.stdout)
                taken, claimed = (found[key] / found["body"] for key in ("taken", "claimed"))
                beyond = "beyond its claim" if found["taken"] > found["claimed"] + NOISE else ""
                print(
                    f"| {format_} | {name} | {type_} | {found['ended']} | {found['seconds']:.2f} | {taken:.1f} | "
                    f"{claimed:.1f} | {beyond} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
