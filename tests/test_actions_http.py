from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from action_support import mistake, perform

from assistant.actions.limits import OUTPUT_LIMIT
from assistant.types import ActionStatus

URL = "http://localhost/x"
NASTY = "a'b\"c; $(touch x) `id` {other} {{x}} %s \\ \n && * -- é 名"


@dataclass
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: str


class Server(ThreadingHTTPServer):
    """Keeps what it is asked; the first part of the path chooses the answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self.stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.requests.append(Request(self.command, self.path, dict(self.headers), body))
        if self.path.startswith("/silent"):
            self.server.stopped.wait()
            return
        if self.path.startswith("/elsewhere"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
        else:
            self.send_response(404 if self.path.startswith("/missing") else 200)
        self.end_headers()
        self.wfile.write(b"x" * 100_000 if self.path.startswith("/long") else b"fine")

    do_GET = do_POST
    do_PUT = do_POST

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


def test_json_values_stay_data_and_numbers_stay_numbers(server: Server) -> None:
    template = {
        "entity_id": "light.{room}",
        "level": "{level}",
        "half": "{half}",
        "room": "{room}",
        "more": [{"text": "{level} %", "fixed": True, "none": None}],
    }
    rule = {"http": {"url": server.url + "/set", "json": template}}
    result = perform(rule, room=NASTY, level=50, half=0.5)
    assert (result.status, result.output) == (ActionStatus.DONE, "fine")
    [request] = server.requests
    assert request.method == "POST"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "entity_id": f"light.{NASTY}",
        "level": 50,
        "half": 0.5,
        "room": NASTY,
        "more": [{"text": "50 %", "fixed": True, "none": None}],
    }


def test_url_values_are_percent_encoded_as_a_whole(server: Server) -> None:
    rule = {"http": {"url": server.url + "/rooms/{room}?at={time}", "method": "GET"}}
    assert perform(rule, room="a/b?c#d é&", time="1:30+x=y").status is ActionStatus.DONE
    assert server.requests[0].path == "/rooms/a%2Fb%3Fc%23d%20%C3%A9%26?at=1%3A30%2Bx%3Dy"


@pytest.mark.parametrize("value", [".", ".."])
def test_a_value_cannot_climb_in_the_path(server: Server, value: str) -> None:
    result = perform({"http": server.url + "/api/{value}/light"}, value=value)
    assert result.status is ActionStatus.FAILED
    assert "leads elsewhere" in result.description
    assert not server.requests


def test_an_address_alone_is_a_post_without_a_body(server: Server) -> None:
    assert perform({"http": server.url + "/hook"}).status is ActionStatus.DONE
    assert (server.requests[0].method, server.requests[0].body) == ("POST", "")


def header_rule(server: Server) -> dict[str, Any]:
    http = {
        "url": server.url + "/state",
        "headers": {"Authorization": "Bearer ${TOKEN}", "X-Fixed": "a $ b"},
        "environment": ["TOKEN"],
    }
    return {"http": http}


def test_headers_take_variables(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret{x}")
    result = perform(header_rule(server))
    assert server.requests[0].headers["Authorization"] == "Bearer s3cret{x}"
    assert server.requests[0].headers["X-Fixed"] == "a $ b"
    assert result.description == f"POST {server.url}/state with Authorization, X-Fixed"


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "header Authorization needs the environment variable TOKEN: set it"),
        ("", "header Authorization needs the environment variable TOKEN: set it"),
        ("s3cret\r\nX-Other: 1", "TOKEN has a line break or a letter no header may have"),
    ],
)
def test_a_bad_token_is_explained_and_not_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, token: str | None, message: str
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("TOKEN", token)
    result = perform(header_rule(server))
    assert result.status is ActionStatus.FAILED
    assert message in result.description
    assert "s3cret" not in result.description
    assert not server.requests


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://127.0.0.1:1/x", "/other"])
def test_redirects_are_reported_not_followed(server: Server, target: str) -> None:
    result = perform({"http": f"{server.url}/elsewhere?{target}"})
    assert result.status is ActionStatus.FAILED
    assert f"redirected to {target}; write that address" in result.description
    assert len(server.requests) == 1


def test_an_http_error_is_one_clear_line(server: Server) -> None:
    result = perform({"http": server.url + "/missing"})
    assert result.status is ActionStatus.FAILED
    assert result.description == f"test: POST {server.url}/missing: HTTP status 404 Not Found"


def test_a_silent_server_is_given_up(server: Server) -> None:
    result = perform({"http": {"url": server.url + "/silent", "timeout_s": 0.1}})
    assert result.status is ActionStatus.FAILED
    assert "no answer within 0.1 s" in result.description


def test_a_server_that_is_not_there() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/"
    result = perform({"http": url})
    assert result.status is ActionStatus.FAILED
    assert "Connection refused" in result.description


def test_a_long_answer_is_cut(server: Server) -> None:
    assert perform({"http": server.url + "/long"}).output == "x" * OUTPUT_LIMIT


def test_a_number_json_lacks(server: Server) -> None:
    result = perform({"http": {"url": server.url, "json": ["{x}"]}}, x=float("inf"))
    assert result.status is ActionStatus.FAILED
    assert "which JSON lacks" in result.description


def test_a_dry_run_describes_and_does_nothing(server: Server) -> None:
    rule = {"http": {"url": server.url + "/{a}", "json": {"n": "{n}"}}}
    result = perform(rule, execute=False, a="x y", n=3)
    assert result.status is ActionStatus.DRY_RUN
    assert result.description == f'POST {server.url}/x%20y {{"n": 3}}'
    assert not server.requests


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"http": "file:///etc/passwd"}, "write http://host/path or https://host/path"),
        ({"http": "{scheme}://host/"}, "write http://host/path or https://host/path"),
        ({"http": "http://{host}/"}, "the host may not depend on a slot"),
        ({"http": "http://host:80{port}/"}, "the host may not depend on a slot"),
        ({"http": "http://me:secret@host/"}, "write a host and its port; a password goes in"),
        ({"http": "http:///x"}, "write a host and its port"),
        ({"http": "http://host/a b"}, "percent-encode spaces and letters beyond ASCII"),
        ({"http": "http://host/{a}/é"}, "percent-encode spaces and letters beyond ASCII"),
        ({"http": {"url": URL, "method": "post"}}, "write GET, POST, PUT, PATCH or DELETE"),
        ({"http": {"url": URL, "method": "GET", "json": {}}}, "a GET has no body"),
        ({"http": {"url": URL, "json": {"{a}": 1}}}, "json: key '{a}': write fixed text"),
        ({"http": {"url": URL, "json": {"a": {True: 1}}}}, "json: key True: write fixed text"),
        ({"http": {"url": URL, "json": [{1, 2}]}}, "is nothing JSON knows: put it in quotes"),
        ({"http": {"url": URL, "timeout_s": -1}}, "http: timeout_s is -1: write seconds"),
        ({"http": {"url": URL, "headers": {"A": "{a}"}}}, "header A: no slots here"),
        ({"http": {"url": URL, "headers": {"A": "${a b}"}}}, "header A: no slots here"),
        ({"http": {"url": URL, "headers": {"A": "${B}"}}}, "write 'environment: [B]' to allow it"),
        ({"http": {"url": URL, "headers": {"A": 1}}}, "headers: A: expected str, found 1"),
        ({"http": {"url": URL, "headers": {"A": "x\ny"}}}, "header A: write one line of ASCII"),
        ({"http": {"url": URL, "headers": {"A:": "x"}}}, "header 'A:' is no header's name"),
        ({"http": {"url": URL, "headers": "x"}}, "headers: expected Mapping, found 'x'"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake(rule)
