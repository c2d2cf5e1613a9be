"""Downloads, from a server on this machine that can cut connections, lie and refuse."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from voxtrace.checkpoints import Registered, hash_note, pull
from voxtrace.errors import CheckpointError, ModelError

CONTENT = bytes(range(256)) * 600 + b"end"
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every path but /missing; breaks off the first `cuts` answers after `cut_after` bytes."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.cuts, self.cut_after, self.etag, self.ranges = 0, 50_000, '"one"', []

    def handle_error(self, request, client_address):
        pass


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server: Server = self.server
        server.ranges.append(self.headers.get("Range"))
        if self.path == "/missing":
            return self.send_error(404)
        start = self._start()
        if start >= len(CONTENT):
            return self.send_error(416)
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.etag)
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            body = body[: server.cut_after]
        self.wfile.write(body)

    def _start(self):
        asked = self.headers.get("Range")
        unchanged = self.headers.get("If-Range", self.server.etag) == self.server.etag
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked and unchanged else 0

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()  # seconds until it sees an end
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def model(server, monkeypatch, tmp_path):
    """A function that registers a file of the server's."""
    monkeypatch.setenv("VOXTRACE_HOME", str(tmp_path))
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)

    def registered(path="net.pt", sha256=HASH):
        url = f"http://127.0.0.1:{server.server_port}/{path}"
        return Registered("net", "edgetam", 512, "Apache-2.0", "net.md", url=url, file="net.pt", sha256=sha256)

    return registered


def test_a_file_arrives_whole_and_without_leftovers(model):
    path = pull(model())
    assert path.read_bytes() == CONTENT
    assert [found.name for found in path.parent.iterdir()] == ["net.pt"]


def test_progress_ends_at_the_size_of_the_file(model):
    seen = []
    pull(model(), lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_cut_connection_is_taken_up_where_it_broke(server, model):
    server.cuts = 1
    assert pull(model()).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=50000-"]


def test_what_came_is_kept_for_the_next_call_when_every_attempt_is_cut(server, model):
    server.cuts, server.cut_after = 4, 10_000
    with pytest.raises(CheckpointError, match="40000 bytes are kept"):
        pull(model())
    assert pull(model()).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=40000-"


def test_a_part_of_an_older_version_is_not_continued_with_the_new_one(server, model):
    server.cuts = 4
    server.cut_after = 10_000
    with pytest.raises(CheckpointError):
        pull(model())
    server.etag = '"two"'
    assert pull(model()).read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_the_file_set_aside(model):
    registered = model(sha256="0" * 64)
    with pytest.raises(CheckpointError, match=f"its sha256 is {HASH}, not 0000"):
        pull(registered)
    assert not registered.path.exists()
    assert registered.path.with_name("net.pt.rejected").read_bytes() == CONTENT


def test_a_file_that_lies_there_with_another_hash_is_refused_and_left_alone(model):
    registered = model()
    registered.path.parent.mkdir(parents=True)
    registered.path.write_bytes(b"mine")
    with pytest.raises(CheckpointError, match="left as it is"):
        pull(registered)
    assert registered.path.read_bytes() == b"mine"


def test_a_file_that_is_there_is_not_fetched_again(server, model):
    pull(model())
    pull(model())
    assert len(server.ranges) == 1


def test_an_unknown_hash_is_recorded_beside_the_file_and_said(model):
    registered = model(sha256="")
    path = pull(registered)
    recorded = json.loads(path.with_name("net.pt.json").read_text())
    assert (recorded["sha256"], recorded["image_size"]) == (HASH, 512)
    assert "knows no hash" in hash_note(registered)


def test_a_recorded_hash_holds_from_then_on(model):
    registered = model(sha256="")
    pull(registered).write_bytes(b"changed")
    with pytest.raises(CheckpointError, match=f"not {HASH}"):
        pull(registered)


def test_a_file_that_is_gone_from_the_server_is_named(model):
    with pytest.raises(CheckpointError, match="net was not found there: http://127"):
        pull(model("missing"))


def test_without_a_network_the_way_out_is_said(server, model):
    registered = model()
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match="Without a network: download"):
        pull(registered)


def test_pulling_an_unknown_name_names_the_near_ones():
    with pytest.raises(ModelError, match="did you mean litemedsam"):
        pull("litemedsan")
