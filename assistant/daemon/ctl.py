"""`assistant ctl`: asks the daemon, over its control socket. It loads nothing that takes long."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

TIMEOUT_S = 60.0
"""Seconds an answer may take, as while an action runs; a reload, which compiles, takes its time."""
CONNECT_TIMEOUT_S = 2.0

EPILOG = """\
examples:
  assistant ctl status
  assistant ctl talk start        while a key is held; 'talk stop' when it is released
  assistant ctl say "turn on the kitchen light"
  assistant ctl say --dry "dim the lights to 20 percent"
  assistant ctl yes               to a question; also no, undo
  assistant ctl events recognised action | jq '.text // .description'
  assistant --help                all other commands

exit codes: 0 answered, whatever came of an action (--json has its status); 1 refused; 2 misuse;
3 no daemon
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Send one request; return the exit code, as the epilog tells it."""
    options = _parser().parse_args(arguments)
    request = _request(options)
    try:
        with _connected(options.socket) as connection:
            lines = connection.makefile("r", encoding="utf-8")
            if options.command == "reload":
                connection.settimeout(None)
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(lines.readline() or "{}")
            if not answer.get("ok"):
                said = answer.get("error", "the daemon closed the connection")
                print(f"error: {said}", file=sys.stderr)  # noqa: T201
                return 1
            if options.command != "events":
                _show(options, answer)
                return 0
            connection.settimeout(None)
            for line in lines:
                if not _written(line):
                    break
    except ValueError:
        print(f"error: {options.socket} speaks another protocol", file=sys.stderr)  # noqa: T201
        return 3
    except OSError as error:
        print(f"error: {_no_daemon(options.socket, error)}", file=sys.stderr)  # noqa: T201
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def _written(line: str) -> bool:
    """Whether whoever reads standard output, such as `head`, still does."""
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # Or else Python tries again as it ends, and says so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def default_socket() -> str:
    """Where the control socket is, if nobody says otherwise."""
    named = os.environ.get("ASSISTANT_SOCKET", "")
    if named:
        return named
    return f"{default_folder()}/control.sock"


def default_folder() -> str:
    """Where the daemon's sockets are: in $XDG_RUNTIME_DIR, or a folder of the user's in /tmp."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return f"{runtime}/assistant"
    return f"/tmp/assistant-{os.getuid()}"  # noqa: S108 - `sockets` checks whose it is


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="assistant ctl",
        description="Ask the running daemon (assistant serve).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--socket",
        default=default_socket(),
        metavar="PATH|HOST:PORT",
        help="the control socket (default: %(default)s, or $ASSISTANT_SOCKET); over TCP the token "
        "is read from $ASSISTANT_TOKEN",
    )
    parser.add_argument("--json", action="store_true", help="the whole answer, as JSON")
    kinds = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        return kinds.add_parser(name, help=help_text, description=help_text)

    add("status", "what the daemon does at the moment")
    talk = add("talk", "push-to-talk: from start to stop is one utterance")
    talk.add_argument("do", nargs="?", default="toggle", choices=("start", "stop", "toggle"))
    mute = add("mute", "hear nothing, or hear again")
    mute.add_argument("to", nargs="?", default="toggle", choices=("on", "off", "toggle"))
    mode = add("mode", "when the microphone is listened to")
    mode.add_argument("mode", choices=("always", "wake", "push-to-talk"))
    say = add("say", "act as if this had been said")
    say.add_argument("text", nargs="+")
    say.add_argument("--dry", action="store_true", help="only tell what it means")
    for answer in ("yes", "no", "undo"):
        add(answer, f"'{answer}', as if it had been said")
    add("commands", "what can be said, and what is done about it")
    add("last", "what the last utterance was taken for ('assistant explain' shows why)")
    add("reload", "read configuration and commands again")
    events = add("events", "what happens, a line of JSON each, until Ctrl-C")
    events.add_argument("names", nargs="*", metavar="EVENT")
    add("stop", "end the daemon")
    return parser


def _request(options: argparse.Namespace) -> dict[str, Any]:
    request: dict[str, Any] = {"type": options.command}
    match options.command:
        case "talk":
            request["do"] = options.do
        case "mute":
            request |= {"on": {"on": True}, "off": {"on": False}, "toggle": {}}[options.to]
        case "mode":
            request["mode"] = options.mode
        case "say":
            request |= {"text": " ".join(options.text), "act": not options.dry}
        case "yes" | "no" | "undo":
            request = {"type": "answer", "answer": options.command}
        case "events":
            request = {"type": "subscribe"}
            request |= {"events": options.names} if options.names else {}
    return request


def _connected(where: str) -> socket.socket:
    if where.startswith(("/", "unix://")):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(CONNECT_TIMEOUT_S)
            connection.connect(where.removeprefix("unix://"))
        except OSError:
            connection.close()
            raise
    else:
        host, _, port = where.removeprefix("tcp://").rpartition(":")
        if not port.isdecimal():
            raise ConnectionError(f"{where} is no address; write /path/of.sock or host:port")
        connection = socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S)
        try:
            _say_token(connection, where)
        except (OSError, ValueError):
            connection.close()
            raise
    connection.settimeout(TIMEOUT_S)
    return connection


def _say_token(connection: socket.socket, where: str) -> None:
    hello = {"type": "hello", "token": os.environ.get("ASSISTANT_TOKEN", "")}
    connection.sendall(json.dumps(hello).encode() + b"\n")
    greeting = b""
    while not greeting.endswith(b"\n") and (got := connection.recv(1)):
        greeting += got
    if not json.loads(greeting or b"{}").get("ok"):
        raise ConnectionError(f"{where} wants its token in $ASSISTANT_TOKEN")


def _show(options: argparse.Namespace, answer: dict[str, Any]) -> None:
    """For people, unless they want JSON."""
    if options.json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        return
    if options.command == "commands":
        for one in answer["intents"]:
            sys.stdout.write(f"{one['intent']}: {one['example']}\n")
            sys.stdout.writelines(f"    {rule}\n" for rule in one["actions"])
        return
    if options.command == "say":
        action = answer.pop("action", None)
        slots = ", ".join(f"{slot} {value}" for slot, value in answer["slots"].items())
        sys.stdout.write(f"{answer['intent']}{f' ({slots})' if slots else ''}\n")
        answer = {"action": f"{action['status']}: {action['description']}"} if action else {}
        answer |= {"output": action["output"]} if action and action["output"] else {}
    for key, value in answer.get("last", answer).items():
        if key != "ok":
            sys.stdout.write(f"{key}: {_text(value)}\n")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _no_daemon(where: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return f"no assistant serves at {where}; start one with 'assistant serve'"
    if isinstance(error, PermissionError):
        return f"{where} is another user's; ask your own daemon ('assistant serve')"
    if isinstance(error, TimeoutError):
        return (
            f"the assistant at {where} does not answer; 'journalctl --user -u assistant' may tell"
        )
    return str(error) or type(error).__name__
