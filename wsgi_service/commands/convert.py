"""`wsgi-service convert`: a pickle or joblib file becomes a skops file, on its owner's own machine.

The only place in the project that reads pickles, and it never runs in the server.
"""

from pathlib import Path

import click

WARNING = "Reading {} executes whatever is in it. Do this only with a file that you made or trust."


@click.command()
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
def convert(source: Path, target: Path) -> None:
    """Convert a pickle or joblib file SOURCE to a .skops file TARGET. This executes SOURCE."""
    convert_file(source, target)
    click.echo(f"wrote    {target}")


def convert_file(source: Path, target: Path) -> None:
    """Read a pickle, write a skops file, and check that a server would take it. Raises ClickException."""
    click.echo(f"warning  {WARNING.format(source.name)}", err=True)
    estimator = _unpickle(source)
    _dump(estimator, target)
    _check(target)


def _unpickle(source: Path) -> object:
    import joblib

    try:
        loaded: object = joblib.load(source)
    except Exception as error:  # noqa: BLE001 - a pickle may raise anything
        raise click.ClickException(
            f"{source.name} cannot be read as a pickle or joblib file: {type(error).__name__}: {error}"
        ) from None
    return loaded


def _dump(estimator: object, target: Path) -> None:
    import skops.io

    try:
        skops.io.dump(estimator, target)
    except Exception as error:  # noqa: BLE001 - so may an object that is asked for its state
        target.unlink(missing_ok=True)
        raise click.ClickException(f"skops cannot write this object: {error}") from None


def _check(target: Path) -> None:
    from model_store.errors import MissingExtra, Refused
    from model_store.inspection import LocalInspector

    try:
        LocalInspector().inspect(target, None)
    except MissingExtra:
        return  # pandas is for the server to have
    except Refused as error:
        click.echo(f"warning  a server will refuse this file: {error}", err=True)
