"""The tour's server: starts `wsgi-service serve`, trains and uploads the iris pipeline, and says what to try."""

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

import skops.io
from train_iris import train

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0
SAMPLE = {
    "sepal length (cm)": 5.1,
    "sepal width (cm)": 3.5,
    "petal length (cm)": 1.4,
    "petal width (cm)": 0.2,
}


def main() -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("--data", default=str(ROOT / "var"))
    chosen = parser.parse_args()
    command = ["serve", "--listen", chosen.listen, "--data", chosen.data, "--log-level", "warning"]
    server = subprocess.Popen([sys.executable, "-m", "wsgi_service", *command])
    try:
        wait_until_up(chosen.listen, server)
        register(chosen.listen)
        print_lines(chosen.listen)
        return server.wait()
    except KeyboardInterrupt:
        return server.wait()
    finally:
        server.terminate()


def wait_until_up(listen: str, server: "subprocess.Popen[bytes]") -> None:
    """Wait for the server's first answer, or for its end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if request(listen, "GET", "/healthz")[0] == http.client.OK:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(server.poll() or "The server did not come up.")


def register(listen: str) -> None:
    """Train and upload version 1, unless it is there from an earlier start."""
    if request(listen, "GET", "/models/iris/versions/1")[0] == http.client.OK:
        print("model    iris version 1 is there already")
        return
    pipeline, score, columns, species = train()
    print(f"trained  iris, test score {score}")
    query = urlencode({"column_names": json.dumps(columns), "class_names": json.dumps(species)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "iris.skops"
        skops.io.dump(pipeline, path)
        status, answer = request(listen, "PUT", f"/models/iris/versions/1?{query}", path.read_bytes())
    if status != http.client.CREATED:
        raise SystemExit(f"The upload was refused: {answer.get('detail')}")
    print(f"uploaded iris version 1, {answer['digest']}")


def print_lines(listen: str) -> None:
    """Three lines to try, for this system's shell."""
    url = f"http://{listen}"
    link = f"{url}/predict?{urlencode({'model': 'iris'} | SAMPLE)}"
    print("\nTry (Ctrl-C stops the server):\n")
    for line in powershell_lines(url, link) if sys.platform == "win32" else bash_lines(url, link):
        print(f"  {line}")
    print(flush=True)


def bash_lines(url: str, link: str) -> list[str]:
    """For bash and zsh."""
    body = '{"instances": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}'
    record = json.dumps(SAMPLE | {"method": "predict_proba"})
    json_type = "-H 'Content-Type: application/json'"
    return [
        f"curl -s {url}/predict {json_type} -d '{body}'",
        f"curl -s {url}/models/iris/predict {json_type} -d '{record}'",
        f"curl -s '{link}'",
    ]


def powershell_lines(url: str, link: str) -> list[str]:
    """For Windows PowerShell 5.1 and later, where `curl` is an alias of something else."""
    record = "; ".join(f"'{name}' = {value}" for name, value in SAMPLE.items())
    send = "-Method Post -ContentType 'application/json; charset=utf-8' -Body"
    rows = "@{ instances = @(@(5.1, 3.5, 1.4, 0.2), @(6.7, 3.0, 5.2, 2.3)) }"
    return [
        f"Invoke-RestMethod {url}/predict {send} ({rows} | ConvertTo-Json -Depth 5)",
        f"Invoke-RestMethod {url}/models/iris/predict {send} (@{{ {record} }} | ConvertTo-Json -Depth 5)",
        f"Invoke-RestMethod '{link}'",
    ]


def request(listen: str, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
    """Status and JSON of a request to the server."""
    connection = http.client.HTTPConnection(listen, timeout=PATIENCE)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


if __name__ == "__main__":
    raise SystemExit(main())
