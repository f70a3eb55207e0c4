import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from tlhelpers.sources import network
from tlhelpers.sources.network import is_reachable

import pytest


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Know no host yet, and no proxy of the machine that runs the tests."""
    monkeypatch.setattr(network, "_known", {})
    monkeypatch.delenv("TL_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    """A server of our own that answers /<code> with that code, and counts."""

    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append((self.path, self.headers["Host"]))
            code = int(self.path.rsplit("/", 1)[1])
            self.send_response(code)
            self.end_headers()

        def log_message(self, *args):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=[0.01], daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", asked
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize(
    ("code", "answer"), [(200, True), (404, True), (403, False), (407, False), (503, False)]
)
def test_an_answer_counts_but_not_a_refusal(server, code, answer):
    assert is_reachable(f"{server[0]}/{code}") is answer


def test_a_host_is_asked_once(server):
    assert [is_reachable(f"{server[0]}/{code}") for code in (200, 503, 200)] == [True] * 3
    assert len(server[1]) == 1


def test_proxies_are_honoured(server, monkeypatch):
    monkeypatch.setenv("http_proxy", server[0])
    assert is_reachable("http://weights.example/200")
    assert server[1] == [("http://weights.example/200", "weights.example")]


def test_nothing_listens():
    assert not is_reachable("http://127.0.0.1:1/200")


def test_hanging_name_look_up_is_given_up(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(network, "_ask", lambda url, seconds: release.wait(30))
    assert is_reachable("weights.example", seconds=0.05) is False
    release.set()


def test_offline_asks_nothing(server, monkeypatch):
    monkeypatch.setenv("TL_OFFLINE", "1")
    assert not is_reachable(f"{server[0]}/200")
    monkeypatch.setenv("TL_OFFLINE", "0")
    assert server[1] == [] and is_reachable(f"{server[0]}/200")
