"""The documentation is held to the code."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from write_docs import settings_page

from wsgi_service.app import create_app
from wsgi_service.cli import COMMANDS, group
from wsgi_service.settings import TABLE, Settings

pytestmark = pytest.mark.extras

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
API = (ROOT / "docs/api.md").read_text(encoding="utf-8")


def test_every_setting_is_a_field_and_every_field_a_setting() -> None:
    assert [setting.name for setting in TABLE] == list(Settings.__struct_fields__)


def test_the_page_of_settings_is_the_table() -> None:
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == settings_page()


@pytest.mark.parametrize(
    "setting", [setting for setting in TABLE if setting.flag], ids=lambda setting: setting.name
)
def test_every_flag_is_in_the_help_of_serve(setting) -> None:
    help_ = CliRunner().invoke(group, ["serve", "--help"]).output
    assert str(setting.flag) in help_
    assert setting.variable in re.sub(r"\s+", "", help_)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help_and_is_in_the_readme(command: str) -> None:
    assert CliRunner().invoke(group, [command, "--help"]).exit_code == 0
    assert f"wsgi-service {command}" in README


def test_every_route_is_in_the_api_page(tmp_path: Path) -> None:
    app = create_app(Settings(data=str(tmp_path)))
    url_map = app.url_map
    app.catalog.registry.close()
    for rule in url_map.iter_rules():
        path = re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule).replace("{number}", "{n}").replace("{model}", "{name}")
        for method in (rule.methods or set()) - {"HEAD"}:
            assert re.search(rf"\| {method} \| `{re.escape(path)}` \|", API), f"{method} {path}"


@pytest.mark.parametrize("package", ["model_store", "wsgi_service"])
def test_every_room_is_on_the_map_and_every_module_that_has_none(package: str) -> None:
    rooms = ARCHITECTURE.partition("## The rooms")[2].partition("## ")[0]
    found = [*(ROOT / package).glob("*.py"), *(path.parent for path in (ROOT / package).glob("*/__init__.py"))]
    for path in found:
        if path.stem not in {"__init__", "__main__"}:
            assert re.search(rf"(^|\s){path.stem}{'/' if path.is_dir() else ''}\s", rooms), path
    assert len(rooms.splitlines()) <= 50


def test_commands_are_printed_without_shell_tricks() -> None:
    """`&&` does not exist in Windows PowerShell 5.1."""
    assert "&&" not in README
