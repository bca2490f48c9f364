"""`http`: one HTTP request."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import ActionError
from . import json_template
from .environment import VARIABLE, check_fixed_text, check_names, with_variables
from .limits import OUTPUT_LIMIT, check_timeout
from .placeholders import Slots, expand, without_placeholders


@dataclass(frozen=True)
class HttpAction:
    """Send one HTTP request, straight to the host (no proxy), following no redirect.

    A redirect would turn a POST into a GET and carry the token elsewhere; it is reported instead.
    """

    url: str
    """http or https; placeholders, percent-encoded, in the path and the query only."""
    method: str = "POST"
    """GET, POST, PUT, PATCH or DELETE."""
    json: object = None
    """Body. A text that is one placeholder alone takes the value as it is: a number stays one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Fixed text, and `${NAME}` for the variables of `environment`; no slots."""
    environment: Sequence[str] = ()
    """Names of the variables `headers` may use, for tokens."""
    timeout_s: float = 5.0
    """Seconds to wait for the connection, for each part of the answer, and for its body."""

    def __post_init__(self) -> None:
        _check_url(self.url)
        if self.method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            raise ValueError(f"method {self.method!r}: write GET, POST, PUT, PATCH or DELETE")
        if self.json is not None and self.method == "GET":
            raise ValueError("a GET has no body: write 'method: POST', or remove 'json'")
        json_template.check(self.json)
        check_timeout(self.timeout_s)
        check_names(self.environment)
        for name, value in self.headers.items():
            _check_header(name, value, self.environment)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return (self.url, *json_template.texts(self.json))

    def address(self, slots: Slots) -> str:
        """The URL with slot values in place, each of them percent-encoded as a whole.

        Raises:
            ActionError: a slot is absent, or its value would be `.` or `..` in the path.
        """
        url = expand(self.url, slots, encode=lambda text: urllib.parse.quote(text, safe=""))
        if {".", ".."} & set(urllib.parse.urlsplit(url).path.split("/")):
            raise ActionError(f"{url} has '.' or '..' as a part of its path, which leads elsewhere")
        return url

    def body(self, slots: Slots) -> str | None:
        """The JSON text to send; None without `json`.

        Raises:
            ActionError: a slot is absent, or a number is infinite or none.
        """
        if self.json is None:
            return None
        value = json_template.fill(self.json, slots)
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise ActionError("a number is infinite or no number, which JSON lacks") from error

    def describe(self, slots: Slots) -> str:
        """Method, address, body and the names of the headers, whose values may be secret."""
        headers = f"with {', '.join(self.headers)}" if self.headers else ""
        parts = (self.method, self.address(slots), headers, self.body(slots))
        return " ".join(part for part in parts if part)

    def perform(self, slots: Slots) -> str:
        """Send it; returns the body of the answer."""
        url, body = self.address(slots), self.body(slots)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        headers |= {n: _header(n, v) for n, v in self.headers.items()}
        request = urllib.request.Request(  # noqa: S310 - http or https, checked by _check_url
            url, body.encode() if body is not None else None, headers, method=self.method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
        try:
            with opener.open(request, timeout=self.timeout_s) as response:
                return _read_body(response, self.timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                raise ActionError(f"{self.method} {url}: {_how_it_answered(error)}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                reason = f"no answer within {self.timeout_s:g} s; raise 'timeout_s' if it is slow"
            raise ActionError(f"{self.method} {url}: {reason or type(error).__name__}") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _read_body(response: http.client.HTTPResponse, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    body = bytearray()
    while len(body) < OUTPUT_LIMIT and (chunk := response.read1(OUTPUT_LIMIT - len(body))):
        body += chunk
        if time.monotonic() >= deadline:
            raise TimeoutError
    return body.decode(errors="replace")


def _how_it_answered(error: urllib.error.HTTPError) -> str:
    if target := error.headers.get("Location"):
        return f"redirected to {target}; write that address in the policy if it is right"
    return f"HTTP status {error.code} {error.reason}"


def _header(name: str, template: str) -> str:
    """The value of header `name` with environment variables in place."""
    value = with_variables(f"header {name}", template)
    if not (value.isascii() and value.isprintable()):  # the text itself is a secret
        names = ", ".join(VARIABLE.findall(template))
        raise ActionError(f"{names} has a line break or a letter no header may have")
    return value


def _check_url(url: str) -> None:
    host = re.match(r"https?://([^/?#]*)", url)
    if not host:
        raise ValueError(f"url {url!r}: write http://host/path or https://host/path")
    if "{" in host[1] or "}" in host[1]:
        raise ValueError(f"url {url!r}: the host may not depend on a slot: write its name")
    if not re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", host[1], re.ASCII):
        raise ValueError(f"url {url!r}: write a host and its port; a password goes in 'headers'")
    if not re.fullmatch(r"[!-~]*", without_placeholders(url)):
        raise ValueError(f"url {url!r}: percent-encode spaces and letters beyond ASCII")


def _check_header(name: str, value: str, environment: Sequence[str]) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError(f"header {name!r} is no header's name")
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        raise ValueError(f"header {name}: write one line of ASCII text, in quotes")
    check_fixed_text(f"header {name}", value, environment)
