"""What uploaded ONNX programs lose in model hosts: figures for docs/performance.md.

    .venv/bin/python scripts/measure_uploaded.py    two servers in turns, with --programs-in-process proven and all

Answers a second with 1 and with 16 connections, for an iris pipeline that skl2onnx has converted, one row in each
request. On a shared machine the rate wanders, so what is compared is what two servers did one after the other.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator

import numpy as np
import skl2onnx
from benchmark import load
from benchmark.servers import JSON, Question
from benchmark.subjects import SUBJECTS

from wsgi_service.client import Client

IRIS = next(one for one in SUBJECTS if one.name == "iris")
WAYS = ("proven", "all")


@contextlib.contextmanager
def served(way: str, program: bytes) -> Iterator[int]:
    """The port of a server with the program as model m, which has answered."""
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "wsgi_service", "serve", "--listen", "127.0.0.1:0", "--data", folder]
        line += ["--log-level", "error", "--programs-in-process", way]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, env=os.environ)
        try:
            assert process.stdout
            address = next(text for text in process.stdout if text.startswith(b"address"))
            port = int(address.decode().strip().rpartition(":")[2])
            url = f"http://127.0.0.1:{port}"
            upload = urllib.request.Request(f"{url}/models/m/versions/1", program, method="PUT")  # noqa: S310
            urllib.request.urlopen(upload).close()  # noqa: S310
            with Client(url) as client:
                for _ in range(5):
                    client.predict("m", IRIS.rows(1))
            yield port
        finally:
            process.terminate()
            process.wait(60)
            assert process.stdout
            process.stdout.close()


def main() -> None:
    """Measure both ways in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    chosen = parser.parse_args()
    rows = np.asarray(IRIS.rows(1), dtype=np.float32)
    program = skl2onnx.to_onnx(IRIS.fit(), rows, options={"zipmap": False}).SerializeToString()
    asked = Question("/models/m/predict", JSON, json.dumps({"instances": IRIS.rows(1)}).encode())
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(served(way, program)) for way in WAYS]
        for connections in (1, 16):
            rounds = [
                [load.run(port, asked, connections, 1.0).rate for port in ports] for _ in range(chosen.rounds)
            ]
            shares = [hosts / here for hosts, here in rounds]
            medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
            print(f"{connections} connections: " + ", ".join(map("{} {:.0f}".format, WAYS, medians)), end="")
            print(f" answers a second, {statistics.median(shares):.2f} of it", flush=True)


if __name__ == "__main__":
    main()
