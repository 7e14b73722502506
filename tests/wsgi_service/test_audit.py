"""What the live server and its hosts do while they are attacked, by Python's own audit events (P1 and P2)."""

import json
import os
from pathlib import Path
from typing import Any

import crafted
import pytest
from corpus import OTHERS, PICKLES, UNREADABLE

HOOK = """
import sys
def hook(event, given):
    if event == "pickle.find_class" or (event == "open" and {canary!r} in str(given[0])):
        with open({log!r}, "a") as log:
            log.write(event + "\\n")
sys.addaudithook(hook)
"""


@pytest.fixture
def watch(tmp_path: Path) -> tuple[Path, Path]:
    """Where a process writes down what it should never do, and a file beside a hook that it should not open."""
    log, canary = tmp_path / "events.txt", tmp_path / "canary.bin"
    canary.write_bytes(b"secret")
    hook = HOOK.format(log=str(log), canary=canary.name)
    (tmp_path / "sitecustomize.py").write_text(hook, encoding="utf-8")
    return log, canary


def test_nothing_is_unpickled_and_no_other_file_is_opened(start_server: Any, watch: tuple[Path, Path]) -> None:
    import http.client

    log, canary = watch
    inherited = os.environ.get("PYTHONPATH", "")
    server = start_server(PYTHONPATH=os.pathsep.join(filter(None, [str(canary.parent), inherited])))
    connection = http.client.HTTPConnection(server.host, server.port, timeout=180)

    def ask(method: str, path: str, body: Any, kind: str = "application/octet-stream") -> int:
        connection.request(method, path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    attacks = [*PICKLES.values(), *OTHERS.values(), *UNREADABLE.values(), *outside(canary)]
    statuses = {ask("PUT", "/models/victim/versions/1", data) for data in attacks}
    assert statuses <= {415, 422, 501}
    assert ask("PUT", "/models/spam/versions/1", crafted.vectorizer()) == 201
    body = json.dumps({"instances": [str(canary)]})
    assert ask("POST", "/models/spam/predict", body, "application/json") == 200
    connection.close()
    assert not log.exists(), log.read_text(encoding="utf-8")


def outside(canary: Path) -> list[bytes]:
    """Files that would read the canary."""
    files = [crafted.vectorizer(input="filename"), crafted.vectorizer(input="file")]
    try:
        import programs
        from onnx import TensorProto
    except ImportError:
        return files
    model = programs.adder()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(canary))
    return [*files, model.SerializeToString()]


def test_the_watch_itself_sees_what_it_is_for(watch: tuple[Path, Path]) -> None:
    """A hook that cannot fire would prove nothing."""
    import subprocess
    import sys

    log, canary = watch
    program = f"import pickle; pickle.loads(pickle.dumps(dict)); open({str(canary)!r}).close()"
    environment = os.environ | {"PYTHONPATH": str(canary.parent)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert set(log.read_text(encoding="utf-8").split()) == {"pickle.find_class", "open"}
