"""What stands around the server: the files that are written for it, and nginx in front of the real one."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import models
import pytest
from click.testing import CliRunner, Result
from conftest import PATIENCE, LiveServer
from running import until
from test_strictness import BAD_CHUNKS, HOST, REFUSED, chunked, received

from wsgi_service.cli import group
from wsgi_service.server.listening import bind

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
TOKEN = "secret"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(group, arguments)


def test_a_web_config_is_xml_and_hands_everything_over(tmp_path: Path) -> None:
    written = run(
        "iis", "web-config", "--host", "models.example.com", "--data", str(tmp_path), "--upload-limit", "9"
    )
    assert written.exit_code == 0
    server = ET.fromstring(written.stdout).find("system.webServer")
    assert server is not None
    platform = server.find("httpPlatform")
    assert platform is not None
    assert platform.get("processPath") == sys.executable
    variables = {one.get("name"): one.get("value") for one in platform.iter("environmentVariable")}
    assert variables["WSGI_SERVICE_DATA"] == str(tmp_path)
    assert variables["WSGI_SERVICE_ALLOWED_HOSTS"] == "models.example.com"
    limits = server.find("security/requestFiltering/requestLimits")
    assert limits is not None
    assert limits.get("maxAllowedContentLength") == str(9 << 20)
    assert [one.get("name") for one in server.iter("remove")] == ["WebDAVModule"]


def test_signs_of_xml_in_a_path_stay_in_it(tmp_path: Path) -> None:
    folder = str(tmp_path / 'a & b "c"')
    written = run("iis", "web-config", "--host", "a.example", "--data", folder)
    variables = {
        one.get("name"): one.get("value") for one in ET.fromstring(written.stdout).iter("environmentVariable")
    }
    assert variables["WSGI_SERVICE_DATA"] == folder


def test_a_site_without_tokens_is_warned_of(tmp_path: Path) -> None:
    arguments = ("iis", "web-config", "--host", "a.example", "--data", str(tmp_path))
    assert "token create --scope admin" in run(*arguments).stderr
    run("token", "create", "--scope", "admin", "--data", str(tmp_path))
    assert run(*arguments).stderr == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_unit_and_finds_it_locked_down(tmp_path: Path) -> None:
    path = tmp_path / "wsgi-service.service"
    path.write_text(run("systemd", "unit", "--host", "models.example.com").stdout, encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="there is no hadolint")
def test_the_dockerfile_has_nothing_to_find_fault_with() -> None:
    linted = subprocess.run(
        ["hadolint", str(ROOT / "deploy" / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout) == (0, "")


def test_a_site_for_tls_needs_a_certificate() -> None:
    refused = run("nginx", "config", "--host", "a.example")
    assert (refused.exit_code, "--certificate" in refused.output) == (2, True)
    written = run("nginx", "config", "--host", "a.example", "--certificate", "/c.pem", "--key", "/k.pem").output
    assert "listen 443 ssl;" in written
    assert "ssl_certificate_key /k.pem;" in written


# nginx itself


@dataclass
class Site:
    """nginx in front of a real server with a token."""

    address: tuple[str, int]
    server: LiveServer
    log: Path


@pytest.fixture
def site(start_server: Any, tmp_path: Path) -> Iterator[Site]:
    if NGINX is None:
        pytest.skip("there is no nginx")
    flags = ("--trusted-proxy", "127.0.0.1", "--acceleration", "off", "--allowed-hosts", "models.example.com")
    server: LiveServer = start_server(*flags, WSGI_SERVICE_TOKEN=TOKEN)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    listener.close()
    upstream = ("--listen", f"127.0.0.1:{port}", "--upstream", f"{server.host}:{server.port}")
    site_ = run("nginx", "config", "--host", "models.example.com", *upstream).stdout
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; error_log stderr; pid {tmp_path}/pid; events {{}}\n"
        f"http {{ access_log {tmp_path}/access.log;\n"
        f"client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;\n"
        f"fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;\n{site_}}}\n",
        encoding="utf-8",
    )
    line = [NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    try:
        until(lambda: reachable(port))
        yield Site(("127.0.0.1", port), server, tmp_path / "access.log")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(site: Site, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection(*site.address, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Host": "models.example.com", **headers})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content or "null"), answer.headers
    finally:
        connection.close()


@pytest.mark.live
def test_behind_nginx_models_are_uploaded_and_asked_and_strangers_refused_early(site: Site) -> None:
    data = models.skops_bytes(models.line())
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(site, "PUT", "/models/line/versions/1", data, **bearer)[0] == 201
    body = json.dumps({"instances": [[2.0]]})
    status, answer, headers = ask(
        site, "POST", "/models/line/predict", body, **{"Content-Type": "application/json"}
    )
    assert (status, len(answer["predictions"])) == (200, 1)
    assert headers["X-Request-Id"]
    with socket.create_connection(site.address, timeout=PATIENCE) as stranger:
        stranger.sendall(
            b"PUT /models/x/versions/1 HTTP/1.1\r\nHost: models.example.com\r\nContent-Length: 90000000\r\n\r\nx"
        )
        assert stranger.recv(65536).startswith(b"HTTP/1.1 401")


@pytest.mark.live
def test_behind_nginx_nothing_is_smuggled(site: Site) -> None:
    """Whatever nginx makes of these, the server sees no request that nginx has not seen."""
    secret = b"GET /smuggled HTTP/1.1\r\nHost: models.example.com\r\n\r\n"
    broken = [request + b"\r\n" + secret for request in REFUSED.values()]
    broken += [chunked(b"Authorization: Bearer secret\r\n\r\n", body, secret) for body in BAD_CHUNKS.values()]
    for request in broken:
        with socket.create_connection(site.address, timeout=PATIENCE) as connection:
            connection.sendall(request.replace(HOST, b"Host: models.example.com\r\n"))
            connection.shutdown(socket.SHUT_WR)
            answer = received(connection)
        assert b"HTTP/1.1 500" not in answer
        assert ask(site, "GET", "/healthz")[0] == 200
    seen = site.log.read_text(encoding="utf-8").count("GET /smuggled ")
    assert sum('"GET /smuggled"' in line for line in site.server.log) <= seen
    assert site.server.wait_for_log("/healthz")  # so that the log is what is looked at
