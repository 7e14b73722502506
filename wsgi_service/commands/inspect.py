"""`wsgi-service inspect`: what a server would say of a model file, without a server."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from model_store.entities import Inspection
from model_store.errors import Refused, StoreError
from model_store.inspection import LocalInspector
from model_store.safety import Finding, Policy, Report


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--allow-pickle", is_flag=True, help="Read a pickle or joblib file, which executes it, here.")
@click.option("--trust", default="", help="Dotted names of types to allow besides, with commas.")
@click.option("--json", "as_json", is_flag=True, help="Print the report and the facts as JSON.")
def inspect(file: Path, allow_pickle: bool, trust: str, as_json: bool) -> None:
    """Check the model FILE as an upload is checked, in this process, and print the safety report.

    Ends with 1 if a server would refuse the file.
    """
    policy = Policy(allow_pickle, tuple(name.strip() for name in trust.split(",") if name.strip()))
    try:
        found = LocalInspector(policy).inspect(file, None)
    except Refused as error:
        _show(error.report, None, as_json)
        raise SystemExit(1) from None
    except StoreError as error:
        raise click.ClickException(str(error)) from None
    _show(found.safety, found, as_json)


def _show(report: Report | None, found: Inspection | None, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {"safety": msgspec.to_builtins(report)}
        if found is not None:
            document |= msgspec.to_builtins(found.facts)
        click.echo(json.dumps(document, ensure_ascii=False))
    elif report is not None:
        click.echo(_text(report, found))


def _text(report: Report, found: Inspection | None) -> str:
    lines = [f"verdict  {report.verdict}", f"format   {report.format}"]
    if found is not None:
        lines.append(f"model    {found.facts.estimator}: {', '.join(found.facts.methods)}")
        lines += [f"fault    {fault}" for fault in found.facts.faults]
        lines += [f"warning  {found.silent} on a sample row made up from the schema"] if found.silent else []
    lines += [_line(finding) for finding in (*report.findings, *report.normalised)]
    lines += [f"class    {name}" for name in report.classes]
    lines.append(f"took     {report.seconds:.3f} s, {report.memory / 1e6:.1f} MB")
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    heading = {"refused": "refused", "warning": "warning", "normalised": "changed"}[finding.severity]
    place = f"{finding.where}: " if finding.where else ""
    return f"{heading:8} {place}{finding.message} [{finding.rule}]"
