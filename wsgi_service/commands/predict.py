"""`wsgi-service predict`: rows from the command line or a file, answered by a server or by a model file."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from model_store.errors import StoreError
from model_store.methods import METHODS
from wsgi_service.client import files
from wsgi_service.client.files import ROWS
from wsgi_service.client.remote import Remote, RemoteError, address
from wsgi_service.commands.options import describe, progress, server_options, show
from wsgi_service.errors import InputError, InvalidRows
from wsgi_service.rows.chunks import Chunk, ChunksDiffer
from wsgi_service.rows.row_formats import BY_NAME, CSV, FORMATS, Format

#: From a chunk, its format and the format of the answer to the bytes of the answer.
Ask = Callable[[Chunk, Format, Format], bytes]


@click.command()
@click.argument("name")
@click.argument("rows")
@click.option("--version", "number", type=click.IntRange(1), help="Ask exactly this version.")
@click.option("--alias", help="Ask the version that this alias points to.")
@click.option("--method", type=click.Choice(METHODS), help="Otherwise predict, or transform.")
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write the answers to this file."
)
@click.option("--on-error", type=click.Choice(["fail", "row"]), default="fail", help="What a wrong row does.")
@click.option("--decimal", type=click.Choice([".", ","]), default=".", help="The decimal mark in CSV.")
@click.option("--chunk", type=click.IntRange(1), default=ROWS, help=f"Rows at a time [default: {ROWS}].")
@server_options
def predict(  # noqa: PLR0913, PLR0917 - one for each option
    name: str,
    rows: str,
    number: int | None,
    alias: str | None,
    method: str | None,
    output: Path | None,
    on_error: str,
    decimal: str,
    chunk: int,
    remote: Remote,
    as_json: bool,
) -> None:
    r"""Predict with NAME: a model of the server, or the path of a model file, which then answers here.

    ROWS is a file (.csv, .tsv, .json, .ndjson, .parquet, .arrow), which is sent in chunks and answered as CSV,
    or in the format that the name of the --output says. Rows are counted from 0. Or ROWS is JSON, @FILE with JSON,
    or - for JSON from standard input.

    CSV is for programs and has texts as they are: to a spreadsheet, one that begins with = + - or @ is a formula.

    For example: wsgi-service predict iris "{\"instances\": [[5.1, 3.5, 1.4, 0.2]]}"
    """
    if number and alias:
        raise click.UsageError("Give --version or --alias, not both.")
    given = {"on_error": on_error, "decimal": decimal} | ({"method": method} if method else {})
    if _is_file(rows):
        if _is_file(name) and (number or alias):
            raise click.UsageError("A model file has no versions and no aliases.")
        names, ask = _local(Path(name), given) if _is_file(name) else _served(remote, name, number, alias, given)
        _predict_file(Path(rows), output, names, ask, chunk)
        return
    if output or _is_file(name) or _is_named_like_a_file(rows):
        raise click.UsageError(f"{rows[:200]}: there is no such file of rows.")
    where: list[str | int] = ["versions", number] if number else ["aliases", alias] if alias else []
    query = f"?method={method}" if method else ""
    answer = remote.send_text("POST", address("models", name, *where, "predict") + query, _read(rows))
    show(answer, as_json, _report(answer))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, as JSON often is
        return False


def _is_named_like_a_file(text: str) -> bool:
    return not text.startswith(("{", "[", "@")) and files.format_of(Path(text)) is not None


def _predict_file(rows: Path, output: Path | None, names: list[str], ask: Ask, size: int) -> None:
    """The answers to a file of rows, chunk by chunk."""
    output = None if output == Path("-") else output
    wanted = files.format_of(output)
    if wanted is None:
        endings = [ending for format_ in FORMATS if format_.join for ending in format_.endings]
        raise click.UsageError(f"The output must end in {', '.join(endings)}.")
    sent, answered = (BY_NAME[one.chunks or one.name] for one in (files.format_of(rows) or CSV, wanted))
    if output and output.exists() and output.samefile(rows):
        raise click.UsageError("The output would replace the rows. Give it another name.")
    try:
        with (
            files.opened(output) as joined,
            progress(f"Predicting {rows.name}", rows.stat().st_size) as bar,
        ):
            for chunk in files.chunks_of(rows, names, size):
                joined.add(ask(chunk, sent, answered))
                bar.update(max(0, chunk.done - bar.pos))
            if joined.empty:
                raise click.ClickException(f"{rows.name} has no rows.")
    except BrokenPipeError:
        raise  # whoever read the answers has seen enough; click ends quietly
    except (InputError, StoreError, ChunksDiffer, OSError) as error:
        raise click.ClickException(str(error)) from None


def _served(
    remote: Remote, name: str, number: int | None, alias: str | None, given: dict[str, str]
) -> tuple[list[str], Ask]:
    """The columns of a version of the server, and a way to ask it; all chunks are answered by the same one."""
    if number is None:
        number = remote.get(address("models", name, "aliases", alias or "live"))["version"]
    place = address("models", name, "versions", number)
    names = [column["name"] for column in remote.get(place)["schema"]["inputs"]]

    def ask(chunk: Chunk, sent: Format, wanted: Format) -> bytes:
        query = urlencode({"format": wanted.name, **given})
        headers = {"Content-Type": sent.media_type}
        try:
            return remote.fetch("POST", f"{place}/predict?{query}", chunk.body, headers, safe=True).content
        except RemoteError as error:
            raise click.ClickException(describe(_in_file(error, chunk))) from None

    return names, ask


def _in_file(error: RemoteError, chunk: Chunk) -> RemoteError:
    """An error whose rows and lines are those of the file, not those of the chunk."""
    found = [
        {**row, "row": row["row"] + chunk.first}
        | ({"line": row["line"] + chunk.line - chunk.own_line} if "line" in row else {})
        for row in error.document.get("errors", [])
    ]
    if not found:
        return error
    row = found[0]
    where = f"row {row['row']}" + (f", column {row['column']}" if row["column"] is not None else "")
    said = f"{where}: {row['message']} (with --on-error row the rows that are right are predicted)"
    return RemoteError(said, error.status, {**error.document, "errors": found})


def _local(path: Path, given: dict[str, str]) -> tuple[list[str], Ask]:
    """The columns of a model file, and a way to ask it."""
    from wsgi_service.client.local import LocalModel

    try:
        model = LocalModel(path)
    except StoreError as error:
        raise click.ClickException(f"{path.name}: {error}") from None
    method = given.get("method")
    if method and method not in model.version.methods:
        raise click.ClickException(f"The model has no such method. It has: {', '.join(model.version.methods)}.")

    def ask(chunk: Chunk, sent: Format, wanted: Format) -> bytes:
        row_by_row = given["on_error"] == "row"
        try:
            return model.ask(chunk.body, sent, wanted, method, row_by_row, given["decimal"])
        except InvalidRows as error:
            rows = [{"row": e.row, "column": e.column, "message": e.message} for e in error.errors]
            raise click.ClickException(describe(_in_file(RemoteError("", 0, {"errors": rows}), chunk))) from None
        except (InputError, StoreError) as error:
            raise click.ClickException(str(error)) from None
        except Exception as error:  # noqa: BLE001 - an estimator may raise anything
            raise click.ClickException(f"The model raised {type(error).__name__}: {error}") from None

    return list(model.version.schema.column_names), ask


def _read(body: str) -> bytes:
    if body == "-":
        return sys.stdin.buffer.read()
    if not body.startswith("@"):
        return body.encode()
    try:
        return Path(body[1:]).read_bytes()
    except OSError as error:
        raise click.ClickException(f"{body[1:]}: {error.strerror}") from None


def _report(answer: dict[str, Any]) -> str:
    predictions = answer.get("labels") or answer["predictions"]
    source = f"# {answer['model']} version {answer['version']}, {answer['method']}"
    return "\n".join([source, *(str(value) for value in predictions)])
