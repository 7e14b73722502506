"""The pages in headless Chromium: a person fills in forms, sends a table, and asks from the API page.

It needs Chromium (Debian: apt-get install chromium) and, for accessibility, axe-core (npm pack axe-core). Where
they are not there these tests are skipped, unless WSGI_SERVICE_BROWSER says that they must be.
"""

import csv
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import models
import pytest
from conftest import LiveServer
from sklearn.datasets import load_iris

from wsgi_service.client import Client

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.live

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
REQUIRED = os.environ.get("WSGI_SERVICE_BROWSER") == "required"
#: Where `npm pack axe-core` was unpacked.
AXE = Path(os.environ.get("WSGI_SERVICE_AXE", "")) / "package" / "axe.min.js"
SIZES = [(400, 800), (1280, 900)]
ADDRESSES = [
    "/",
    "/ui/models/people",
    "/ui/models/people/versions/1",
    "/ui/models/iris/versions/1",
    "/ui/login",
    "/ui/x",
]


@pytest.fixture(scope="module")
def site() -> Iterator[LiveServer]:
    """A server with a model of mixed columns, and one with examples."""
    if CHROMIUM is None:
        if REQUIRED:
            pytest.fail("there is no Chromium")
        pytest.skip("there is no Chromium")
    with tempfile.TemporaryDirectory() as folder:
        server = LiveServer(Path(folder))
        with Client(server.url) as client:
            client.push(models.people(), "people")
            client.push(models.people(), "people")
            client.push(models.iris(), "iris", class_names=models.SPECIES)
            features, species = load_iris(return_X_y=True)
            body = {"instances": features[::5].tolist(), "predictions": species[::5].tolist()}
            client._remote.send_json("PUT", "/models/iris/versions/1/examples", body)
        yield server
        server.stop()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A tab, and what went wrong in it: errors on the console, and requests to anywhere else."""

    def __init__(
        self, browser: Any, server: LiveServer, size: tuple[int, int] = (1280, 900), **options: Any
    ) -> None:
        self.context = browser.new_context(
            base_url=server.url, viewport={"width": size[0], "height": size[1]}, accept_downloads=True, **options
        )
        self.tab = self.context.new_page()
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.tab.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", lambda request: self._note(request.url, server.url))

    def _note(self, url: str, home: str) -> None:
        if not url.startswith((home, "data:", "blob:")):
            self.elsewhere.append(url)


@pytest.fixture
def watched(site: LiveServer, chromium: Any) -> Iterator[Watched]:
    """A tab that has seen no errors and asked nobody else when the test is over."""
    made = Watched(chromium, site)
    yield made
    made.context.close()
    assert made.errors == []
    assert made.elsewhere == []


def test_the_form_of_a_mixed_model_gives_a_prediction(watched: Watched) -> None:
    tab = watched.tab
    tab.goto("/")
    tab.get_by_role("link", name="people").click()
    tab.get_by_role("link", name="1", exact=True).first.click()
    tab.get_by_label("age").fill("67")
    tab.get_by_label("city").fill("Rome")
    tab.get_by_label("note").fill("very late")
    tab.get_by_role("button", name="Predict", exact=True).click()
    row = models.people_table().head(1).assign(age=67, city="Rome", note="very late", visits=3.5)
    expected = models.people().predict(row)
    assert tab.locator("#prediction").inner_text() == expected[0]
    assert tab.get_by_role("meter").count() == 2
    assert tab.get_by_label("age").input_value() == "67"
    tab.get_by_role("link", name="Try again with the sample").click()
    assert tab.locator("#prediction").count() == 0


def test_a_table_is_uploaded_shown_and_downloaded(watched: Watched, tmp_path: Path) -> None:
    tab = watched.tab
    path = tmp_path / "in.csv"
    path.write_text("id,age,visits,city,note\na,31,1,Oslo,all good\nb,x,2,Rome,late\n", encoding="utf-8")
    tab.goto("/ui/models/people/versions/1")
    tab.set_input_files("#table", path)
    tab.get_by_role("button", name="Show predictions").click()
    cells = tab.locator("#predictions tbody tr").all_inner_texts()
    assert len(cells) == 2
    assert "expected a number, got text" in cells[1]
    with tab.expect_download() as waiting:
        tab.get_by_role("link", name="Download all as CSV").click()
    whole = read_csv(waiting.value.path())
    assert [row["id"] for row in whole] == ["a", "b"]
    tab.set_input_files("#table", path)
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Download as CSV").click()
    assert read_csv(waiting.value.path()) == whole


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_model_is_uploaded_and_an_alias_moved_and_taken_back(watched: Watched, tmp_path: Path) -> None:
    tab = watched.tab
    path = tmp_path / "line.skops"
    path.write_bytes(models.skops_bytes(models.line()))
    for number in (1, 2):
        tab.goto("/ui")
        tab.get_by_label("Name of the model").fill("from-a-page")
        tab.get_by_label("File").set_input_files(path)
        tab.get_by_role("button", name="Upload").click()
        tab.wait_for_url(f"**/ui/models/from-a-page/versions/{number}")
    tab.goto("/ui/models/from-a-page")
    tab.get_by_label("Version", exact=True).select_option("2")
    tab.get_by_label("Reason").fill("tried in a browser")
    tab.get_by_role("button", name="Check and switch").click()
    tab.get_by_text("live points to version 2").wait_for()
    assert tab.get_by_text("tried in a browser").count() == 1
    tab.get_by_role("button", name="Go back").click()
    tab.get_by_text("live points to version 1").wait_for()


def test_a_request_is_sent_from_the_api_page_of_a_version(watched: Watched) -> None:
    pytest.importorskip("swagger_ui")
    tab = watched.tab
    tab.goto("/models/iris/versions/1/docs")
    tab.locator(".opblock-post .opblock-summary-control").click()
    tab.get_by_role("button", name="Execute").click()
    assert '"labels"' in live_answer(tab.locator("body"))
    tab.goto("/docs")
    health = tab.locator("#operations-System-get_healthz")
    health.locator(".opblock-summary-control").click()
    health.get_by_role("button", name="Execute").click()
    assert '"ok"' in live_answer(health)


def live_answer(place: Any) -> str:
    """What the server said to the request that was sent."""
    answer = place.locator(".live-responses-table tbody .response-col_description").first
    answer.wait_for()
    said: str = answer.inner_text()
    return said


def test_a_command_is_copied(watched: Watched) -> None:
    watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = watched.tab
    tab.goto("/ui/models/iris/versions/1")
    tab.get_by_role("button", name="Copy the bash command").click()
    tab.get_by_text("Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()").startswith("curl http://127.0.0.1")


def test_everything_works_without_javascript(site: LiveServer, chromium: Any, tmp_path: Path) -> None:
    watched = Watched(chromium, site, java_script_enabled=False)
    tab = watched.tab
    tab.goto("/ui/models/iris/versions/1")
    tab.get_by_role("button", name="Predict", exact=True).click()
    assert tab.locator("#prediction").inner_text() == "setosa"
    assert tab.get_by_role("button", name="Copy").count() == 0
    watched.context.close()


def test_a_person_with_a_keyboard_gets_to_the_answer(watched: Watched) -> None:
    tab = watched.tab
    tab.goto("/ui/models/iris/versions/1")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "To the content"
    tab.locator("#field-1").focus()
    for _ in range(4):
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Predict"
    tab.keyboard.press("Enter")
    tab.locator("#prediction").wait_for()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(
    site: LiveServer, chromium: Any, address: str, size: tuple[int, int], scheme: str
) -> None:
    if not AXE.is_file():
        if REQUIRED:
            pytest.fail("there is no axe-core")
        pytest.skip("there is no axe-core")
    watched = Watched(chromium, site, size, color_scheme=scheme)
    watched.tab.goto(address)
    if "versions" in address:
        watched.tab.get_by_role("button", name="Predict", exact=True).click()
    watched.tab.evaluate(AXE.read_text(encoding="utf-8"))
    found = watched.tab.evaluate("axe.run()")["violations"]
    serious = [(entry["id"], [node["html"] for node in entry["nodes"]]) for entry in found
               if entry["impact"] in ("serious", "critical")]  # fmt: skip
    wide = watched.tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    watched.context.close()
    assert serious == []
    assert wide <= 0
    assert watched.elsewhere == []
