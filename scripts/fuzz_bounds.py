"""Runs random ONNX programs against the bound that is stated for them (`model_store.formats.onnx.bounds`).

    .venv/bin/python scripts/fuzz_bounds.py --first 0 --programs 1000000

Each program whose cost can be told is run in a child process, which may die, for a few rows and now and then for
many: it must end within the time and the memory that follow from its cost, give one entry of a plain type for each
row. How many answer a usual row otherwise where others stand beside it is counted (there are some in which an
infinity, or a tie, is made on the way). Programs are numbered, so a slice can be run again, and the next one
another day. The figures of the long run are in docs/security.md.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

#: Nanoseconds that an elementary step takes at the most (numbers below 1e-308 take longest), seconds that are
#: allowed beside, and how much more memory than stated may be taken, with what is allowed beside.
STEP, SLACK = 50, 0.02
MEMORY, BESIDE = 2, 64 << 20
#: Bytes of results that a call for many rows is made of, and of how many programs one gets such a call.
LARGE, ONE_IN = 40 << 20, 25
FEW = 4
SHOWN = 20
WORKER = "--worker"


class Tally(Struct):
    """What happened.

    Attributes:
        next: the number of the program that is looked at.
        words: what became of them.
        faults: what should not have been.
        step: the most nanoseconds that a step took, in calls of twenty milliseconds and more.
        memory: the largest part of the memory that was stated.
    """

    next: int
    words: dict[str, int]
    faults: list[str]
    step: float = 0.0
    memory: float = 0.0


def main() -> int:
    """Run a slice and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument(WORKER, action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        _work(chosen.first, chosen.programs)
        return 0
    tally = run(chosen.first, chosen.programs)
    print(text(tally))
    return 1 if tally.faults else 0


def run(first: int, count: int) -> Tally:
    """Run `count` programs from number `first` on, in child processes; one that dies is a fault."""
    total = Tally(first, {}, [])
    while total.next < first + count:
        found = _slice(total.next, first + count - total.next)
        total.words = Counter(total.words) + Counter(found.words)
        total.faults += found.faults
        total.step, total.memory = max(total.step, found.step), max(total.memory, found.memory)
        total.next = found.next
    return total


def _slice(first: int, count: int) -> Tally:
    """What a child says last, and whether it died of a program."""
    line = [sys.executable, str(Path(__file__)), WORKER, "--first", str(first), "--programs", str(count)]
    found = Tally(first, {}, [])
    with subprocess.Popen(line, stdout=subprocess.PIPE) as child:
        assert child.stdout
        for said in child.stdout:
            found = msgspec.json.decode(said, type=Tally)
    if child.returncode:
        found.faults.append(f"program {found.next}: the process died with {child.returncode}")
        found.next += 1
    return found


def _work(first: int, count: int) -> None:
    """Look at programs, and say before each one what came of those before it."""
    tally = Tally(first, {}, [])
    for number in range(first, first + count):
        tally.next = number
        sys.stdout.buffer.write(msgspec.json.encode(tally) + b"\n")
        sys.stdout.buffer.flush()
        word = _looked_at(number, tally)
        tally.words[word] = tally.words.get(word, 0) + 1
    tally.next = first + count
    sys.stdout.buffer.write(msgspec.json.encode(tally) + b"\n")


def _looked_at(number: int, tally: Tally) -> str:
    from random_programs import made

    from model_store.errors import Refused
    from model_store.footprint import forget_peak, resident
    from model_store.formats.onnx.bounds import cost_of
    from model_store.formats.onnx.checks import RULES
    from model_store.formats.onnx.program import session_of
    from model_store.formats.onnx.tensors import Unbounded
    from model_store.formats.rules import Audit

    model = made(number)
    try:
        cost = cost_of(model)
        Audit().apply(RULES, model)
    except Unbounded:
        return "for a host"
    except Refused:
        return "refused"
    many = number % ONE_IN == 0
    before = resident() if many else 0
    if many:
        forget_peak()
    try:
        call = _Call(model, session_of(model.SerializeToString()).run, cost)
    except Exception:  # noqa: BLE001 - the runtime raises what it likes
        return "no session"
    try:
        word = call.alone_and_together(number, tally)
        if many:
            call.many(number, before, tally)
    except Exception as error:  # noqa: BLE001
        return f"raised {type(error).__name__}"
    return word


class _Call:
    """A session, and what calls of it may take."""

    def __init__(self, model: Any, run: Any, cost: Any) -> None:
        from model_store.formats.onnx.program import NUMPY

        entering = model.graph.input[0].type.tensor_type
        self.names = [output.name for output in model.graph.output]
        self.dtype, self.width = NUMPY[entering.elem_type], entering.shape.dim[1].dim_value
        self.run, self.cost = run, cost

    def alone_and_together(self, number: int, tally: Tally) -> str:
        """A few rows in one call, and each alone."""
        from random_programs import rows_of

        self.timed(number, rows_of(number, FEW, self.width), tally)
        rows = rows_of(number, FEW, self.width, unusual=0.0)
        together = self.timed(number, rows, tally)
        for index in range(FEW):
            for one, all_ in zip(self.timed(number, rows[[index]], tally), together, strict=True):
                if not _same(one[0], all_[index]):
                    return "computed, and otherwise where other rows stand beside"
        return "computed"

    def many(self, number: int, before: int, tally: Tally) -> None:
        """So many rows that they take a large part of what is allowed."""
        from random_programs import rows_of

        from model_store.footprint import peak

        count = max(FEW, min(20_000, LARGE // self.cost.bytes, 100_000_000 // max(1, self.cost.steps)))
        rows = np.resize(rows_of(number, FEW, self.width), (count, self.width))
        self.timed(number, rows, tally)
        taken, stated = peak() - before, self.cost.kept + count * self.cost.bytes
        if stated > LARGE // 2:
            tally.memory = max(tally.memory, taken / stated)
        if taken > MEMORY * stated + BESIDE:
            tally.faults.append(f"program {number}: {taken >> 20} MB, and {stated >> 20} MB are stated")

    def timed(self, number: int, rows: Any, tally: Tally) -> list[Any]:
        """The results for rows, each with one entry for each row; what takes too long is noted."""
        began = time.thread_time()
        with np.errstate(all="ignore"):
            results = self.run(self.names, {"x": rows.astype(self.dtype)}, None)
        took, steps = time.thread_time() - began, self.cost.call + len(rows) * self.cost.steps
        if took > SLACK:
            tally.step = max(tally.step, 1e9 * took / steps)
        if took > SLACK + 1e-9 * STEP * steps:
            tally.faults.append(f"program {number}: {took:.3f} s for {steps} steps")
        for result in results:
            plain = result.dtype.kind in "biuf" or all(isinstance(one, str) for one in result.ravel().tolist())
            if not plain or len(result) != len(rows) or result.size > len(rows) * self.cost.given:
                tally.faults.append(f"program {number}: {result.dtype} {result.shape} for {len(rows)} rows")
        return list(results)


def _same(one: Any, other: Any) -> bool:
    """Whether two entries are equal but for the last digits; where there is no number, what computes decides."""
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind not in "biuf":
        return bool((one == other).all())
    there = np.isfinite(one) & np.isfinite(other)
    return np.allclose(one[there].astype(np.float64), other[there].astype(np.float64), rtol=1e-3, atol=1e-6)


def text(tally: Tally) -> str:
    """What was counted, for people."""
    return "\n".join([
        f"programs   up to number {tally.next - 1}",
        *(f"           {count:8} {word}" for word, count in Counter(tally.words).most_common()),
        f"step       {tally.step:.1f} ns at the most, of {STEP} ns that are allowed",
        f"memory     {tally.memory:.2f} times what is stated at the most",
        f"faults     {len(tally.faults)}",
        *(f"           {fault}" for fault in tally.faults[:SHOWN]),
    ])  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
