"""`home_assistant`: a service of Home Assistant, by its REST interface."""

from __future__ import annotations

import os
import re
import urllib.error
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ..errors import ActionError
from . import json_template
from .http import HttpAction
from .placeholders import Slots

TOKEN = "HOME_ASSISTANT_TOKEN"  # noqa: S105 - the variable's name
"""The variable that has the long-lived access token, where the policy names no other."""
ADDRESS = "HOME_ASSISTANT_URL"
"""The variable that says where Home Assistant is, where the policy does not."""
LOCALHOST = "http://localhost:8123"
"""Where it is if nothing says so."""


@dataclass(frozen=True)
class HomeAssistantAction:
    """Call a service, such as `light.turn_on`, for one entity or several.

    The token comes from an environment variable, never from the policy file: in Home Assistant make
    one in your profile, Security, Long-lived access tokens.
    """

    service: str
    """`domain.service`; placeholders after the dot only."""
    entity: object = None
    """`light.kitchen`, a list of them, or `all`; placeholders. None: the service has none."""
    data: Mapping[str, object] = field(default_factory=dict)
    """What else the service is told; placeholders as in the `json` of `http`."""
    url: str = ""
    """Where Home Assistant is; by default what HOME_ASSISTANT_URL says, or http://localhost:8123."""
    environment: Sequence[str] = (TOKEN,)
    """Name of the variable that has the token."""
    timeout_s: float = 5.0
    """Seconds to wait for the connection, for each part of the answer, and for its body."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_{}]+", self.service):
            raise ValueError(f"service {self.service!r}: write domain.service, as light.turn_on")
        if not isinstance(self.environment, str) and len(self.environment) != 1:
            raise ValueError(f"environment: write one variable, that has the token: [{TOKEN}]")
        if not (self.entity is None or isinstance(self.entity, str | list)):
            raise ValueError(f"entity {self.entity!r}: write a name, or a list of names")
        if "entity_id" in self.data and self.entity is not None:
            raise ValueError("write the entity as 'entity' or in 'data', not as both")
        self._request(self.url or LOCALHOST)  # what the variable says may be mended until then

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return self._request(self.url or LOCALHOST).templates()

    def describe(self, slots: Slots) -> str:
        """The request, without the token."""
        return self._request(self._address).describe(slots)

    def perform(self, slots: Slots) -> str:
        """Call it; returns nothing: the answer is the new state of all that changed."""
        request = self._request(self._address)
        try:
            answer = request.perform(slots)
        except ActionError as error:
            raise ActionError(self._explained(error)) from error
        if answer.strip() == "[]":  # nothing has changed, perhaps since there is no such entity
            for entity in self._entities(slots):
                self._find(entity)
        return ""

    @property
    def _address(self) -> str:
        """Where Home Assistant is.

        Raises:
            ActionError: the variable says no address.
        """
        named = os.environ.get(ADDRESS)
        if self.url or not named:
            return self.url or LOCALHOST
        try:
            HttpAction(named)
        except ValueError as error:
            raise ActionError(
                f"the variable {ADDRESS} is no address ('{named}'): write {LOCALHOST}"
            ) from error
        return named

    def _request(self, address: str) -> HttpAction:
        domain, _, service = self.service.partition(".")
        entities = {} if self.entity is None else {"entity_id": self.entity}
        body = {**entities, **self.data}
        return self._to(address, f"services/{domain}/{service}", method="POST", json=body)

    def _to(self, address: str, path: str, **options: Any) -> HttpAction:
        return HttpAction(
            f"{address.rstrip('/')}/api/{path}",
            headers={"Authorization": f"Bearer ${{{next(iter(self.environment), TOKEN)}}}"},
            environment=self.environment,
            timeout_s=self.timeout_s,
            **options,
        )

    def _entities(self, slots: Slots) -> Iterator[str]:
        """The entities by name; `all` and `none` are not."""
        found = json_template.fill(self.data.get("entity_id", self.entity), slots)
        for names in found if isinstance(found, list) else [found]:
            for name in str(names or "").split(","):
                if "." in name:
                    yield name.strip().lower()

    def _find(self, entity: str) -> None:
        """Home Assistant calls a service for an entity that it does not have as well.

        Raises:
            ActionError: it does not have it.
        """
        try:
            self._to(self._address, "states/{entity}", method="GET").perform({"entity": entity})
        except ActionError as error:
            cause = error.__cause__
            if isinstance(cause, urllib.error.HTTPError) and cause.code == HTTPStatus.NOT_FOUND:
                raise ActionError(
                    f"Home Assistant at {self._address} has no {entity}: its Settings, Devices & "
                    "services, Entities say what it is called"
                ) from error

    def _explained(self, error: ActionError) -> str:
        """What an error of the request means for who uses Home Assistant."""
        cause = error.__cause__
        if isinstance(cause, urllib.error.HTTPError):
            meaning = {
                400: f"it knows no service {self.service}, or its entity or data do not fit",
                401: f"the token in {self.environment[0]} is not valid: make a new one in your "
                "profile, Security, Long-lived access tokens",
                403: "it refuses this machine: see 'ip_ban_enabled' of its http integration",
                404: "what answers there is not Home Assistant, or its API is off: look at 'url', "
                "and at 'api:' in its configuration",
            }
            if cause.code in meaning:
                return f"Home Assistant at {self._address}: {meaning[cause.code]} ({cause.code})"
        if isinstance(getattr(cause, "reason", None), ConnectionRefusedError):
            return (
                f"Home Assistant does not run at {self._address} (connection refused): start it, "
                f"or write its address as 'url', or set {ADDRESS}"
            )
        return str(error)
