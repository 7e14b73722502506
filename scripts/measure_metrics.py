"""What counting costs: a figure for docs/performance.md. Needs wrk, Linux, and an idle machine.

.venv/bin/python scripts/measure_metrics.py    a server that counts in one second and does not in the next

On a shared machine the rate wanders by a tenth from one second to the next, and two processes of one program are
as far apart. So what is compared is the processor time that one process took for each request.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark import load
from benchmark.servers import JSON, Question
from benchmark.subjects import SUBJECTS

from wsgi_service.client import Client

#: The server, in which a signal has counting stop, or go on.
PROGRAM = """
import signal
from wsgi_service.cli import main
from wsgi_service.monitoring.metrics import Metrics
NAMES = ("answered", "predicted", "joined")
counting = {name: getattr(Metrics, name) for name in NAMES}
silent = dict.fromkeys(NAMES, lambda *_arguments: None)
def switch(_number, _frame):
    others = silent if Metrics.answered is counting["answered"] else counting
    for name in NAMES:
        setattr(Metrics, name, others[name])
signal.signal(signal.SIGUSR1, switch)
main()
"""
CONNECTIONS = 16
#: Windows has no such signal, and no wrk.
SWITCH = getattr(signal, "SIGUSR1", 0)
IRIS = next(one for one in SUBJECTS if one.name == "iris")
#: Processor time in /proc comes in these parts of a second.
TICKS: int = getattr(os, "sysconf", lambda _name: 100)("SC_CLK_TCK")


@dataclass(frozen=True)
class Served:
    """A server."""

    pid: int
    port: int

    def seconds(self) -> float:
        """Processor time of the serving process; its model hosts are others."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@contextlib.contextmanager
def served(folder: str, *flags: str) -> Iterator[Served]:
    """A server with the iris pipeline as model m, which has answered."""
    line = [sys.executable, "-c", PROGRAM, "serve", "--listen", "127.0.0.1:0", "--data", folder]
    process = subprocess.Popen([*line, "--log-level", "error", *flags], stdout=subprocess.PIPE, env=os.environ)
    try:
        assert process.stdout
        address = next(text for text in process.stdout if text.startswith(b"address"))
        port = int(address.decode().strip().rpartition(":")[2])
        with Client(f"http://127.0.0.1:{port}") as client:
            client.push(IRIS.fit(), "m")
            client.predict("m", IRIS.rows(1))
        yield Served(process.pid, port)
    finally:
        process.terminate()
        process.wait(60)
        assert process.stdout
        process.stdout.close()


def cost(server: Served, asked: Question) -> float:
    """Microseconds of processor time for each request, in one second."""
    before = server.seconds()
    found = load.run(server.port, asked, CONNECTIONS, 1.0)
    return 1e6 * (server.seconds() - before) / found.rate


def compare(flags: list[str], rounds: int) -> list[tuple[float, float]]:
    """Microseconds while counting and without, for each round."""
    asked = Question("/models/m/predict", JSON, json.dumps({"instances": IRIS.rows(1)}).encode())
    with tempfile.TemporaryDirectory() as folder, served(folder, *flags) as server:
        load.run(server.port, asked, CONNECTIONS, 2.0)
        return [_one_round(server, asked) for _ in range(rounds)]


def _one_round(server: Served, asked: Question) -> tuple[float, float]:
    """A second with, two without, a second with: what drifts evenly has no part in that."""
    first = cost(server, asked)
    os.kill(server.pid, SWITCH)
    silent = [cost(server, asked), cost(server, asked)]
    os.kill(server.pid, SWITCH)
    return (first + cost(server, asked)) / 2, sum(silent) / 2


def main() -> None:
    """Measure both engines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    chosen = parser.parse_args()
    for title, flags in (("programs", []), ("native", ["--acceleration", "off"])):
        found = compare(flags, chosen.rounds)
        counting, silent = (statistics.median(column) for column in zip(*found, strict=True))
        low, middle, high = statistics.quantiles([one / other - 1 for one, other in found], n=4)
        print(f"{title:9} {counting:.1f} us a request, {silent:.1f} without counting: {middle:+.1%}", end="")
        print(f" (half of {len(found)} rounds: {low:+.1%} to {high:+.1%})", flush=True)


if __name__ == "__main__":
    main()
