"""The README's tour of predicts, typed as it is printed, against a real server."""

import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import models
import pytest
from conftest import LiveServer

from wsgi_service.client import Client

pytestmark = [
    pytest.mark.extras,
    pytest.mark.live,
    pytest.mark.skipif(sys.platform == "win32", reason="the lines are printed for bash"),
]
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
PREDICT = README.split("## Predict\n")[1].split("\n## ")[0]
HERE = "http://127.0.0.1:8080"
TABLE = "id,x0,x1,x2,x3\na,5.1,3.5,1.4,0.2\nb,6.7,3.0,5.2,2.3\nc,6.0,x,4.0,1.0\n"


def lines(beginning: str) -> list[str]:
    return [line.strip() for line in PREDICT.splitlines() if line.startswith(f"    {beginning}")]


@pytest.fixture(scope="module")
def live_server() -> Iterator[LiveServer]:
    """A server of its own, since the lines name the model that others have too."""
    with tempfile.TemporaryDirectory() as path:
        server = LiveServer(Path(path))
        yield server
        server.stop()


@pytest.fixture
def folder_of_a_person(live_server: LiveServer, tmp_path: Path) -> Path:
    """A folder with the files that the lines name, and the model on the server."""
    (tmp_path / "iris.skops").write_bytes(models.skops_bytes(models.iris()))
    with Client(live_server.url) as client:
        client.push(tmp_path / "iris.skops", "iris", live=True)
    (tmp_path / "input.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def typed(line: str, folder: Path, server: LiveServer) -> str:
    done = subprocess.run(
        ["bash", "-c", line.replace(HERE, server.url)],
        cwd=folder,
        env=os.environ
        | {"WSGI_SERVICE_URL": server.url, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_there_is_a_tour() -> None:
    assert len(lines("curl ")) == 5
    assert len(lines("wsgi-service predict")) == 2


@pytest.mark.parametrize("line", lines("curl "), ids=range(5))
def test_every_line_of_curl_predicts(line: str, folder_of_a_person: Path, live_server: LiveServer) -> None:
    said = typed(line, folder_of_a_person, live_server)
    if "format=csv" in line:
        assert said.splitlines()[1].startswith("a,0,0.98")
        assert said.splitlines()[3].endswith('"x1: expected a number, got text"')
    else:
        assert re.search('"predictions":|"outputs":', said), said


def test_files_are_predicted_by_the_server_and_by_the_file_alike(
    folder_of_a_person: Path, live_server: LiveServer
) -> None:
    (folder_of_a_person / "input.csv").write_text(TABLE.rpartition("c,")[0], encoding="utf-8")
    answers = []
    for line in lines("wsgi-service predict"):
        typed(line, folder_of_a_person, live_server)
        with (folder_of_a_person / "predictions.csv").open(newline="", encoding="utf-8") as file:
            answers.append([(row["id"], row["prediction"]) for row in csv.DictReader(file)])
    assert answers == [[("a", "0"), ("b", "2")]] * 2


def test_the_lines_of_python_run(folder_of_a_person: Path, live_server: LiveServer) -> None:
    block = re.search(r"(    from wsgi_service.client import Client\n.*?)\n\n(?!    )", PREDICT, re.DOTALL)
    assert block
    code = re.sub(r"^    ", "", block[1], flags=re.MULTILINE).replace(HERE, live_server.url)
    names: dict[str, object] = {"pipeline": models.iris(), "X": [[5.1, 3.5, 1.4, 0.2]]}
    exec(code, names)
    client = names["client"]
    assert isinstance(client, Client)
    assert client.predict("iris", names["X"]).tolist() == [0]
    client.close()


def test_the_pages_that_are_named_are_there(folder_of_a_person: Path, live_server: LiveServer) -> None:
    pytest.importorskip("swagger_ui")
    for address in re.findall(rf"<({HERE}[^>]*)>", PREDICT):
        typed(f"curl -sf -o page.html {address}", folder_of_a_person, live_server)
        assert (folder_of_a_person / "page.html").stat().st_size > 100
