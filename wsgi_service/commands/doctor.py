"""`wsgi-service doctor`: what keeps a server from running well here, and what to do about it."""

import os
import sys
from typing import Any

import click
import msgspec

from wsgi_service import settings
from wsgi_service.commands.serve import with_settings
from wsgi_service.processes.diagnosis import diagnose


@click.command()
@with_settings
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def doctor(as_json: bool, **flags: Any) -> None:
    """Look at settings, folder, disk, registry, port, clock, packages and access, as `serve` would find them.

    It takes the flags of `serve`. The exit code is 0 if nothing is wrong.
    """
    try:
        chosen = settings.load(os.environ, flags, has_tokens=lambda _folder: True)  # access has a line of its own
    except settings.InvalidSetting as error:
        raise click.UsageError(str(error)) from None
    findings = diagnose(chosen)
    if as_json:
        click.echo(msgspec.json.encode({"findings": findings}).decode())
    else:
        for finding in findings:
            click.echo(f"{finding.verdict:6} {finding.what:10} {finding.message}")
    sys.exit(any(finding.verdict == "wrong" for finding in findings))
