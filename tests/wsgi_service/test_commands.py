"""The command line against a real server: what it prints, for people and for scripts."""

import json
import pickle
from pathlib import Path
from typing import Any

import models
import pytest
from click.testing import CliRunner, Result
from conftest import LiveServer
from sklearn.ensemble import RandomForestClassifier

from wsgi_service.cli import group

pytestmark = [pytest.mark.system, pytest.mark.extras, pytest.mark.live]


@pytest.fixture
def run(live_server: LiveServer) -> Any:
    def invoke(*arguments: str, **options: Any) -> Result:
        environment = {"WSGI_SERVICE_URL": live_server.url}
        return CliRunner().invoke(group, list(arguments), env=environment, **options)

    return invoke


@pytest.fixture
def iris_file(tmp_path: Path) -> str:
    path = tmp_path / "iris.skops"
    path.write_bytes(models.skops_bytes(models.iris()))
    return str(path)


def test_push_says_what_is_stored_what_is_live_and_how_to_switch(run: Any, iris_file: str) -> None:
    first = run("push", iris_file, "shown", "--class-names", "a,b,c")
    assert first.exit_code == 0, first.output
    assert "stored   shown version 1: Pipeline(StandardScaler, LogisticRegression)" in first.output
    assert "live     version 1" in first.output
    assert "switch" not in first.output
    second = run("push", iris_file, "shown")
    assert "live     version 1\nswitch   wsgi-service activate shown 2" in second.output
    assert "live     version 3" in run("push", iris_file, "shown", "--live").output


def test_push_is_quiet_in_a_pipe_and_json_for_scripts(run: Any, iris_file: str) -> None:
    done = run("push", iris_file, "scripted", "--version", "4", "--json")
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert (document["version"], document["live"]) == (4, 4)


def test_models_versions_activate_and_alias(run: Any, iris_file: str) -> None:
    run("push", iris_file, "walked")
    run("push", iris_file, "walked")
    assert "walked: live is version 2" in run("activate", "walked", "2").output
    assert "walked: test is version 1" in run("alias", "walked", "test", "1").output
    listed = run("models").output.splitlines()
    assert listed[0].split() == ["MODEL", "VERSIONS", "ALIASES", "DESCRIPTION"]
    assert ["walked", "2", "live=2,", "test=1"] in [line.split() for line in listed]
    assert run("versions", "walked").output.splitlines()[2].split()[:3] == ["2", "ready", "live"]
    assert [line.split()[:2] for line in run("alias", "walked").output.splitlines()[1:]] == [
        ["live", "2"],
        ["test", "1"],
    ]
    assert "deleted" in run("alias", "walked", "test", "--delete").output
    assert len(json.loads(run("alias", "walked", "--json").output)["aliases"]) == 1


def test_predict_from_an_argument_a_file_and_a_pipe(run: Any, iris_file: str, tmp_path: Path) -> None:
    run("push", iris_file, "asked", "--class-names", "a,b,c")
    body = '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
    (tmp_path / "rows.json").write_text(body, encoding="utf-8")
    for given in (
        run("predict", "asked", body),
        run("predict", "asked", f"@{tmp_path / 'rows.json'}"),
        run("predict", "asked", "-", input=body),
    ):
        assert given.output.splitlines() == ["# asked version 1, predict", "a"]
    assert json.loads(run("predict", "asked", body, "--version", "1", "--json").output)["predictions"] == [0]


def test_errors_are_lines_and_a_status(run: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.skops"
    bad.write_bytes(b"nothing")
    for arguments, words in (
        (("versions", "nobody"), "Error: There is no model 'nobody'."),
        (("push", str(bad), "bad"), "expected a .skops file"),
        (("predict", "nobody", "@no-such-file"), "no-such-file"),
        (("activate", "nobody", "1"), "There is no model"),
    ):
        done = run(*arguments)
        assert done.exit_code == 1
        assert words in done.output
        assert "Traceback" not in done.output


def test_wrong_rows_are_listed(run: Any, iris_file: str) -> None:
    run("push", iris_file, "rows")
    done = run("predict", "rows", '{"instances": [[1, 2, 3], [1, 2, 3, "x"]]}')
    assert "row 0: expected 4 columns, got 3" in done.output
    assert "row 1, column 'x3': expected a number, got text" in done.output


def test_without_a_server_the_message_says_how_to_start_one() -> None:
    done = CliRunner().invoke(group, ["models", "--server", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    assert "wsgi-service serve" in done.output


def test_convert_warns_and_writes_what_a_server_takes(run: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "model.pkl", tmp_path / "model.skops"
    source.write_bytes(pickle.dumps(models.iris()))
    done = run("convert", str(source), str(target))
    assert (done.exit_code, "executes" in done.stderr) == (0, True)
    assert run("push", str(target), "converted").exit_code == 0


def test_push_converts_a_pickle_only_when_it_is_told_to(run: Any, tmp_path: Path) -> None:
    source = tmp_path / "model.pkl"
    source.write_bytes(pickle.dumps(models.line()))
    refused = run("push", str(source), "trusted")
    assert (refused.exit_code, "wsgi-service convert" in refused.output) == (1, True)
    assert run("push", str(source), "trusted", "--trust-local").exit_code == 0


def test_convert_says_when_a_server_would_refuse(run: Any, tmp_path: Path) -> None:
    source, target = tmp_path / "list.pkl", tmp_path / "list.skops"
    source.write_bytes(pickle.dumps([1, 2]))
    assert "a server will refuse this file" in run("convert", str(source), str(target)).stderr
    source.write_bytes(b"no pickle")
    assert run("convert", str(source), str(target)).exit_code == 1


def test_inspect_prints_the_report_of_a_good_file(folder: Path) -> None:
    path = folder / "forest.skops"
    path.write_bytes(models.skops_bytes(RandomForestClassifier(2, n_jobs=4).fit([[0.0], [1.0]], [0, 1])))
    done = CliRunner().invoke(group, ["inspect", str(path)])
    assert done.exit_code == 0
    assert "verdict  accepted" in done.output
    assert "changed  n_jobs: Is None here, whatever the file says. [one-thread-only]" in done.output
    assert "class    sklearn.tree._tree.Tree" in done.output


def test_inspect_ends_with_1_for_a_file_that_is_refused(folder: Path) -> None:
    path = folder / "text.skops"
    path.write_bytes(b"hello")
    done = CliRunner().invoke(group, ["inspect", str(path), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.output)["safety"]["verdict"] == "refused"


def test_inspect_reads_a_pickle_only_when_it_is_told_to(folder: Path) -> None:
    path = folder / "line.pkl"
    path.write_bytes(pickle.dumps(models.line()))
    assert CliRunner().invoke(group, ["inspect", str(path)]).exit_code == 1
    done = CliRunner().invoke(group, ["inspect", str(path), "--allow-pickle"])
    assert (done.exit_code, "what-is-read-is-code" in done.output) == (0, True)


def test_lift_says_what_there_is_no_quarantine_of(run: Any, iris_file: str) -> None:
    run("push", iris_file, "healthy")
    done = run("lift", "healthy", "1")
    assert (done.exit_code, "not in quarantine" in done.output) == (1, True)


@pytest.fixture
def rows_file(tmp_path: Path) -> str:
    path = tmp_path / "rows.csv"
    path.write_text("x0,x1,x2,x3,prediction\n5.1,3.5,1.4,0.2,0\n6.7,3.0,5.2,2.3,2\n", encoding="utf-8")
    return str(path)


def test_push_takes_examples_and_activate_shows_what_was_checked(run: Any, iris_file: str, rows_file: str) -> None:
    run("push", iris_file, "proven")
    pushed = run("push", iris_file, "proven", "--examples", rows_file)
    assert pushed.exit_code == 0, pushed.output
    tried = run("activate", "proven", "2", "--dry-run").output.splitlines()
    assert tried[-1] == "proven: live is left where it is"
    done = run("activate", "proven", "2", "--reason", "newer").output.splitlines()
    assert done[1] == "  passed   examples: 2 examples are answered as expected."
    assert done[-1] == "proven: live is version 2"
    back = run("rollback", "proven", "--reason", "older was better")
    assert back.output == "proven: live went back from version 2 to 1\n"
    told = [line.split() for line in run("history", "proven").output.splitlines()]
    assert told[0] == ["TIME", "ACTOR", "ACTION", "WHAT", "REASON"]
    assert told[-1][1:] == ["anonymous", "roll-back", "live:", "2", "->", "1", "older", "was", "better"]


def test_a_switch_that_is_refused_says_why_and_force_moves_it(run: Any, iris_file: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"instances": [[5.1, 3.5, 1.4, 0.2]], "predictions": [1]}', encoding="utf-8")
    run("push", iris_file, "refused")
    run("push", iris_file, "refused", "--examples", str(wrong))
    refused = run("activate", "refused", "2")
    assert refused.exit_code == 1
    assert "failed   examples: 1 of 1 examples are answered otherwise than expected." in refused.output
    assert run("activate", "refused", "2", "--force").exit_code == 0
    assert run("history", "refused").output.splitlines()[-1].endswith("live: 1 -> 2 by force")


def test_compare_shows_agreement_and_confusion(run: Any, iris_file: str, tmp_path: Path) -> None:
    run("push", iris_file, "compared")
    run("push", iris_file, "compared")
    rows = tmp_path / "rows.csv"
    rows.write_text("5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n", encoding="utf-8")
    shown = run("compare", "compared", "live", "2", str(rows)).output.splitlines()
    assert shown[:2] == ["rows       2, version 1 against 2", "agreement  100.0000%"]
    assert [line.split() for line in shown[-3:]] == [["A", "\\", "B", "0", "2"], ["0", "1", "0"], ["2", "0", "1"]]
    (tmp_path / "rows.json").write_text("[[5.1, 3.5, 1.4, 0.2]]", encoding="utf-8")
    assert "rows       1" in run("compare", "compared", "1", "2", str(tmp_path / "rows.json")).output
    (tmp_path / "bad.json").write_text("[[", encoding="utf-8")
    assert "not valid JSON" in run("compare", "compared", "1", "2", str(tmp_path / "bad.json")).output


def test_check_backup_and_restore_work_beside_a_server(
    run: Any, live_server: LiveServer, iris_file: str, tmp_path: Path
) -> None:
    run("push", iris_file, "kept")
    data = str(live_server.folder)
    assert run("check", "--data", data).output == "nothing is wrong\n"
    copied = run("backup", str(tmp_path / "copy"), "--data", data)
    assert (copied.exit_code, copied.output) == (0, f"copied   {data} to {tmp_path / 'copy'}\n")
    assert run("restore", str(tmp_path / "copy"), "--data", str(tmp_path / "back")).exit_code == 0
    for path in (tmp_path / "back" / "blobs").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    broken = run("check", "--data", str(tmp_path / "back"))
    assert broken.exit_code == 1
    assert "wrong    damaged: kept version 1: Its bytes are damaged." in broken.output
    listed = run("check", "--data", str(tmp_path / "back"), "--json", "--repair")
    assert listed.exit_code == 1
    assert {flaw["kind"] for flaw in json.loads(listed.output)["flaws"]} == {"damaged"}
    lost = run("backup", str(tmp_path / "second"), "--data", str(tmp_path / "back"))
    assert (lost.exit_code, "damaged or gone" in lost.output) == (1, True)


def test_looking_after_a_folder_without_a_store_says_so(run: Any, tmp_path: Path) -> None:
    for arguments in (("check",), ("backup", str(tmp_path / "copy")), ("restore", str(tmp_path / "none"))):
        done = run(*arguments, "--data", str(tmp_path / "nothing"))
        assert done.exit_code == 1
        assert "There is no" in done.output
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "registry.db").write_bytes(b"this is no database" * 100)
    assert run("check", "--data", str(tmp_path / "bad")).exit_code == 1


def test_a_server_address_or_token_that_is_none_is_a_line(run: Any) -> None:
    for url in ("http://127.0.0.1:abc", "http://[::1", "ftp://x", "http://:80"):
        done = run("models", "--server", url)
        assert (done.exit_code, "must be like http://127.0.0.1:8080" in done.output) == (1, True), url
    runner = CliRunner()
    for token in ("a\nb", "\u00e9"):
        done = runner.invoke(group, ["models"], env={"WSGI_SERVICE_TOKEN": token})
        assert (done.exit_code, token in done.output, "Traceback" in done.output) == (1, False, False)


def test_what_others_wrote_does_not_reach_the_terminal_as_it_is(run: Any, iris_file: str) -> None:
    run("push", iris_file, "shouted")
    run("push", iris_file, "shouted")
    run("activate", "shouted", "2", "--reason", "a\nb\x1b[31m\u202ec")
    last = run("history", "shouted").output.splitlines()[-1]
    assert last.endswith(" a\\nb\\x1b[31m\\u202ec")


def test_compare_reads_json_as_windows_writes_it(run: Any, iris_file: str, tmp_path: Path) -> None:
    run("push", iris_file, "windows")
    for number, encoding in enumerate(("utf-8-sig", "utf-16")):
        path = tmp_path / f"{number}.json"
        path.write_text('{"instances": [[1, 2, 3, 4]]}', encoding=encoding)
        assert "rows       1" in run("compare", "windows", "1", "live", str(path)).output
    path.write_text("[" * 100_000, encoding="utf-8")
    assert "not valid JSON" in run("compare", "windows", "1", "live", str(path)).output
