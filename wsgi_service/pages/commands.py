"""A request that works, as people type it: in bash, in PowerShell, and in Python."""

import json
from typing import Any

from msgspec import Struct

from model_store.entities import Version
from wsgi_service.openapi.version_document import sample_rows


class Command(Struct, frozen=True):
    """A command and where it is typed."""

    shell: str
    text: str


def commands_of(version: Version, server: str, by_number: bool = True) -> list[Command]:
    """The commands that predict a version's sample.

    Args:
        version: that is asked.
        server: its address as the reader reached it, without a slash at the end.
        by_number: whether it is asked by its number, and not for being `live`.
    """
    body = sample_rows(version)
    place = f"/versions/{version.version}" if by_number else ""
    address = f"{server}/models/{version.model}{place}/predict"
    return [
        Command("bash", _bash(address, body)),
        Command("PowerShell", _powershell(address, body)),
        Command("Python", _python(server, version, body, by_number)),
    ]


def _bash(address: str, body: Any) -> str:
    quoted = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
    return f"curl {address} -H 'Content-Type: application/json' -d '{quoted}'"


def _powershell(address: str, body: Any) -> str:
    quoted = json.dumps(body).replace("'", "''")
    return (
        f"Invoke-RestMethod {address} -Method Post -ContentType 'application/json; charset=utf-8' -Body '{quoted}'"
    )


def _python(server: str, version: Version, body: Any, by_number: bool) -> str:
    which = f", version={version.version}" if by_number else ""
    return (
        "from wsgi_service.client import Client\n"
        f"Client({server!r}).predict({version.model!r}, {body['instances']!r}{which})"
    )
