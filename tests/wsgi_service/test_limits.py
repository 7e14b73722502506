"""What a model may cost: memory, time, its own process; and never another model's answer."""

import io
import pickle
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import models
import numpy as np
import pytest
import toys
from conftest import PATIENCE, StrictClient

from wsgi_service.app import create_app
from wsgi_service.hosts.isolation import starter
from wsgi_service.hosts.pool import HostPool
from wsgi_service.settings import Settings

pytestmark = [pytest.mark.system, pytest.mark.hosts]

MEMORY = 600 << 20
STARTUP = PATIENCE


@pytest.fixture(scope="module")
def small_pool(template: str) -> Iterator[HostPool]:
    """Hosts that may be killed, with little memory."""
    hosts = HostPool(2, startup_limit=STARTUP, memory=MEMORY, starts=starter(template=template))
    hosts.start()
    assert hosts.wait_ready()
    yield hosts
    hosts.close()


@pytest.fixture
def service(folder: Path, small_pool: HostPool) -> Iterator[Any]:
    app = create_app(Settings(data=str(folder), allow_pickle=True, predict_deadline=2.0), small_pool)
    yield app
    app.catalog.registry.close()


@pytest.fixture
def moody(service: Any) -> StrictClient:
    """A client of a service with a good model and one that misbehaves."""
    client = StrictClient(validator(service))
    assert client.put_model("good", models.line()).status_code == 201
    assert client.put_model("moody", pickle.dumps(toys.Moody().fit([[1.0]]))).status_code == 201
    return client


def ask(client: StrictClient, model: str, number: float) -> Any:
    return client.post(f"/models/{model}/predict", json={"instances": [[number]]})


def serving(pool: HostPool) -> set[int]:
    """The numbers of the hosts that serve."""
    with pool.serving("one", PATIENCE) as one, pool.serving("another", PATIENCE) as another:
        return {one.pid, another.pid}


def test_three_crashes_are_a_quarantine_that_somebody_lifts(moody: StrictClient, service: Any) -> None:
    """Row F30: it crashes on certain rows only."""
    for _ in range(3):
        assert ask(moody, "moody", 5.0).json["predictions"] == [5.0]
        answer = ask(moody, "moody", toys.CRASH)
        assert (answer.status_code, answer.json["type"]) == (502, "/problems/model-crashed")
        assert ask(moody, "good", 1.0).status_code == 200
    answer = ask(moody, "moody", 5.0)
    assert (answer.status_code, answer.json["type"]) == (503, "/problems/model-quarantined")
    assert "DELETE /models/moody/versions/1/quarantine" in answer.json["detail"]
    assert moody.get("/models/moody/versions/1").json["state"] == "quarantined"
    actions = [event.action for event in service.catalog.registry.events("moody")]
    assert (actions.count("crash"), actions.count("quarantine")) == (3, 1)
    assert moody.delete("/models/moody/versions/1/quarantine").status_code == 204
    assert ask(moody, "moody", 5.0).json["predictions"] == [5.0]
    assert moody.delete("/models/moody/versions/1/quarantine").status_code == 404
    assert ask(moody, "moody", toys.CRASH).status_code == 502
    # What happened before the quarantine was lifted does not count again.
    assert moody.get("/models/moody/versions/1").json["state"] == "ready"


def test_a_version_that_crashed_is_kept_off_the_hosts_of_the_others(
    moody: StrictClient, small_pool: HostPool
) -> None:
    ask(moody, "moody", toys.CRASH)
    before = serving(small_pool)
    ask(moody, "moody", toys.CRASH)
    assert ask(moody, "good", 1.0).status_code == 200
    assert serving(small_pool) == before


def test_a_hang_is_a_504_and_others_are_answered_meanwhile(moody: StrictClient) -> None:
    statuses: list[int] = []
    hanging = threading.Thread(target=lambda: statuses.append(ask(moody, "moody", toys.HANG).status_code))
    hanging.start()
    answered = [ask(moody, "good", 1.0).status_code for _ in range(20)]
    hanging.join(PATIENCE)
    assert (statuses, set(answered)) == ([504], {200})


def test_a_predict_that_needs_too_much_memory_is_a_507(moody: StrictClient) -> None:
    """Row F24: a result of a gigabyte where 450 MB are allowed."""
    answer = ask(moody, "moody", toys.EAT)
    assert (answer.status_code, answer.json["type"]) == (507, "/problems/out-of-memory")
    assert ask(moody, "good", 1.0).status_code == 200


def test_models_that_were_not_used_for_longest_make_room(moody: StrictClient, small_pool: HostPool) -> None:
    for name in ("a", "b", "c", "d"):
        large = pickle.dumps(toys.Moody(fill=100 << 20).fit([[1.0]]))[:-1] + b"."
        assert moody.put_model(name, large).status_code == 201
        assert ask(moody, name, 1.0).status_code == 200
    with small_pool.serving("one", PATIENCE) as one, small_pool.serving("another", PATIENCE) as another:
        for host in (one, another):
            assert sum(host.loaded.values()) <= small_pool.share
    assert ask(moody, "a", 2.0).json["predictions"] == [2.0]


def test_a_file_that_needs_many_times_its_size_to_be_read_is_refused(
    client: StrictClient, left_behind: Any
) -> None:
    """Promise P5: it is small enough to be no bomb, and too large for what checking it may use."""
    noise = np.random.default_rng(0).bytes(8 << 20)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in (
            ("coef", np.zeros(100_000)),
            ("mean", np.frombuffer(noise, dtype=np.uint8)),
            ("scale", np.zeros((1, 320 << 20), dtype=np.uint8)),
        ):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array)
    answer = client.put_model("hungry", target.getvalue())
    assert (answer.status_code, answer.json["type"]) == (422, "/problems/unsafe-artifact")
    assert answer.json["safety"]["verdict"] == "refused"
    assert left_behind() == []


@pytest.mark.skipif(sys.platform == "win32", reason="the server watches from outside")
def test_a_check_that_computes_for_too_long_is_ended_by_the_system() -> None:
    program = (
        "from wsgi_service.hosts.limits import Allowance, limited\n"
        "with limited(Allowance(1 << 30, 0.1)):\n"
        "    while True: pass\n"
    )
    import signal

    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=PATIENCE)
    assert done.returncode == -signal.SIGXCPU


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is watched from outside, or not at all")
def test_a_check_that_takes_too_much_memory_fails_and_leaves_no_limit_behind() -> None:
    program = (
        "import numpy as np\n"
        "from wsgi_service.hosts.limits import Allowance, limited\n"
        "try:\n"
        "    with limited(Allowance(64 << 20, 100)):\n"
        "        np.ones(256 << 20, dtype=np.uint8)\n"
        "except MemoryError:\n"
        "    print(np.ones(256 << 20, dtype=np.uint8).nbytes)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=PATIENCE)
    assert done.stdout.split() == [str(256 << 20).encode()]
