"""One Client that many threads share: whether each gets its own answers. A figure for docs/performance.md.

.venv/bin/python scripts/share_client.py [--answers N] [--threads N]

A server of its own; each request asks for a number that no other one asks for, as an array, as a record or from an
iterator, and all connections are closed under the client's hands every now and then.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression

from wsgi_service.client import Client

#: After so many answers of a thread, all idle connections are closed.
CLOSED_AFTER = 997


@contextmanager
def served() -> Iterator[str]:
    """The address of a server with a model `line`, which doubles a number and adds one."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        line = [sys.executable, "-m", "wsgi_service", "serve", "--listen", "127.0.0.1:0", "--data", folder]
        process = subprocess.Popen([*line, "--log-level", "error"], stdout=subprocess.PIPE)
        try:
            assert process.stdout
            address = next(text for text in process.stdout if text.startswith(b"address"))
            url = f"http://127.0.0.1:{address.decode().strip().rpartition(':')[2]}"
            with Client(url) as client:
                client.push(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), "line")
            yield url
        finally:
            process.terminate()
            process.wait(60)
            assert process.stdout
            process.stdout.close()


def forms(number: int) -> tuple[Any, Any, Any]:
    """The same number as rows in several forms."""
    return np.array([[number]]), [{"x0": number}], ([value] for value in (number,))


def wrong_answers(client: Client, threads: int, each: int) -> int:
    """How many of so many answers to each thread, all with the same client, are those of another request."""
    wrong = [0] * threads
    failed: list[BaseException] = []

    def ask(thread: int) -> None:
        try:
            for index in range(each):
                number = thread * each + index
                (answer,) = client.predict("line", forms(number)[index % 3])
                wrong[thread] += abs(answer - (2 * number + 1)) > 1e-6 * (number + 1)
                if index % CLOSED_AFTER == CLOSED_AFTER - 1:
                    client.close()
        except BaseException as error:  # noqa: BLE001 - said below, by the thread that counts
            failed.append(error)

    crowd = [threading.Thread(target=ask, args=(thread,)) for thread in range(threads)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    if failed:
        raise failed[0]
    return sum(wrong)


def main() -> None:
    """Ask, and say how many answers were swapped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=16)
    chosen = parser.parse_args()
    each = -(-chosen.answers // chosen.threads)
    with served() as url, Client(url) as client:
        started = time.perf_counter()
        wrong = wrong_answers(client, chosen.threads, each)
        seconds = time.perf_counter() - started
    answers = each * chosen.threads
    print(f"{answers} answers to {chosen.threads} threads with one Client in {seconds:.0f} s: {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
