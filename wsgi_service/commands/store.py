"""`wsgi-service check`, `backup` and `restore`: looking after a data folder, without a server."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from model_store.backup import backup, restore
from model_store.consistency import check
from model_store.errors import StoreError
from model_store.opening import REGISTRY, look_at, open_catalog
from wsgi_service.commands.options import data_option, progress

_target = click.argument("directory", type=click.Path(file_okay=False, path_type=Path))


@click.command("check")
@data_option
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def check_store(folder: Path, repair: bool, as_json: bool) -> None:
    """Check the database, every artifact's digest, the histories, and what interrupted uploads left.

    Safe while a server is at work. The exit code is 0 if nothing is wrong, or if all of it was repaired.
    """
    if not (folder / REGISTRY).is_file():
        raise click.ClickException(f"There is no registry in {folder}.")
    try:
        catalog = open_catalog(folder) if repair else look_at(folder)
        try:
            flaws = list(_checked(catalog, repair))
        finally:
            catalog.registry.close()
    except (StoreError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({"flaws": msgspec.to_builtins(flaws)}))
    else:
        for flaw in flaws:
            click.echo(f"{'repaired' if flaw.repaired else 'wrong':8} {flaw.kind}: {flaw.where}: {flaw.message}")
        click.echo(f"{len(flaws)} flaws" if flaws else "nothing is wrong")
    sys.exit(0 if all(flaw.repaired for flaw in flaws) else 1)


@click.command("backup")
@_target
@data_option
def backup_store(directory: Path, folder: Path) -> None:
    """Copy the data folder to DIRECTORY, also while a server is at work in it.

    An earlier backup of the same data folder in DIRECTORY is brought up to date.
    """
    _copy(backup, folder, directory)


@click.command("restore")
@_target
@data_option
def restore_store(directory: Path, folder: Path) -> None:
    """Copy the backup in DIRECTORY to a data folder that has no registry yet."""
    _copy(restore, directory, folder)


def _checked(catalog: Any, repair: bool) -> Iterator[Any]:
    with progress("Checking", catalog.registry.count_versions()) as bar:
        yield from check(catalog, repair, tell=bar.update)


def _copy(copy: Callable[..., list[str]], source: Path, target: Path) -> None:
    with progress("Copying", 0) as bar:

        def tell(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        try:
            lost = copy(source, target, tell)
        except (StoreError, OSError) as error:
            raise click.ClickException(str(error)) from None
    for digest in lost:
        click.echo(f"wrong    {digest}: these bytes are damaged or gone, and the copy does not have them")
    click.echo(f"copied   {source} to {target}")
    sys.exit(1 if lost else 0)
