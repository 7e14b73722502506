"""What starts model hosts: forked, spawned, and the threads that stand for them in tests, all do the same."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from conftest import PATIENCE, watch
from fake_hosts import FakeHosts

from model_store.artifacts.local import digest_of
from model_store.safety import Policy
from wsgi_service.errors import Busy, DeadlineExceeded, ModelCrashed
from wsgi_service.hosts import frames
from wsgi_service.hosts.buffers import decode_results, encode_table
from wsgi_service.hosts.isolation import starter
from wsgi_service.hosts.pool import HostPool
from wsgi_service.hosts.process import Host
from wsgi_service.hosts.special_host import Role
from wsgi_service.hosts.starting import Starter
from wsgi_service.rows.tables import Table

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are not forked there")
MAKE: dict[str, Callable[[], Starter]] = {
    "forked": lambda: starter("fork"),
    "spawned": lambda: starter("spawn"),
    "threads": FakeHosts,
}
KINDS = [
    pytest.param("forked", marks=[LINUX, pytest.mark.hosts]),
    pytest.param("spawned", marks=[pytest.mark.system, pytest.mark.hosts]),
    "threads",
]


@pytest.fixture(scope="module", params=KINDS)
def starts(request: pytest.FixtureRequest) -> Iterator[Starter]:
    made = MAKE[request.param]()
    yield made
    made.close()


@pytest.fixture
def start(starts: Starter) -> Iterator[Callable[[], Host]]:
    """Starts a host that is ended after the test."""
    hosts: list[Host] = []

    def start_one() -> Host:
        hosts.append(Host(starts.start(0)))
        hosts[-1].wait_ready(PATIENCE)
        return hosts[-1]

    yield start_one
    for host in hosts:
        host.close()


def unload(host: Host) -> frames.Reply:
    """The shortest question that there is."""
    return host.call(frames.Unload("nothing"), [], PATIENCE)[0]


def test_a_host_answers_one_request_after_the_other_until_it_is_closed(start: Callable[[], Host]) -> None:
    host = start()
    assert [unload(host) for _ in range(3)] == [frames.Done()] * 3
    assert host.alive
    host.close()
    host.close()
    assert not host.alive


def test_a_call_of_a_host_that_was_killed_is_a_crash_of_its_own(start: Callable[[], Host]) -> None:
    host = start()
    host.kill()
    with pytest.raises(ModelCrashed):
        unload(host)
    assert not host.alive
    assert not host.lost


def test_a_host_that_does_not_answer_is_ended_at_its_deadline(start: Callable[[], Host]) -> None:
    """It is waited for in another thread, which the keeper looks after in a pool."""
    host = start()
    host.deadline = time.monotonic() - 1
    host.enforce_limits(time.monotonic())
    with pytest.raises(DeadlineExceeded):
        unload(host)
    assert not host.alive


def test_nothing_is_started_once_that_is_interrupted(request: pytest.FixtureRequest, starts: Starter) -> None:
    another = MAKE[request.node.callspec.params["starts"]]()
    another.interrupt()
    with pytest.raises(OSError, match="stopped"):
        another.start(0)
    another.close()
    assert starts.memory() >= 0


@pytest.fixture
def forked() -> Iterator[HostPool]:
    hosts = HostPool(2, startup_limit=PATIENCE)
    hosts.start()
    assert hosts.wait_ready()
    yield hosts
    hosts.close()


def template_of(host: Host) -> int:
    """The parent of a host."""
    return int(Path(f"/proc/{host.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[1])


@LINUX
@pytest.mark.hosts
def test_a_host_holds_nothing_but_its_pipes_and_the_log(forked: HostPool) -> None:
    with forked.serving("a", PATIENCE) as one, forked.serving("b", PATIENCE) as other:
        pipes: set[str] = set()
        for host in (one, other):
            held = [str(entry.readlink()) for entry in Path(f"/proc/{host.pid}/fd").iterdir()]
            mine = {name for name in held if name.startswith("pipe:")} - log_of(host)
            assert not any(name.startswith(("socket:", "anon_inode:")) for name in held)
            assert len(mine) == 2
            assert not pipes & mine
            pipes |= mine
        environment = Path(f"/proc/{one.pid}/environ").read_text(encoding="utf-8")
        assert "PYTEST_CURRENT_TEST" not in environment


def log_of(host: Host) -> set[str]:
    """What it prints to, which may be a pipe as well."""
    return {str(Path(f"/proc/{host.pid}/fd/{number}").readlink()) for number in (1, 2)}


@LINUX
@pytest.mark.hosts
def test_what_hosts_are_forked_from_has_one_thread_no_pandas_and_no_model(forked: HostPool) -> None:
    with forked.serving("a", PATIENCE) as host:
        template = template_of(host)
    assert len(list(Path(f"/proc/{template}/task").iterdir())) == 1
    assert "pandas" not in Path(f"/proc/{template}/maps").read_text(encoding="utf-8")
    assert int(Path(f"/proc/{template}/oom_score_adj").read_text()) < int(
        Path(f"/proc/{host.pid}/oom_score_adj").read_text()
    )


@LINUX
@pytest.mark.hosts
def test_when_the_template_ends_hosts_end_without_blame_and_others_come(forked: HostPool) -> None:
    with (
        forked.serving("a", PATIENCE) as host,
        forked.serving("b", PATIENCE) as other,
        forked.apart(Role.READER, PATIENCE) as reader,
    ):
        template = template_of(host)
        ended = [watch(one.pid) for one in (host, other, reader)]
        os.kill(template, signal.SIGKILL)
        assert all(has_ended() for has_ended in ended)
        for one in (host, other, reader):
            with pytest.raises(Busy, match="started again"):
                unload(one)
    for _ in range(2):
        with forked.serving("a", PATIENCE) as another, forked.apart(Role.READER, PATIENCE) as apart:
            assert unload(another) == unload(apart) == frames.Done()
            assert template_of(another) == template_of(apart) != template
    assert forked.figures().ended == 0


@LINUX
@pytest.mark.hosts
def test_a_host_is_not_asked_about_after_its_template(forked: HostPool) -> None:
    """Those that were idle are found dead one after the other, which must not take a while for each."""
    with forked.serving("a", PATIENCE) as host, forked.serving("b", PATIENCE) as other:
        template = template_of(host)
        ended = [watch(one.pid) for one in (host, other)]
    os.kill(template, signal.SIGKILL)
    assert all(has_ended() for has_ended in ended)
    with forked.serving("a", PATIENCE) as first, forked.serving("b", PATIENCE) as second:
        assert template_of(first) == template_of(second) != template
        assert not host.alive
        assert not other.alive
        assert (host.lost, other.lost) == (True, True)
        assert unload(first) == unload(second) == frames.Done()


@LINUX
@pytest.mark.hosts
def test_one_template_serves_several_processes_and_ends_the_hosts_of_one_that_has_gone() -> None:
    from wsgi_service.hosts.forking import Forker, TemplateProcess

    template = TemplateProcess()
    template.ensure()
    folder = template.path.parent
    first, second = Forker(template.path), Forker(template.path)
    hosts = [Host(first.start(0)), Host(second.start(0))]
    for host in hosts:
        host.wait_ready(PATIENCE)
    assert template_of(hosts[0]) == template_of(hosts[1])
    ended = watch(hosts[0].pid)
    first.close()
    assert ended()
    assert unload(hosts[1]) == frames.Done()
    for host in hosts:
        host.close()
    second.close()
    template.close()
    assert not folder.exists()


@LINUX
@pytest.mark.hosts
def test_hosts_that_are_forked_have_random_numbers_of_their_own(forked: HostPool, folder: Path) -> None:
    path = folder / "random.pickle"
    path.write_bytes(pickle.dumps(toys.Random()))
    with path.open("rb") as file:
        digest = digest_of(file)
    policy = Policy(allow_pickle=True)
    header, buffers = encode_table(Table(1, matrix=np.zeros((1, 1))))

    def draw(host: Host) -> Any:
        host.call(frames.Load("random", str(path), digest, "pickle", policy), [], PATIENCE)
        reply, answer = host.call(frames.Predict("random", ("predict",), header), buffers, PATIENCE)
        assert isinstance(reply, frames.Predicted)
        return tuple(decode_results(reply.outcomes, answer)[0].tolist())

    with forked.serving("a", PATIENCE) as one, forked.serving("b", PATIENCE) as other:
        drawn = {draw(one), draw(other)}
    assert len(drawn) == 2


HOLDER = """
import sys, threading
from pathlib import Path
from wsgi_service.hosts.isolation import starter
from wsgi_service.hosts.pool import HostPool
pool = HostPool(2, startup_limit=180, starts=starter(sys.argv[1]))
pool.start()
pool.wait_ready()
with pool.serving("x", 180) as host:
    print(host.pid, flush=True)
    threading.Event().wait(600)
"""


@pytest.mark.system
@pytest.mark.hosts
@pytest.mark.parametrize("isolation", [pytest.param("fork", marks=LINUX), "spawn"])
@pytest.mark.skipif(sys.platform not in ("linux", "win32"), reason="cannot wait for a process that is not a child")
def test_hosts_end_when_the_server_is_killed(isolation: str) -> None:
    """Also one that is at work and so does not see that its pipe is closed, and what it was forked from."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, isolation], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert holder.stdout
    pid = int(holder.stdout.readline())
    watched = [watch(pid)]
    if isolation == "fork":
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        watched.append(watch(int(stat.rsplit(")", 1)[1].split()[1])))
    holder.kill()
    holder.wait(PATIENCE)
    holder.stdout.close()
    assert all(has_ended() for has_ended in watched)
