"""What the log says, to people and to programs."""

import json
import logging
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, LiveServer, StrictClient

from wsgi_service.http.requests import trace_of
from wsgi_service.monitoring import logs
from wsgi_service.settings import Settings

pytestmark = pytest.mark.system

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger without handlers, and with its own again afterwards."""
    logger = logging.getLogger()
    before, level = logger.handlers, logger.level
    logger.handlers = []
    yield logger
    for handler in logger.handlers:
        handler.close()
    logger.handlers, logger.level = before, level


def line_of(**values: Any) -> Any:
    try:
        int("broken \u2028 \x1b[31m")
    except ValueError:
        information = sys.exc_info()
    record = logging.LogRecord("a.b", logging.ERROR, "f", 1, "said %s", ("\x1b[2J\n{",), information)
    record.__dict__.update(values)
    text = logs.JsonLines().format(record)
    assert "\n" not in text
    assert "\x1b" not in text
    return json.loads(text)


def test_a_record_is_one_line_of_json_whatever_is_in_it() -> None:
    line = line_of(fields={"request_id": "r"})
    assert line["time"].endswith("Z")
    assert {name: line[name] for name in ("level", "logger", "message", "request_id")} == {
        "level": "error", "logger": "a.b", "message": "said \x1b[2J\n{", "request_id": "r",
    }  # fmt: skip
    assert "ValueError: invalid literal" in line["exception"]


@pytest.mark.parametrize(
    "header",
    ["", "x", PARENT[:-1], PARENT.upper(), f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{'0' * 32}-00f067aa0ba902b7-01",
     f"00-{TRACE}-{'0' * 16}-01", PARENT + "\n"],
)  # fmt: skip
def test_a_trace_that_is_not_as_agreed_is_none(header: str) -> None:
    assert trace_of(header) == ""


def test_the_access_log_carries_the_trace_of_a_request(
    client: StrictClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "wsgi_service"):
        client.get("/models", headers={"traceparent": PARENT, "X-Request-Id": "r-1"})
        client.get("/models?page_token=secret")
    traced, plain = caplog.records
    assert traced.fields["trace_id"] == TRACE  # type: ignore[attr-defined]
    assert traced.getMessage().endswith(f"r-1 trace={TRACE}")
    assert '"GET /models" 422 ' in plain.getMessage()
    assert "trace" not in plain.getMessage()
    assert "secret" not in plain.getMessage()


def test_a_file_takes_the_log_and_each_process_has_its_own(root: logging.Logger, tmp_path: Path) -> None:
    settings = Settings(log_file=str(tmp_path / "logs" / "server.log"), log_format="json")
    logs.start(settings)
    logging.getLogger("a").warning("said")
    assert json.loads((tmp_path / "logs" / "server.log").read_text(encoding="utf-8"))["message"] == "said"
    assert logs.file_of(tmp_path / "server.log", 2).name == "server.2.log"


def test_a_full_file_is_turned_over_and_old_ones_go(
    root: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LARGEST_FILE", 200)
    logs.start(Settings(log_file=str(tmp_path / "server.log")))
    for number in range(100):
        logging.getLogger("a").warning("line %d %s", number, "x" * 50)
    assert len(list(tmp_path.iterdir())) == 1 + logs.OLDER_FILES


def test_without_a_console_there_is_no_log(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    logs.start(Settings())
    logging.getLogger("a").warning("said")


@pytest.mark.live
def test_the_real_server_writes_json_when_it_is_asked_to(start_server: Any) -> None:
    server: LiveServer = start_server("--log-format", "json", "--acceleration", "off")
    urllib.request.urlopen(f"{server.url}/healthz", timeout=PATIENCE).close()
    assert server.wait_for_log('"path":"/healthz"')
    assert all(json.loads(line)["logger"].startswith("wsgi_service") for line in server.log)
