"""The pages, as they are sent: what stands in them, what their forms do, and who may."""

import html
import io
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import models
import msgspec
import pytest
from conftest import PATIENCE, StrictClient
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression
from werkzeug.wrappers import Response

from wsgi_service.access import sessions
from wsgi_service.access.sessions import Sessions
from wsgi_service.app import Application, create_app
from wsgi_service.hosts.special_host import Role
from wsgi_service.pages.pictures import cleaned
from wsgi_service.resources.pages import EVENTS

pytestmark = pytest.mark.extras

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
VERSION = "/ui/models/people/versions/1"


class Checked(HTMLParser):
    """Fails for a page whose elements are not closed in order, or that has a style or a script of its own."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        assert "style" not in {*given, tag}, (tag, given)
        assert tag != "script" or given.get("src"), "a script inside the page"
        assert not any(name.startswith("on") for name in given)
        for name in ("src", "href", "action", "formaction"):
            assert re.match(r"/|#|data:text/csv|$", given.get(name) or ""), (name, given[name])
        if "id" in given:
            self.ids.append(str(given["id"]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def page(answer: Any, status: int = 200) -> str:
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.data[:300]
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    parser = Checked()
    parser.feed(answer.text)
    parser.close()
    assert parser.open == []
    assert len(set(parser.ids)) == len(parser.ids)
    return re.sub(r"\s+", " ", html.unescape(answer.text))


@pytest.fixture
def people(client: StrictClient) -> StrictClient:
    assert client.put_model("people", models.people()).status_code == 201
    return client


@pytest.fixture
def iris(client: StrictClient) -> StrictClient:
    client.put_model("iris", models.iris(), class_names=",".join(models.SPECIES))
    return client


def test_the_front_is_a_page_for_browsers_and_json_for_programs(iris: StrictClient) -> None:
    led = iris.get("/", headers=HTML)
    assert (led.status_code, led.headers["Location"], led.headers["Vary"]) == (303, "/ui", "Accept")
    assert '<a href="/ui/models/iris">iris</a>' in page(iris.get("/ui"))
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        answer = iris.get("/", headers=accept)
        assert (answer.mimetype, answer.headers["Vary"]) == ("application/json", "Accept")


def test_an_empty_server_says_how_to_begin(client: StrictClient) -> None:
    assert "There are no models yet" in page(client.get("/ui"))


def test_a_model_shows_versions_aliases_and_history(iris: StrictClient) -> None:
    iris.put_model("iris", models.iris(), 2)
    iris.put("/models/iris/aliases/live?version=2&reason=because%20<it>")
    said = page(iris.get("/ui/models/iris"))
    assert 'live</code> points to <a href="/ui/models/iris/versions/2">version 2' in said
    assert "because <it>" in said
    assert "&lt;it&gt;" in iris.get("/ui/models/iris").text
    assert "move-alias" in said


def test_a_form_has_a_field_for_each_column_of_the_kind_that_fits(people: StrictClient) -> None:
    said = page(people.get(VERSION))
    assert re.search(r'<input id="field-1" name="age" type="number" value="[0-9.]+" step="any"', said)
    assert 'name="city" type="text" value="Oslo" list="field-3-choices"' in said
    assert re.search(r'<textarea id="field-4" name="note" rows="3">', said)
    people.put_model("colours", models.colours())
    said = page(people.get("/ui/models/colours/versions/1"))
    assert '<option value="green" selected>green</option> <option value="red">red</option>' in said


def test_the_form_answers_with_the_class_and_a_bar_for_each_probability(people: StrictClient) -> None:
    fields = {"age": "31", "visits": "2", "city": "Rome", "note": "late", "unused": ""}
    said = page(people.post(f"{VERSION}/predict", data=fields))
    record = {name: value for name, value in fields.items() if name != "unused"}
    exact = people.post("/models/people/predict", data=record).json["prediction"]
    assert f'<p class="headline" id="prediction">{exact}</p>' in said
    assert said.count("<meter ") == 2
    assert 'name="note" rows="3"> late</textarea>' in said


def test_what_was_wrong_stands_beside_its_field_and_what_was_filled_in_stays(people: StrictClient) -> None:
    fields = {"age": "old", "visits": "2", "city": "<b>", "note": "late"}
    said = page(people.post(f"{VERSION}/predict", data=fields), 422)
    assert 'aria-invalid="true"' in said
    assert '<p class="failure" id="field-1-error">expected a number, got text</p>' in said
    assert 'value="<b>"' in said
    assert "<b>" not in people.post(f"{VERSION}/predict", data=fields).text


def test_a_table_is_shown_and_can_be_downloaded(people: StrictClient) -> None:
    body = b"id,age,visits,city,note\na,31,1,Oslo,all good\nb,x,2,Rome,late\n"
    answer = people.post(f"{VERSION}/table", data={"file": (io.BytesIO(body), "in.csv")})
    said = page(answer)
    assert '2 rows, <strong class="bad">1 of them wrong' in said
    assert "<td>age: expected a number, got text</td>" in said
    assert 'download="people-1.csv"' in said
    refused = people.post(f"{VERSION}/table", data={"file": (io.BytesIO(b"\xff\xff"), "in.csv")})
    assert "The CSV is not in UTF-8" in page(refused, 422)
    assert "no part named" in page(people.post(f"{VERSION}/table", data={"x": (io.BytesIO(b""), "x")}), 422)


def test_a_model_is_uploaded_from_a_page(client: StrictClient) -> None:
    def upload(name: str, content: bytes) -> Any:
        return client.post(
            "/ui/models", data={"name": name, "file": (io.BytesIO(content), "m"), "class_names": ""}
        )

    done = upload("line", models.skops_bytes(models.line()))
    assert (done.status_code, done.headers["Location"]) == (303, "/ui/models/line/versions/1")
    assert "this is no model" not in page(upload("line", b"this is no model"), 422)
    assert "1 to 64 characters" in page(upload("Line", b"x"), 422)
    refused = models.edited(models.skops_bytes(models.line()), lambda schema: schema | {"__module__": "os"})
    assert "What the checks found" in page(upload("line", refused), 422)
    assert len(client.get("/models/line/versions").json["versions"]) == 1


def test_an_alias_is_moved_from_a_page_if_nobody_was_faster(iris: StrictClient) -> None:
    iris.put_model("iris", models.iris(), 2)
    address = "/ui/models/iris/aliases"
    moved = iris.post(address, data={"alias": "live", "version": "2", "seen_live": "1", "reason": "better"})
    assert (moved.status_code, moved.headers["Location"]) == (303, "/ui/models/iris")
    assert iris.get("/models/iris/history").json["events"][-1]["reason"] == "better"
    late = page(iris.post(address, data={"alias": "live", "version": "1", "seen_live": "1"}), 409)
    assert "Somebody moved this alias" in late
    unseen = page(iris.post(address, data={"alias": "live", "version": "1"}), 409)
    assert "Somebody moved this alias" in unseen
    back = iris.post(f"{address}/live/rollback", data={"seen": "2"})
    assert back.status_code == 303
    assert iris.get("/models/iris/aliases/live").json["version"] == 1
    assert "nothing" in page(iris.post(f"{address}/live/rollback", data={"seen": "1"}), 409).lower()
    for text in ("", "x", "0", "99999999999", "١"):
        assert iris.post(address, data={"alias": "live", "version": text}).status_code == 422
    assert "1 to 64 characters" in page(iris.post(address, data={"alias": "Live!", "version": "1"}), 422)


def test_an_alias_is_made_from_a_page(iris: StrictClient) -> None:
    done = iris.post("/ui/models/iris/aliases", data={"alias": "next", "version": "1", "seen_live": "1"})
    assert done.status_code == 303
    assert iris.get("/models/iris/aliases/next").json["version"] == 1
    assert 'name="seen_next" value="1"' in page(iris.get("/ui/models/iris"))


def test_a_switch_that_fails_its_checks_shows_them_and_can_be_forced(iris: StrictClient) -> None:
    iris.put_model("iris", models.line(), 2)
    address = "/ui/models/iris/aliases"
    moving = {"alias": "live", "version": "2", "seen_live": "1"}
    said = page(iris.post(address, data=moving | {"reason": "a & b"}), 409)
    assert "What was checked before version 2 became" in said
    assert 'name="force" value="true"' in said
    assert 'name="reason" value="a & b"' in said
    page(iris.post(address, data=moving), 409)
    assert iris.post(address, data=moving | {"force": "true"}).status_code == 303
    assert iris.get("/models/iris/aliases/live").json["version"] == 2


def test_errors_of_pages_are_pages(client: StrictClient) -> None:
    assert "There is no model" in page(client.get("/ui/models/nobody"), 404)
    page(client.get("/ui/models/nobody/versions/1"), 404)
    page(client.get("/ui/nothing"), 404)
    page(client.post("/ui/models", json={}), 415)
    assert client.get("/models/nobody").mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}],
)
def test_pages_of_other_sites_cannot_use_the_forms(iris: StrictClient, headers: dict[str, str]) -> None:
    iris.put_model("iris", models.iris(), 2)
    for address, data in (
        ("/ui/models/iris/aliases", {"alias": "live", "version": "2", "seen_live": "1"}),
        ("/ui/models/iris/aliases/live/rollback", {}),
        ("/ui/models", {"name": "x", "file": (io.BytesIO(b"x"), "x")}),
        ("/ui/login", {"token": "x"}),
    ):
        page(iris.post(address, data=data, headers=headers, content_type=None if "file" in data else
                       "application/x-www-form-urlencoded"), 403)  # fmt: skip
    assert iris.get("/models/iris/aliases/live").json["version"] == 1


@pytest.fixture
def guarded(settings: Any, pool: Any) -> Any:
    app = create_app(msgspec.structs.replace(settings, token="open sesame", token_for_reads=True), pool)
    yield StrictClient(app)
    app.catalog.registry.close()


def test_whoever_knows_the_token_gets_a_session_and_may_what_the_token_may(guarded: StrictClient) -> None:
    said = page(guarded.get("/ui/models/iris?x=1"), 401)
    assert 'name="next" value="/ui/models/iris"' in said
    assert "no token of this server" in page(guarded.post("/ui/login", data={"token": "wrong"}), 401)
    assert guarded.get("/models").status_code == 401
    for address in ("/ui", "/ui/models/iris", "/openapi.json", "/models/iris/versions/1/openapi.json"):
        assert guarded.get(address).status_code == 401, address
    for address in ("/healthz", "/ui/login", "/ui/static/pages.css"):
        assert guarded.get(address).status_code == 200, address
    assert guarded.get("/", headers=HTML).headers["Location"] == "/ui"
    done = guarded.post("/ui/login", data={"token": "open sesame", "next": "/ui/models/iris"})
    assert (done.status_code, done.headers["Location"]) == (303, "/ui/models/iris")
    cookie = done.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "open sesame" not in cookie
    assert guarded.get("/models").status_code == 200
    assert guarded.put_model("line", models.line()).status_code == 201
    guarded.post("/ui/logout", data={})
    assert guarded.get("/models").status_code == 401


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "https://evil.example", "/ui\\evil", "/models", "", "/ui\r\nX: y", "/ui/../x", "/ui?x"],
)
def test_a_login_leads_to_our_own_pages_only(guarded: StrictClient, address: str) -> None:
    done = guarded.post("/ui/login", data={"token": "open sesame", "next": address})
    assert done.headers["Location"] == "/ui"


def test_a_session_ends_and_cannot_be_made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = Sessions(tmp_path / "key")
    value = made.cookie("ann", "what is known of her token")
    (found,) = made.holders(f"other=1; {sessions.COOKIE}={value}")
    assert found == ("ann", value)
    known = "what is known of her token"
    assert Sessions(tmp_path / "key").verify(value, known)
    assert not made.verify(value, "another")
    assert not Sessions(tmp_path / "another key").verify(value, known)
    holder, salt, until, signature = value.split(".")
    for forged in (
        "",
        "x",
        f"{holder}.{salt}.{int(until) + 9}.{signature}",
        f"ben.{salt}.{until}.{signature}",
        f"{holder}.{salt}.{until}.{signature[:-1]}",
        f"..{signature}",
        "é.é.é",
        "9" * 99,
    ):
        assert not made.verify(forged, known)
    assert made.holders('a="') == []
    monkeypatch.setattr(sessions.time, "time", lambda: int(until) + 1.0)
    assert not made.verify(value, known)


def test_a_key_that_was_written_in_part_is_made_anew_and_processes_share_one(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"x")
    made = Sessions(tmp_path / "key")
    value = made.cookie("ann", "known")
    assert len((tmp_path / "key").read_bytes()) == sessions.KEY_BYTES
    assert Sessions(tmp_path / "key").verify(value, "known")
    others = [Sessions(tmp_path / "shared") for _ in range(4)]
    threads = [threading.Thread(target=other.cookie, args=("ann", "known")) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({other._key for other in others}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "shared"]


def test_a_cookie_is_for_this_site_alone_and_no_script() -> None:
    response = Response()
    sessions.begin(response, "ann.1.x", secure=True)
    flags = response.headers["Set-Cookie"]
    assert all(flag in flags for flag in ("Secure", "HttpOnly", "SameSite=Strict"))


def test_examples_show_how_well_a_version_does(iris: StrictClient) -> None:
    features, species = load_iris(return_X_y=True)
    expected = species[::3].tolist()
    expected[0] = 2
    iris.put("/models/iris/versions/1/examples?x", json={})
    iris.put_model("iris", models.iris(), 2, class_names=",".join(models.SPECIES))
    form = {
        "file": (io.BytesIO(models.skops_bytes(models.iris())), "m"),
        "examples": (
            io.BytesIO(msgspec.json.encode({"instances": features[::3].tolist(), "predictions": expected})),
            "e",
        ),
        "class_names": ",".join(models.SPECIES),
    }
    assert iris.put("/models/iris/versions/3", data=form).status_code == 201
    said = page(iris.get("/ui/models/iris/versions/3"))
    assert "On its 50 examples" in said
    assert "Labels as expected</dt><dd>98.0 %" in said
    assert '<th scope="row">virginica</th><td>1</td>' in said
    drawn = bool(pytest.importorskip("matplotlib"))
    assert ('aria-label="Expected labels against answered ones"' in said) == drawn
    assert said.count("<svg xmlns") == 2 or said.count("<svg ") == 2


def test_residuals_are_shown_for_numbers(client: StrictClient) -> None:
    features, target = load_diabetes(return_X_y=True)
    regressor = LinearRegression().fit(features, target)
    client.put_model("diabetes", regressor)
    rounded = regressor.predict(features[:40]).round().tolist()
    body = {"instances": features[:40].tolist(), "predictions": rounded, "tolerance": 1}
    assert client.put("/models/diabetes/versions/1/examples", json=body).status_code == 200
    said = page(client.get("/ui/models/diabetes/versions/1"))
    assert "Mean absolute error" in said
    assert "Distribution: prediction" in said


def test_evidence_speaks_of_classes_as_they_are_named_now(iris: StrictClient) -> None:
    features, species = load_iris(return_X_y=True)
    body = {"instances": features[::9].tolist(), "predictions": species[::9].tolist()}
    iris.put("/models/iris/versions/1/examples", json=body)
    address = "/ui/models/iris/versions/1"
    assert '<th scope="row">setosa</th>' in page(iris.get(address))
    iris.put("/models/iris/versions/1", json={"class_names": ["one", "two", "three"]})
    assert '<th scope="row">one</th>' in page(iris.get(address))


def test_no_page_waits_for_the_pictures_of_another(app: Application, iris: StrictClient) -> None:
    pytest.importorskip("matplotlib")
    features, species = load_iris(return_X_y=True)
    body = {"instances": features[::9].tolist(), "predictions": species[::9].tolist()}
    iris.put("/models/iris/versions/1/examples", json=body)
    with app.pool.apart(Role.READER, PATIENCE):  # as a page has it whose pictures are drawn
        said = page(iris.get("/ui/models/iris/versions/1"))
    assert "On its 17 examples" in said
    assert "The pictures wait until those of another page are drawn." in said
    assert "<svg " not in said
    assert "<svg " in page(iris.get("/ui/models/iris/versions/1"))


def test_the_history_of_a_page_ends_with_what_was_newest(iris: StrictClient) -> None:
    iris.put_model("iris", models.iris(), 2)
    for turn in range(EVENTS + 1):
        moved = iris.put(f"/models/iris/aliases/turning?version={1 + turn % 2}&reason=turn%20{turn}.")
        assert moved.status_code < 300
    said = page(iris.get("/ui/models/iris"))
    assert said.index(f"turn {EVENTS}.") < said.index(f"turn {EVENTS - 1}.")
    assert "turn 0." not in said


def test_line_breaks_reach_the_model_as_they_were_typed(people: StrictClient) -> None:
    """A browser sends each as CRLF."""
    fields = {"age": "31", "visits": "2", "city": "Oslo", "note": "all\r\ngood"}
    said = page(people.post(f"{VERSION}/predict", data=fields))
    assert 'rows="3"> all good</textarea>' in said
    assert "all\ngood" in html.unescape(people.post(f"{VERSION}/predict", data=fields).text)


SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f'{SVG}<script>alert(1)</script><path d="M0 0" onload="x()"/></svg>', "<path d="),
        (f'{SVG}<foreignObject/><a href="javascript:x"/></svg>', "<svg"),
        (f'{SVG}<use xlink:href="http://evil/x"/></svg>', "<use />"),
        (f'{SVG}<path style="fill: url(http://evil/x); stroke: #000000"/></svg>', "currentColor"),
        (f'{SVG}<path fill="URL(http://evil/x)" d="M0"/></svg>', 'fill="none"'),
        (f'{SVG}<path fill="u\\72l(http://evil/x)" d="M0"/></svg>', 'fill="none"'),
        (f"{SVG}{'<g>' * 500}<path/>{'</g>' * 500}</svg>", "<g"),
        ("<html/>", ""),
        ("no picture", ""),
        ("", ""),
        ("<svg>" * 500_000, ""),
    ],
)
def test_pictures_are_shapes_and_words_only(given: str, kept: str) -> None:
    clean = cleaned(given, "A <title>", "p-")
    assert kept in clean
    for word in ("script", "onload", "foreignObject", "javascript", "evil", "style"):
        assert word not in clean


def test_the_files_of_pages_are_ours_alone(client: StrictClient) -> None:
    assert client.get("/ui/static/pages.css").mimetype == "text/css"
    for address in ("/ui/static/secret", "/ui/static/..", "/docs/core.py", "/ui/static/PAGES.css"):
        assert client.get(address).status_code == 404


def test_the_api_page_comes_from_this_server(iris: StrictClient) -> None:
    pytest.importorskip("swagger_ui")
    for address in ("/docs", "/models/iris/versions/1/docs"):
        answer = iris.get(address)
        assert (answer.status_code, answer.mimetype) == (200, "text/html")
        assert not re.search(r"https?://", answer.text)
    assert iris.get("/docs/swagger-ui-bundle.js").mimetype == "text/javascript"
    assert iris.get("/models/nobody/versions/1/docs").status_code == 404
