"""What counting costs: a figure for docs/performance.md. Needs wrk, Linux, and an idle machine.

.venv/bin/python scripts/measure_metrics.py    two servers, one of which counts nothing, asked in turns

On a machine that is shared the rate wanders by a tenth from one second to the next, so what is compared is the
processor time that the serving process took for each request.
"""

import argparse
import contextlib
import json
import os
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

#: The same server, in which nothing is counted.
WITHOUT = """
from wsgi_service.cli import main
from wsgi_service.metrics import Metrics
Metrics.answered = Metrics.predicted = Metrics.joined = lambda *_arguments: None
main()
"""
COUNTING, NOT_COUNTING = ["-m", "wsgi_service"], ["-c", WITHOUT]
CONNECTIONS = 16
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
def served(program: list[str], folder: str, *flags: str) -> Iterator[Served]:
    """A server with the iris pipeline as model m, which has answered."""
    line = [sys.executable, *program, "serve", "--listen", "127.0.0.1:0", "--data", folder, "--log-level", "error"]
    process = subprocess.Popen([*line, *flags], stdout=subprocess.PIPE, env=os.environ)
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


def cost(server: Served, asked: Question, seconds: float) -> float:
    """Microseconds of processor time for each request."""
    before = server.seconds()
    found = load.run(server.port, asked, CONNECTIONS, seconds)
    return 1e6 * (server.seconds() - before) / (found.rate * seconds)


def compare(flags: list[str], rounds: int, seconds: float) -> list[tuple[float, float]]:
    """Microseconds while counting and without, for each round; each is first in every second round."""
    asked = Question("/models/m/predict", JSON, json.dumps({"instances": IRIS.rows(1)}).encode())
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        served(COUNTING, one, *flags) as counting,
        served(NOT_COUNTING, other, *flags) as silent,
    ):
        found = []
        for index in range(rounds + 1):
            order = (counting, silent) if index % 2 else (silent, counting)
            taken = {server: cost(server, asked, seconds) for server in order}
            found.append((taken[counting], taken[silent]))
    return found[1:]  # the first one warms both


def main() -> None:
    """Measure both engines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=2.0)
    chosen = parser.parse_args()
    for title, flags in (("programs", []), ("native", ["--acceleration", "off"])):
        found = compare(flags, chosen.rounds, chosen.seconds)
        counting, silent = (statistics.median(column) for column in zip(*found, strict=True))
        low, middle, high = statistics.quantiles([one / other - 1 for one, other in found], n=4)
        print(f"{title:9} {counting:.1f} us a request, {silent:.1f} without counting: {middle:+.1%}", end="")
        print(f" (half of {len(found)} rounds: {low:+.1%} to {high:+.1%})", flush=True)


if __name__ == "__main__":
    main()
