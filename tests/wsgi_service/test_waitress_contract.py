"""What `server.py` and `parser.py` rely upon inside Waitress. A new release that breaks this must be looked at."""

import inspect
import re
from importlib import metadata

import pytest
from waitress import buffers, channel, parser, receiver, server, task, wasyncore
from waitress.adjustments import Adjustments

from wsgi_service.server.chunked import Chunks


def test_the_release_is_the_one_that_was_read() -> None:
    assert metadata.version("waitress").startswith("3.0.")


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (
            channel.HTTPChannel,
            [
                "service",
                "readable",
                "writable",
                "handle_read",
                "handle_close",
                "received",
                "send",
                "parser_class",
                "task_class",
                "error_task_class",
                "recv",
                "_flush_some",
                "_flush_some_if_lockable",
                "_flush_exception",
                "handle_write",
            ],
        ),
        (
            parser.HTTPRequestParser,
            ["parse_header", "received", "expect_continue", "completed", "error", "chunked", "body_rcv"],
        ),
        (server.TcpWSGIServer, ["accept", "maintenance", "pull_trigger", "set_reuse_addr", "channel_class"]),
        (task.WSGITask, ["finish"]),
        (task.ErrorTask, ["execute", "set_close_on_finish", "write"]),
        (task.ThreadedTaskDispatcher, ["set_thread_count", "shutdown"]),
        (buffers.OverflowableBuffer, ["_set_large_buffer", "overflowed"]),
        (buffers.TempfileBasedBuffer, ["newfile"]),
        (wasyncore, ["loop", "close_all"]),
    ],
)
def test_the_attributes_are_there(owner: object, names: list[str]) -> None:
    assert [name for name in names if not hasattr(owner, name)] == []


def test_receivers_keep_their_buffer_where_it_is_replaced() -> None:
    assert "self.buf = buf" in inspect.getsource(receiver.FixedStreamReceiver)


def test_our_receiver_of_chunks_has_what_is_asked_of_theirs() -> None:
    source = inspect.getsource(parser.HTTPRequestParser)
    assert set(re.findall(r"\bbr\.(\w+)|body_rcv\.(\w+)", source)) == {
        ("received", ""), ("error", ""), ("completed", ""), ("__len__", ""), ("", "getfile"), ("", "getbuf"),
    }  # fmt: skip
    theirs = receiver.ChunkedReceiver(None)
    assert all(
        hasattr(Chunks(None), name) for name in ("received", "error", "completed", "__len__", "getfile", "getbuf")
    )
    assert (theirs.error, theirs.completed) == (None, False)


def test_limits_are_read_from_the_parsers_own_adjustments_after_the_headers() -> None:
    source = inspect.getsource(parser.HTTPRequestParser.received)
    assert source.count("self.adj.max_request_body_size") == 2
    assert source.index("self.parse_header(header_plus)") < source.index("self.adj.max_request_body_size")


def test_idle_connections_are_looked_after_by_the_time_that_stands_there() -> None:
    source = inspect.getsource(server.BaseWSGIServer.readable)
    assert source.index("now >= self.next_channel_cleanup") < source.index("self.maintenance(now)")
    assert "channel.last_activity < cutoff" in inspect.getsource(server.BaseWSGIServer.maintenance)


def test_the_loop_takes_a_count_and_a_map() -> None:
    assert {"timeout", "use_poll", "map", "count"} <= inspect.signature(wasyncore.loop).parameters.keys()


def test_adjustments_take_what_is_set() -> None:
    Adjustments(
        ident=None,
        connection_limit=480,
        inbuf_overflow=1,
        max_request_header_size=1,
        clear_untrusted_proxy_headers=False,
    )


def test_what_is_written_waits_until_there_is_enough_of_it() -> None:
    assert Adjustments.send_bytes == 1
    assert "self.total_outbufs_len >= self.adj.send_bytes" in inspect.getsource(channel.HTTPChannel.write_soon)
    assert "self.finish()" in inspect.getsource(task.Task.service)
