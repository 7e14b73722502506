"""`wsgi-service compare`: two versions on the rows of a file."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from wsgi_service.client.remote import Remote, address
from wsgi_service.commands.options import server_options, show, table
from wsgi_service.rows.formats.csv_body import looks_like_json
from wsgi_service.rows.row_formats import BY_ENDING, CSV


@click.command()
@click.argument("name")
@click.argument("a")
@click.argument("b")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@server_options
def compare(name: str, a: str, b: str, file: Path, remote: Remote, as_json: bool) -> None:
    """Have the versions A and B (numbers or aliases) of the model NAME answer for the rows of FILE.

    FILE is CSV (or, named so, .tsv), or JSON with "instances", or a JSON list of rows.
    """
    path, content = address("models", name, "compare"), file.read_bytes()
    if looks_like_json(content):
        document = remote.send_json("POST", path, {"a": a, "b": b, "instances": _instances(content)})
    else:
        query = urlencode({"a": a, "b": b})
        format_ = BY_ENDING.get(file.suffix.lower(), CSV)
        type_ = (format_ if format_.named else CSV).media_type
        document = remote.send_bytes("POST", f"{path}?{query}", content, f"{type_}; charset=utf-8")
    show(document, as_json, report(document))


def _instances(content: bytes) -> Any:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise click.ClickException(f"The file is not valid JSON: {error}") from None
    return body.get("instances", [body]) if isinstance(body, dict) else body


def report(document: dict[str, Any]) -> str:
    """What the compare resource says, for people."""
    found = document["comparison"]
    lines = [
        f"rows       {found['rows']}, version {document['a']} against {document['b']}",
        f"agreement  {found['agreement']:.4%}",
    ]
    if change := found.get("largest_probability_change"):
        lines.append(
            f"largest    probability of {change['class']} by {change['change']:+.6g} in row {change['row']}"
        )
    if found.get("differences"):
        quantiles = ", ".join(f"{name}: {value:.6g}" for name, value in found["differences"].items())
        lines.append(f"quantiles  {quantiles}")
    if confusion := found.get("confusion"):
        lines += ["", _confusion(confusion)]
    if found["disagreements"]:
        rows = [[str(entry["row"]), str(entry["a"]), str(entry["b"])] for entry in found["disagreements"]]
        lines += ["", table([["ROW", "A", "B"], *rows])]
    return "\n".join(lines)


def _confusion(confusion: dict[str, Any]) -> str:
    labels, counts = [str(label) for label in confusion["labels"]], confusion["counts"]
    rows = [[label, *map(str, row)] for label, row in zip(labels, counts, strict=True)]
    return table([["A \\ B", *labels], *rows])
