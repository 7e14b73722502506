"""The servers that are compared: how each is installed, started and asked."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
#: Seconds that a server may take to start.
STARTUP = 180.0
#: Seconds that one may take to end.
PATIENCE = 15.0
JSON = "application/json"


@dataclass(frozen=True)
class Question:
    """A request: its path, the type of its body, and the body."""

    path: str
    media_type: str
    body: bytes


def instances(path: str) -> Callable[[list[Any]], Question]:
    """Rows in the form that most take."""
    return lambda rows: Question(path, JSON, json.dumps({"instances": rows}).encode())


def _open_inference(rows: list[Any]) -> Question:
    texts = isinstance(rows[0], str)
    tensor: dict[str, Any] = {
        "name": "rows",
        "shape": [len(rows)] if texts else [len(rows), len(rows[0])],
        "datatype": "BYTES" if texts else "FP64",
        "data": rows if texts else [value for row in rows for value in row],
    }
    if texts:
        tensor["parameters"] = {"content_type": "str"}
    return Question("/v2/models/m/infer", JSON, json.dumps({"inputs": [tensor]}).encode())


def _mlflow(rows: list[Any]) -> Question:
    return Question("/invocations", JSON, json.dumps({"inputs": rows}).encode())


@dataclass(frozen=True)
class Server:
    """One server.

    Attributes:
        name: in the tables.
        packages: what pip installs into an environment of its own.
        command: the line that starts it, from its environment's folder of programs, a port and the working folder.
        ask: makes a request of rows.
        prepare: is called with the programs' folder, the model and the working folder before the start.
        ready: address that answers once it serves.
        variables: further ones of the environment.
    """

    name: str
    packages: tuple[str, ...]
    command: Callable[[Path, int, Path], list[str]]
    ask: Callable[[list[Any]], Question]
    prepare: Callable[[Path, Path, Path], None] = lambda _programs, _model, _folder: None
    ready: str = "/"
    variables: dict[str, str] = field(default_factory=dict)


def _uvicorn(module: str) -> Callable[[Path, int, Path], list[str]]:
    return lambda programs, port, _: [
        str(programs / "uvicorn"), "--app-dir", str(HERE / "peers"), f"{module}:app", "--port", str(port),
        "--log-level", "error", "--no-access-log",
    ]  # fmt: skip


def _mlserver_settings(_programs: Path, model: Path, folder: Path) -> None:
    settings = {
        "name": "m",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(model), "version": "v1"},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    port = os.environ.get("BENCH_PORT", "0")
    limits = {
        "http_port": int(port), "grpc_port": int(port) + 1000, "metrics_port": int(port) + 2000,
        "host": "127.0.0.1", "parallel_workers": 0, "debug": False, "logging_settings": None,
    }  # fmt: skip
    (folder / "settings.json").write_text(json.dumps(limits), encoding="utf-8")


def _mlflow_model(programs: Path, model: Path, folder: Path) -> None:
    code = (
        "import sys, joblib, mlflow.sklearn; "
        "mlflow.sklearn.save_model(joblib.load(sys.argv[1]), sys.argv[2], serialization_format='cloudpickle', "
        "pip_requirements=[])"
    )
    target = folder / "mlflow"
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(
        [str(programs / "python"), "-c", code, str(model), str(target)], check=True, capture_output=True
    )


def _ours(*flags: str) -> Callable[[Path, int, Path], list[str]]:
    return lambda programs, port, folder: [
        str(programs / "python"), "-m", "wsgi_service", "serve", "--listen", f"127.0.0.1:{port}", "--data",
        str(folder / "data"), "--log-level", "warning", "--acceleration-wait", "120",
        "--predict-limit", "64", *flags,
    ]  # fmt: skip


PROJECT = ("--editable", f"{ROOT}[onnx,fast]")
OURS = instances("/models/m/predict")
FLOOR = Server(
    "Waitress echo",
    PROJECT,
    lambda programs, port, _: [str(programs / "python"), str(HERE / "peers" / "echo.py"), str(port)],
    instances("/"),
)
ACCELERATED = Server("wsgi-service", PROJECT, _ours(), OURS, ready="/readyz")
NATIVE = Server("wsgi-service, native", PROJECT, _ours("--acceleration", "off"), OURS, ready="/readyz")
TWO = Server("wsgi-service, 2 processes", PROJECT, _ours("--processes", "2"), OURS, ready="/readyz")
PEERS = (
    Server(
        "FastAPI async", ("fastapi", "uvicorn[standard]"), _uvicorn("fastapi_async"), instances("/predict"),
        ready="/docs",
    ),
    Server(
        "FastAPI def", ("fastapi", "uvicorn[standard]"), _uvicorn("fastapi_def"), instances("/predict"),
        ready="/docs",
    ),
    Server(
        "Flask, gunicorn", ("flask", "gunicorn"),
        lambda programs, port, _: [
            str(programs / "gunicorn"), "--chdir", str(HERE / "peers"), "-w", "1", "--threads", "16", "-b",
            f"127.0.0.1:{port}", "--log-level", "error", "flask_app:app",
        ],
        instances("/predict"),
    ),
    Server(
        "MLServer", ("mlserver", "mlserver-sklearn"),
        lambda programs, _port, folder: [str(programs / "mlserver"), "start", str(folder)],
        _open_inference, _mlserver_settings, "/v2/health/ready",
    ),
    Server(
        "MLflow", ("mlflow",),
        lambda programs, port, folder: [
            str(programs / "mlflow"), "models", "serve", "-m", str(folder / "mlflow"), "-p", str(port),
            "--env-manager", "local", "-w", "1",
        ],
        _mlflow, _mlflow_model, "/ping",
    ),
    Server(
        "LitServe", ("litserve",),
        lambda programs, port, _: [str(programs / "python"), str(HERE / "peers" / "litserve_app.py"), str(port)],
        instances("/predict"), ready="/health",
    ),
    Server(
        "BentoML", ("bentoml",),
        lambda programs, port, _: [
            str(programs / "bentoml"), "serve", "bentoml_app:Model", "--working-dir", str(HERE / "peers"),
            "--port", str(port), "--host", "127.0.0.1",
        ],
        instances("/predict"), ready="/readyz",
    ),
)  # fmt: skip


class Running:
    """A server that was started with a model.

    Args:
        server: which.
        programs: the folder of its environment's programs.
        model: the model as joblib wrote it; ours gets the same as skops.
        port: to listen on.
        folder: of its own.
    """

    def __init__(self, server: Server, programs: Path, model: Path, port: int, folder: Path) -> None:
        self.server, self.port, self.folder = server, port, folder
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["BENCH_PORT"] = str(port)
        server.prepare(programs, model, folder)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"MODEL": str(model), "PATH": path} | server.variables
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.began = time.perf_counter()
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                server.command(programs, port, folder), env=environment, cwd=folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it serves. Raises RuntimeError with the end of its log if it does not."""
        while time.perf_counter() - self.began < STARTUP and self.process.poll() is None:
            try:
                if self.get(self.server.ready) < 500:  # noqa: PLR2004
                    return
            except OSError:
                time.sleep(0.05)
        log = (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-800:]
        raise RuntimeError(f"{self.server.name} did not start: {log}")

    def get(self, path: str) -> int:
        """The status of a GET."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def ask(self, question: Question) -> Any:
        """The answer to a request. Raises OSError."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{question.path}", question.body, {"Content-Type": question.media_type}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.load(answer)

    def resident(self) -> float:
        """MB of memory of its processes."""
        line = ["ps", "-e", "-o", "pid=,ppid=,rss="]
        listed = subprocess.run(line, capture_output=True, text=True, check=False).stdout.splitlines()
        known = {int(pid): (int(parent), int(size)) for pid, parent, size in map(str.split, listed)}
        return sum(size for pid, (_, size) in known.items() if self._started(pid, known)) / 1024

    def _started(self, pid: int, known: dict[int, tuple[int, int]]) -> bool:
        """Whether a process is this one's or was started by one of its."""
        while pid in known and pid != self.process.pid:
            pid = known[pid][0]
        return pid == self.process.pid

    def stop(self) -> None:
        """End it with everything that it started."""
        _end(self.process, gently=True)
        _end(self.process, gently=False)


if sys.platform == "win32":

    def _end(process: "subprocess.Popen[bytes]", gently: bool) -> None:
        process.terminate() if gently else process.kill()
        process.wait(PATIENCE)

else:

    def _end(process: "subprocess.Popen[bytes]", gently: bool) -> None:
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGTERM if gently else signal.SIGKILL)
            process.wait(PATIENCE)
