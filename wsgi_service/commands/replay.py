"""`wsgi-service replay`: rows from a prediction log are predicted again by another version, and compared."""

import json
import re
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from model_store.entities import NAME_PATTERN
from model_store.methods import usual_method
from model_store.proof.comparison import Answered, compare
from model_store.proof.examples import PROBABILITIES
from wsgi_service.client.remote import Remote, address
from wsgi_service.commands.compare import report
from wsgi_service.commands.options import progress, server_options
from wsgi_service.monitoring.prediction_log import Entry, read_log

Document = dict[str, Any]
#: Else what is replayed would be replayed the next time.
UNKEPT = {"Prediction-Log": "off"}
#: Rows in one request.
AT_ONCE = 1_000
AGAINST = re.compile(rf"(?P<name>{NAME_PATTERN.replace('([', '(?:[')})@(?P<version>[1-9][0-9]{{0,9}})")


@click.command()
@click.argument("log", type=click.Path(exists=True, path_type=Path))
@click.option("--against", required=True, metavar="NAME@VERSION", help="What predicts again, such as iris@4.")
@server_options
def replay(log: Path, against: str, remote: Remote, as_json: bool) -> None:
    """Predict the rows of LOG again, and compare the answers with those that were given.

    LOG is a file of the prediction log, or its folder. There is a report for each version that answered then.
    """
    match = AGAINST.fullmatch(against)
    if match is None:
        raise click.BadParameter("That is a name and a number, such as iris@4.", param_hint="'--against'")
    name, number = match["name"], int(match["version"])
    version = remote.get(address("models", name, "versions", number))
    method = usual_method(version["methods"])
    found = _by_version(log, name, method)
    if not found:
        raise click.ClickException(f"There is nothing in {log} that {name} answered with '{method}'.")
    documents = [_replayed(remote, version, method, then, entries) for then, entries in sorted(found.items())]
    if as_json:
        click.echo(json.dumps({"replayed": documents}))
        return
    for document in documents:
        click.echo(report(document))
        click.echo()


def _by_version(log: Path, name: str, method: str) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    try:
        for entry in read_log(log):
            if entry.model == name and method in entry.outputs:
                found.setdefault(entry.version, []).append(entry)
    except ValueError as error:
        raise click.ClickException(f"This is no prediction log: {error}") from None
    return found


def _replayed(
    remote: Remote, version: dict[str, Any], method: str, then: int, entries: list[Entry]
) -> dict[str, Any]:
    """What the compare resource says, of a version as it answered then and of another one as it answers now."""
    rows = [row for entry in entries for row in entry.rows]
    before = [output for entry in entries for output in entry.outputs[method]]
    probable = all(PROBABILITIES in entry.outputs for entry in entries) and PROBABILITIES in version["methods"]
    methods = [method, PROBABILITIES] if probable and method != PROBABILITIES else [method]
    now = _predicted(remote, version, methods, rows)
    classes = version["schema"].get("classes")
    known = {} if classes is None else {"classes": tuple(classes)}
    one = Answered(predictions=before, **known)
    other = Answered(predictions=now[method], **known)
    if len(methods) > 1:
        given = [output for entry in entries for output in entry.outputs[PROBABILITIES]]
        one = msgspec.structs.replace(one, probabilities=np.array(given, dtype=float))
        other = msgspec.structs.replace(other, probabilities=np.array(now[PROBABILITIES], dtype=float))
    comparison = msgspec.to_builtins(compare(one, other))
    return {"model": version["model"], "a": then, "b": version["version"], "comparison": comparison}


def _predicted(
    remote: Remote, version: dict[str, Any], methods: list[str], rows: list[Any]
) -> dict[str, list[Any]]:
    """Method -> an entry for each row."""
    path = address("models", version["model"], "versions", version["version"], "predict")
    found: dict[str, list[Any]] = {method: [] for method in methods}
    with progress("Predicting", len(rows)) as bar:
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            answer = remote.send_json("POST", path, {"instances": some, "return": methods}, UNKEPT)
            for method in methods:
                found[method] += answer["outputs"][method]
            bar.update(len(some))
    return found
