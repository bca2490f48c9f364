"""The service is installed where it belongs, never over a change, and says how to go on."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.actions.outside import outside
from assistant.actions.process import start_detached
from assistant.cli import main
from assistant.errors import ActionError
from assistant.service import entries, manager
from assistant.service.files import Condition, InstalledFile
from assistant.service.unit import Unit, quoted

DAEMON = (sys.executable, "-P", "-m", "assistant", "serve")

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")

MANAGER = """#!/bin/sh
# A manager that answers; what it was asked is written down.
echo "$(basename "$0") $*" >> "$HOME/asked"
case "$*" in
    *--version*) echo "systemd 257 (257.9)" ;;
    *graphical-session.target*) echo "ActiveState=$GRAPHICAL" ;;
    *LoadState*) printf 'LoadState=loaded\\nActiveState=%s\\nUnitFileState=enabled\\n' "$ACTIVE"
                 printf 'StatusText=listening\\nResult=%s\\nNeedDaemonReload=no\\n' "$RESULT" ;;
    *PrivateUsers*) exit "$NAMESPACES" ;;
    *restart*) exit "$RESTART" ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without anything, and without a manager."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    return tmp_path


@pytest.fixture
def systemd(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A manager answers; the file it writes down what it was asked in."""
    for program in ("systemctl", "systemd-run"):
        path = home / "bin" / program
        path.parent.mkdir(exist_ok=True)
        path.write_text(MANAGER)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")
    for name, value in {
        "GRAPHICAL": "active",
        "ACTIVE": "active",
        "RESULT": "success",
        "NAMESPACES": "0",
        "RESTART": "0",
    }.items():
        monkeypatch.setenv(name, value)
    return home / "asked"


def unit_of(home: Path) -> Path:
    return home / ".config/systemd/user/assistant.service"


def menu_of(home: Path) -> Path:
    return home / ".local/share/applications/assistant.desktop"


# ── the unit ───────────────────────────────────────────────────────────────────────────────


def analyze(*arguments: str, runtime: Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(runtime)}
    command = [ANALYZE, *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@needs_systemd
@pytest.mark.parametrize("headless", [False, True])
@pytest.mark.parametrize("namespaces", [False, True])
def test_systemd_finds_nothing_wrong_with_the_unit(
    tmp_path: Path, headless: bool, namespaces: bool
) -> None:
    path = tmp_path / "assistant.service"
    path.write_text(Unit(DAEMON, namespaces, headless).text())
    result = analyze("verify", "--user", "--man=no", str(path), runtime=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@needs_systemd
def test_systemd_takes_any_path_of_the_program(tmp_path: Path) -> None:
    program = tmp_path / "a b$HOME %h; é" / "python"
    program.parent.mkdir()
    program.symlink_to(sys.executable)
    path = tmp_path / "assistant.service"
    path.write_text(Unit([str(program), "$HOME", "%h", ";", 'a "b"', "\\x41"]).text())
    result = analyze("verify", "--user", "--man=no", str(path), runtime=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@needs_systemd
def test_the_sandbox_is_good_in_the_eyes_of_systemd(tmp_path: Path) -> None:
    path = tmp_path / "assistant.service"
    path.write_text(Unit(DAEMON).text())
    result = analyze(
        *("security", "--offline=true", "--user", "--no-pager", "--threshold=25", str(path)),
        runtime=tmp_path,
    )
    if "nrecognized option" in result.stderr:
        pytest.skip("this systemd-analyze judges no files")
    assert result.returncode == 0, result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("argument", "written"),
    [
        ("--config", "--config"),
        ("a b", '"a b"'),
        ("", '""'),
        (";", '";"'),
        ("$HOME", '"$$HOME"'),
        ("100%", "100%%"),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("line\nbreak", r'"line\x0abreak"'),
        ("it's", '"it\'s"'),
    ],
)
def test_an_argument_arrives_as_it_is(argument: str, written: str) -> None:
    assert quoted(argument) == written


def test_without_namespaces_nothing_is_claimed_that_does_not_hold() -> None:
    settings = [
        line.partition("=")[0]
        for line in Unit(DAEMON, namespaces=False).text().splitlines()
        if not line.startswith("#")
    ]
    assert not {"PrivateUsers", "ProtectSystem", "InaccessiblePaths"} & set(settings)
    assert {"NoNewPrivileges", "SystemCallFilter", "RestrictNamespaces"} <= set(settings)


def test_systemd_ends_the_daemon_alone_so_that_what_it_does_comes_to_its_end() -> None:
    assert "\nKillMode=mixed\n" in Unit(DAEMON).text()


def test_older_systemd_is_given_no_keys_it_does_not_know() -> None:
    assert "RestartSteps" not in Unit(DAEMON, systemd_version=252).text()
    assert "RestartSteps=5" in Unit(DAEMON, systemd_version=254).text()


# ── desktop entries ────────────────────────────────────────────────────────────────────────


def test_the_menu_entry_talks_mutes_and_reloads() -> None:
    entry = configparser.ConfigParser(interpolation=None)
    entry.optionxform = str  # type: ignore[assignment,method-assign]
    entry.read_string(entries.menu_entry(["/usr/bin/python", "-m", "assistant"]))
    main_group = entry["Desktop Entry"]
    assert main_group["Exec"] == '"/usr/bin/python" "-m" "assistant" "ctl" "talk" "toggle"'
    for key in main_group["Actions"].rstrip(";").split(";"):
        assert entry[f"Desktop Action {key}"]["Exec"].endswith(f'"ctl" "{key}"')


@pytest.mark.skipif(not shutil.which("desktop-file-validate"), reason="no desktop-file-validate")
@pytest.mark.parametrize("text", [entries.menu_entry(DAEMON), entries.autostart_entry(DAEMON)])
def test_the_entries_are_valid(text: str, tmp_path: Path) -> None:
    path = tmp_path / entries.NAME
    path.write_text(text)
    subprocess.run(["desktop-file-validate", str(path)], check=True)


@pytest.mark.parametrize(
    ("argument", "written"),
    [("a b", '"a b"'), ("100%", '"100%%"'), ("$x", r'"\\$x"'), ('"', r'"\\""'), ("\\", r'"\\\\"')],
)
def test_an_argument_of_an_entry_arrives_as_it_is(argument: str, written: str) -> None:
    assert entries.quoted(argument) == written


def test_a_line_break_cannot_forge_an_entry() -> None:
    with pytest.raises(ValueError, match="cannot stand in a desktop entry"):
        entries.autostart_entry(["/usr/bin/python", "a\nExec=evil"])


# ── files ──────────────────────────────────────────────────────────────────────────────────


def test_a_file_knows_whether_it_was_changed(tmp_path: Path) -> None:
    file = InstalledFile(tmp_path / "deep" / "unit", "one\ntwo\n")
    assert file.condition() is Condition.ABSENT
    file.write()
    assert file.condition() is Condition.CURRENT
    assert file.path.stat().st_mode & 0o777 == 0o644
    assert InstalledFile(file.path, "three\n").condition() is Condition.OUTDATED
    file.path.write_text(file.path.read_text() + "# mine\n")
    assert file.condition() is Condition.CHANGED
    assert list(file.path.parent.iterdir()) == [file.path]


# ── install, uninstall, status ─────────────────────────────────────────────────────────────


def test_without_a_manager_the_files_are_written_and_the_rest_is_said(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["service", "install"]) == 0
    assert unit_of(home).is_file()
    assert menu_of(home).is_file()
    said = capsys.readouterr().out
    assert "systemctl --user enable --now assistant.service" in said
    assert "--autostart" in said


def test_installing_again_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["service", "install"])
    before = unit_of(home).stat().st_mtime_ns
    assert main(["service", "install"]) == 0
    assert unit_of(home).stat().st_mtime_ns == before
    assert capsys.readouterr().out.count("as it should be") == 2


def test_other_options_replace_what_was_written(home: Path) -> None:
    main(["service", "install"])
    assert main(["service", "install", "--commands", "coffee", "--", "--mode", "wake"]) == 0
    assert "serve --commands coffee --mode wake\n" in unit_of(home).read_text()


def test_a_changed_file_stays_until_it_is_forced(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["service", "install"])
    changed = unit_of(home).read_text().replace("WatchdogSec=30", "WatchdogSec=90")
    unit_of(home).write_text(changed)
    menu_of(home).unlink()
    assert main(["service", "install"]) == 2
    assert "--force" in capsys.readouterr().err
    assert unit_of(home).read_text() == changed
    assert not menu_of(home).exists()  # all or nothing
    assert main(["service", "uninstall"]) == 2
    assert main(["service", "install", "--force"]) == 0
    assert "WatchdogSec=30" in unit_of(home).read_text()


def test_a_dry_run_writes_nothing(home: Path, systemd: Path) -> None:
    assert main(["service", "install", "--dry-run"]) == 0
    assert not unit_of(home).exists()
    assert "enable" not in systemd.read_text()


def test_uninstalling_leaves_nothing_behind(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["service", "install"])
    main(["service", "install", "--autostart"])
    assert main(["service", "uninstall"]) == 0
    assert not [path for path in home.rglob("*") if path.is_file()]
    assert main(["service", "uninstall"]) == 0
    assert "nothing is installed" in capsys.readouterr().out


def test_xdg_folders_are_heeded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "c"))
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # the specification: ignore it
    main(["service", "install"])
    assert (home / "c/systemd/user/assistant.service").is_file()
    assert menu_of(home).is_file()


def test_a_manager_that_answers_enables_and_starts_it(home: Path, systemd: Path) -> None:
    assert main(["service", "install"]) == 0
    asked = systemd.read_text()
    reload, enable, start = (
        asked.index(f"systemctl --user {what}")
        for what in ("daemon-reload", "reenable assistant.service", "restart assistant.service")
    )
    assert reload < enable < start
    unit = unit_of(home).read_text()
    assert "WantedBy=graphical-session.target" in unit
    assert "RestartSteps" in unit
    assert "\nPrivateUsers=yes" in unit


def test_a_machine_without_namespaces_is_found_out(
    home: Path, systemd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAMESPACES", "1")
    monkeypatch.setenv("GRAPHICAL", "inactive")
    assert main(["service", "install", "--no-start"]) == 0
    assert "\nPrivateUsers=yes" not in unit_of(home).read_text()
    assert "WantedBy=default.target" in unit_of(home).read_text()
    assert "restart" not in systemd.read_text()


@pytest.mark.usefixtures("systemd")
def test_a_service_that_does_not_start_says_where_to_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RESTART", "1")
    assert main(["service", "install"]) == 1
    assert "journalctl --user -u assistant" in capsys.readouterr().err


@pytest.mark.usefixtures("systemd")
def test_the_status_says_whether_it_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["service", "status"]) == 0
    assert "it says: listening" in capsys.readouterr().out
    monkeypatch.setenv("ACTIVE", "failed")
    monkeypatch.setenv("RESULT", "watchdog")
    assert main(["service", "status"]) == 1
    assert "it failed (watchdog)" in capsys.readouterr().out


@pytest.mark.usefixtures("systemd")
def test_show_prints_the_unit_that_would_be_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["service", "show"])
    shown = capsys.readouterr().out
    main(["service", "install"])
    assert shown == unit_of(home).read_text()


@pytest.mark.parametrize(
    "option", [["--commands", "nowhere"], ["--config", "nowhere.yaml"], ["--", "--no-such-option"]]
)
def test_what_the_service_could_not_read_is_refused_now(home: Path, option: list[str]) -> None:
    assert main(["service", "install", *option]) == 2
    assert not unit_of(home).exists()


def test_paths_are_absolute_since_the_service_starts_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    Path("my.yaml").write_text("commands: coffee\n")
    main(["service", "install", "--config", "my.yaml"])
    assert f"--config {home}/my.yaml\n" in unit_of(home).read_text()


def test_a_folder_that_is_called_like_the_set_is_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    Path("coffee").mkdir()
    Path("coffee/commands.yaml").touch()
    main(["service", "install", "--commands", "coffee"])
    assert "--commands coffee\n" in unit_of(home).read_text()
    Path("mine/en").mkdir(parents=True)
    Path("mine/en/commands.yaml").touch()
    for commands in ("mine", "mine/en/commands.yaml"):
        main(["service", "install", "--commands", commands])
        assert f"--commands {home}/{commands}\n" in unit_of(home).read_text()


@pytest.mark.parametrize("key", ["commands: {}", "daemon: {{contexts: {{editor: {}}}}}"])
def test_what_is_right_in_this_folder_alone_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    monkeypatch.chdir(home)
    for folder in ("here/mine", "settings/mine"):
        Path(folder).mkdir(parents=True)
        (Path(folder) / "commands.yaml").touch()
    file = Path("settings/my.yaml")
    file.write_text(key.format("here/mine"))
    assert main(["service", "install", "--config", str(file)]) == 2
    assert "here/mine: the service starts in another folder" in capsys.readouterr().err
    file.write_text(key.format("mine"))
    assert main(["service", "install", "--config", str(file)]) == 0


@pytest.mark.usefixtures("home")
def test_without_systemd_its_version_is_none() -> None:
    assert manager.systemd_version() == 0
    assert not manager.is_reachable()


# ── what an action leaves open ─────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("systemd")
def test_a_service_has_the_manager_start_what_stays_open(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    start_detached(["sh", "-c", "true"], dict(os.environ))
    (asked,) = (home / "asked").read_text().splitlines()
    assert asked.startswith("systemd-run --user ")
    assert "--scope" not in asked
    assert asked.endswith(" -- sh -c true")
    assert "--setenv=HOME " in asked
    assert str(home) not in asked.partition("--setenv")[2]  # values are nobody else's to see


def test_elsewhere_it_is_our_own_child(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getppid()))  # a terminal that is a service
    assert outside(["firefox"], ["HOME"]) == ["firefox"]


@pytest.mark.usefixtures("home")
def test_a_program_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    with pytest.raises(ActionError, match="'firefox' was not found"):
        outside(["firefox"], [])


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from assistant.cli import main; from assistant.service import installation; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
