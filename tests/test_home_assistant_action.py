"""`home_assistant`, with a server of the test's own in its place."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from action_support import describe, mistake, perform

from assistant.actions import parse_policy
from assistant.types import ActionStatus


class HomeAssistant(ThreadingHTTPServer):
    """Answers as Home Assistant does to one token."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.called: list[tuple[str, Any]] = []
        self.asked: list[str] = []
        self.changes = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: HomeAssistant

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = 200
        if not self.path.startswith("/api/services/"):
            status = 404
        elif self.headers["Authorization"] != "Bearer good":
            status = 401
        elif "/nothing/" in self.path:
            status = 400
        else:
            self.server.called.append((self.path, body))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'[{"entity_id": "light.hall"}]' if self.server.changes else b"[]")

    def do_GET(self) -> None:
        entity = self.path.removeprefix("/api/states/")
        self.server.asked.append(entity)
        self.send_response(200 if entity in ("light.hall", "light.den") else 404)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def home() -> Iterator[HomeAssistant]:
    with HomeAssistant() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_ASSISTANT_TOKEN", "good")
    monkeypatch.delenv("HOME_ASSISTANT_URL", raising=False)


def test_a_service_is_called(home: HomeAssistant) -> None:
    rule = {
        "service": "light.{state}",
        "entity": "{room}",
        "data": {"brightness_pct": "{level}", "effect": ["{state}", 1]},
        "url": home.url + "/",
    }
    result = perform({"home_assistant": rule}, state="turn_on", room="light.hall", level=40)
    assert (result.status, result.output) == (ActionStatus.DONE, "")
    expected = {"entity_id": "light.hall", "brightness_pct": 40, "effect": ["turn_on", 1]}
    assert home.called == [("/api/services/light/turn_on", expected)]


def test_several_entities_or_none_are_possible(home: HomeAssistant) -> None:
    both = {"service": "light.turn_off", "entity": ["light.a", "light.{b}"], "url": home.url}
    assert perform({"home_assistant": both}, b="x").status is ActionStatus.DONE
    none = {"service": "homeassistant.restart", "url": home.url}
    assert perform({"home_assistant": none}).status is ActionStatus.DONE
    assert [body for _, body in home.called] == [{"entity_id": ["light.a", "light.x"]}, {}]


@pytest.mark.parametrize(
    ("entity", "asked", "missing"),
    [
        ("light.hall", ["light.hall"], None),
        ("Light.Hall, light.den", ["light.hall", "light.den"], None),
        (["light.den", "light.attic"], ["light.den", "light.attic"], "light.attic"),
        ("{room}", ["light.none/../den"], "light.none/../den"),
        ("all", [], None),
        (None, [], None),
    ],
)
def test_an_entity_that_is_not_there_is_said_where_nothing_has_changed(
    home: HomeAssistant, entity: Any, asked: list[str], missing: str | None
) -> None:
    rule = {"service": "light.turn_on", "entity": entity, "url": home.url}
    assert perform({"home_assistant": rule}, room="light.none/../den").status is ActionStatus.DONE
    assert not home.asked
    home.changes = False
    result = perform({"home_assistant": rule}, room="light.none/../den")
    assert [urllib.parse.unquote(entity) for entity in home.asked] == asked
    assert result.status is (ActionStatus.FAILED if missing else ActionStatus.DONE)
    assert ("has no" in result.description) == bool(missing)
    assert (missing or "") in result.description


@pytest.mark.parametrize("value", ["..", "turn_on/../../config", "turn_on?x=1"])
def test_a_value_reaches_nothing_but_a_service(home: HomeAssistant, value: str) -> None:
    perform({"home_assistant": {"service": "light.{state}", "url": home.url}}, state=value)
    assert all(path.startswith("/api/services/light/turn_on%") for path, _ in home.called)


def test_another_variable_may_have_the_token(
    home: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME_ASSISTANT_TOKEN")
    monkeypatch.setenv("OTHER", "good")
    rule = {"service": "light.toggle", "url": home.url, "environment": ["OTHER"]}
    assert perform({"home_assistant": rule}).status is ActionStatus.DONE


def test_a_token_that_is_wrong_or_absent_is_said(
    home: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = {"home_assistant": {"service": "light.toggle", "url": home.url}}
    monkeypatch.setenv("HOME_ASSISTANT_TOKEN", "bad-token")
    result = perform(rule)
    assert result.status is ActionStatus.FAILED
    assert "the token in HOME_ASSISTANT_TOKEN is not valid: make a new one" in result.description
    assert "bad-token" not in result.description
    monkeypatch.delenv("HOME_ASSISTANT_TOKEN")
    assert "needs the environment variable HOME_ASSISTANT_TOKEN" in perform(rule).description


def test_errors_are_told_apart(home: HomeAssistant) -> None:
    unknown = {"service": "nothing.here", "url": home.url}
    assert (
        "it knows no service nothing.here, or its"
        in perform({"home_assistant": unknown}).description
    )
    elsewhere = {"service": "light.toggle", "url": home.url + "/other"}
    said = perform({"home_assistant": elsewhere}).description
    assert "what answers there is not Home Assistant" in said
    assert "(404)" in said
    nobody = {"service": "light.toggle", "url": "http://127.0.0.1:1"}
    assert perform({"home_assistant": nobody}).description == (
        "test: Home Assistant does not run at http://127.0.0.1:1 (connection refused): start it, "
        "or write its address as 'url', or set HOME_ASSISTANT_URL"
    )


def test_a_variable_says_where_it_is(home: HomeAssistant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_ASSISTANT_URL", home.url)
    assert perform({"home_assistant": "light.toggle"}).status is ActionStatus.DONE
    elsewhere = {"service": "light.toggle", "url": "http://127.0.0.1:1"}
    assert "at http://127.0.0.1:1 " in perform({"home_assistant": elsewhere}).description


def test_a_variable_that_says_no_address_is_named_and_hinders_no_other(
    home: HomeAssistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME_ASSISTANT_URL", "homeassistant.local:8123")
    rules = {"test": {"home_assistant": "light.toggle"}, "other": {"log": "there"}}
    policy = parse_policy({"intents": rules}, "policy.yaml")
    said = "the variable HOME_ASSISTANT_URL is no address ('homeassistant.local:8123'): write http"
    assert said in policy.rules["test"][0].summary()
    result = perform(rules["test"])
    assert result.status is ActionStatus.FAILED
    assert said in result.description
    elsewhere = {"service": "light.toggle", "url": home.url}
    assert perform({"home_assistant": elsewhere}).status is ActionStatus.DONE


def test_a_dry_run_describes_without_the_token() -> None:
    assert describe({"home_assistant": {"service": "light.toggle", "entity": "all"}}) == (
        "POST http://localhost:8123/api/services/light/toggle with Authorization "
        '{"entity_id": "all"}'
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("light", "service 'light': write domain.service, as light.turn_on"),
        ("{domain}.toggle", "write domain.service"),
        ("light.turn_on/x", "write domain.service"),
        ({"service": "light.toggle", "entity": 5}, "entity 5: write a name, or a list"),
        ({"service": "light.toggle", "url": "localhost"}, "write http://host/path or https"),
        ({"service": "light.toggle", "url": "http://{host}"}, "the host may not depend on a slot"),
        ({"service": "light.toggle", "environment": []}, "write one variable, that has the token"),
        ({"service": "light.toggle", "environment": "T"}, "a list of names: write [T]"),
        (
            {"service": "light.toggle", "entity": "all", "data": {"entity_id": "x"}},
            "write the entity as 'entity' or in 'data', not as both",
        ),
        ({"service": "light.toggle", "timeout_s": 0}, "timeout_s is 0"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake({"home_assistant": rule})
