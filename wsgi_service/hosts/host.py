"""The model host: the process in which artifacts are judged and estimators predict.

It is forked by `template.py`, or started as `python -m wsgi_service.hosts.host` by `spawning.py`; then it reads
requests from what was its standard input and answers on what was its standard output. Whatever happens in here, a
crash included, the HTTP process sees as a closed pipe. Only this process and the template import scikit-learn.
"""

import contextlib
import gc
import io
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from model_store import errors
from model_store.artifacts.local import check_digest
from model_store.footprint import own
from wsgi_service.errors import InputError, ResultTooLarge
from wsgi_service.hosts import frames
from wsgi_service.hosts.frames import Buffer, Failed, Reply, Request
from wsgi_service.hosts.lifeline import die_with_parent
from wsgi_service.hosts.limits import (
    UNLIMITED,
    allowance_to_check,
    allowance_to_convert,
    cap_memory,
    give_back,
    leave_no_core,
    limited,
)
from wsgi_service.hosts.pipes import take_pipes

#: Characters of an exception's text that go to the log, on one line.
LOGGED = 500

Answer = tuple[Reply, list[Buffer]]


def main() -> None:
    """Be a host that was spawned."""
    incoming, outgoing = take_pipes()
    die_with_parent()
    serve(Bench(), incoming, outgoing, int(sys.argv[1]) if len(sys.argv) > 1 else UNLIMITED)


def serve(bench: "Bench", incoming: int, outgoing: int, memory: int) -> None:
    """Answer requests until their pipe is closed.

    Args:
        bench: with everything imported.
        incoming: descriptor of the pipe that requests come from.
        outgoing: of the one that answers go to.
        memory: bytes that this process may take from now on.
    """
    leave_no_core()
    cap_memory(memory)
    with (
        os.fdopen(incoming, "rb", buffering=1 << 16) as requests,
        os.fdopen(outgoing, "wb", buffering=0) as answers,
    ):
        _serve(bench, requests, answers)


def _serve(bench: "Bench", incoming: BinaryIO, outgoing: BinaryIO) -> None:
    frames.write(outgoing, frames.Ready(bench.environment))
    while True:
        try:
            request, buffers = frames.read_request(incoming)
        except EOFError:
            return
        reply, answer = _answer(bench, request, buffers)
        frames.write(outgoing, reply, answer)


def _answer(bench: "Bench", request: Request, buffers: list[bytearray]) -> Answer:
    try:
        return bench.work(request, buffers)
    except MemoryError:
        return Failed("OutOfMemory", "The model needs more memory than the server has for it."), []
    except (errors.StoreError, ResultTooLarge, InputError) as error:
        report, extra = getattr(error, "report", None), getattr(error, "extra", "")
        return Failed(type(error).__name__, str(error), report, extra), []
    except Exception as error:  # noqa: BLE001 - an estimator may raise anything
        _log(f"model host: {type(error).__name__}: {str(error)[:LOGGED]!r}\n")
        kind, words = _FAILURES[type(request)]
        return Failed(kind, words.format(type(error).__name__)), []


def _log(line: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # whoever read the log has gone, or its disk is full
            sys.stderr.write(line)


#: What an unforeseen exception means, by what was asked for.
_FAILURES = {
    frames.Inspect: ("Unreadable", "The estimator in this file cannot be described: it raised {}."),
    frames.Load: ("StorageError", "The stored model could not be loaded: it raised {}."),
    frames.Unload: ("StorageError", "The model could not be unloaded: it raised {}."),
    frames.Predict: ("PredictFailed", "The estimator raised {} for these rows."),
    frames.Unpack: ("MalformedBody", "The table cannot be read: {}."),
    frames.Accelerate: ("PredictFailed", "Making a program of the estimator raised {}."),
    frames.Judge: ("PredictFailed", "Looking at the program raised {}."),
    frames.Draw: ("PredictFailed", "The pictures could not be drawn: {}."),
}


class Bench:
    """The loaded estimators, and what is done with them."""

    def __init__(self) -> None:
        # Here and not at the top: these bring scikit-learn, which takes a second or more.
        with _without_pandas():
            from model_store.estimators.serial import compute_serially

            compute_serially()
            from model_store.estimators import facts, loaded

            warnings.simplefilter("ignore")
            facts.prepare()
        self._facts = facts
        self._loaded = loaded
        self._estimators: dict[str, Any] = {}
        self.environment = facts.environment()
        #: What is done for each kind of request that comes without buffers.
        self._kinds: dict[type, Callable[[Any], Answer]] = {
            frames.Load: self._load,
            frames.Unload: self._unload,
            frames.Inspect: self._inspect,
            frames.Draw: self._draw,
            frames.Accelerate: self._accelerate,
            frames.Judge: self._judge,
        }

    def work(self, request: Request, buffers: list[bytearray]) -> Answer:
        """The answer to a request; raises whatever it raises."""
        match request:
            case frames.Predict():
                return self._predict(request, buffers)
            case frames.Unpack():
                return self._unpack(request, buffers)
        return self._kinds[type(request)](request)

    def _inspect(self, request: frames.Inspect) -> Answer:
        path = Path(request.path)
        with limited(allowance_to_check(path.stat().st_size)):
            return frames.Inspected(self._facts.inspect(path, request.column_names, request.policy)), []

    def _unpack(self, request: frames.Unpack, buffers: list[bytearray]) -> Answer:
        from wsgi_service.hosts import parquet_and_arrow
        from wsgi_service.hosts.buffers import encode_table

        body = bytes(buffers[0])
        with limited(allowance_to_check(len(body))):
            names, table = parquet_and_arrow.read(request.format, body, request.row_limit)
        header, answer = encode_table(table)
        return frames.Unpacked(names, header), answer

    def _draw(self, request: frames.Draw) -> Answer:
        from wsgi_service.hosts import drawing

        with limited(allowance_to_check(0)):
            return frames.Drawn(drawing.draw(request.quality)), []

    def _judge(self, request: frames.Judge) -> Answer:
        from wsgi_service.hosts.verdicts import judged

        data = Path(request.path).read_bytes()
        check_digest(io.BufferedReader(io.BytesIO(data)), request.digest)
        with limited(allowance_to_check(len(data))):
            verdict = judged(data)
        return frames.Judged(verdict.cost, verdict.outputs, verdict.reason), []

    def _accelerate(self, request: frames.Accelerate) -> Answer:
        from model_store.acceleration.accelerate import accelerate

        path = Path(request.path)
        loaded = self._loaded.load(path, request.digest, request.format, request.policy)
        with limited(allowance_to_convert(path.stat().st_size)):
            report, program = accelerate(loaded.estimator, loaded.schema, request.examples)
        return frames.Accelerated(report), [program]

    def _load(self, request: frames.Load) -> Answer:
        path, policy = Path(request.path), request.policy
        before = own()
        loaded = self._estimators[request.key] = self._loaded.load(path, request.digest, request.format, policy)
        gc.freeze()  # a forest is many objects, and collections need not look at them
        # What an earlier model left may be used again, so the growth alone can say too little.
        return frames.Done(max(own() - before, path.stat().st_size), loaded.joinable), []

    def _unload(self, request: frames.Unload) -> Answer:
        self._estimators.pop(request.key, None)
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        give_back()
        return frames.Done(), []

    def _predict(self, request: frames.Predict, buffers: list[bytearray]) -> Answer:
        from wsgi_service.hosts.buffers import decode_table, encode_results

        table = decode_table(request.table, buffers)
        estimator = self._estimators[request.key]
        arrays = [(cells.values, cells.valid) for cells in table.columns]
        results = estimator.call(request.methods, table.matrix, arrays)
        if request.judged:
            estimator.check_sense(dict(zip(request.methods, results, strict=True)), table.rows)
        outcomes, answer = encode_results(results, request.table.rows)
        return frames.Predicted(outcomes), answer


@contextlib.contextmanager
def _without_pandas() -> Iterator[None]:
    """Have scikit-learn be imported as if pandas were not installed, of which it makes nothing at that time.

    It takes 0.3 s and 29 MB, and brings threads, which a process that is forked must not have. It is imported when
    a model, or scikit-learn for a model, asks for it.
    """
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pandas"]


if __name__ == "__main__":
    main()
