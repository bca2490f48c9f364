"""The systemd user unit, each line with its reason.

What can be there at all: a user's manager has no privileges. What needs mounts (`ProtectSystem=`,
`InaccessiblePaths=`, …) works there only in a user namespace of its own (`PrivateUsers=`); without
it systemd 252 starts the service and protects nothing, and what drops capabilities ends with
218/CAPABILITIES. Tried with a user manager of systemd 252 on Linux 6.18.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NAME = "assistant.service"

STEPS_VERSION = 254
"""The first version of systemd that waits longer after each restart."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What the unit is made from."""

    argv: Sequence[str]
    """The daemon's command line; the program is an absolute path."""
    namespaces: bool = True
    """Whether the kernel lets users have namespaces, which a part of the sandbox needs."""
    headless: bool = False
    """Whether it starts with the user's manager (at boot, if the user lingers), not with the
    graphical session."""
    systemd_version: int = 0
    """Of the machine; 0 where it is not known. Older ones would warn about keys they lack."""

    def text(self) -> str:
        """The unit file."""
        target = "default.target" if self.headless else "graphical-session.target"
        return _TEMPLATE.format(
            session="" if self.headless else _SESSION,
            command=" ".join((quoted(self.argv[0], "$"), *map(quoted, self.argv[1:]))),
            steps=_STEPS if self.systemd_version >= STEPS_VERSION else "",
            namespaces=_NAMESPACES if self.namespaces else _NO_NAMESPACES,
            target=target,
        )


def quoted(argument: str, dollar: str = "$$") -> str:
    """One argument of `ExecStart=`, as it is: no specifiers, no variables, no splitting.

    systemd.service(5), Command lines; systemd.syntax(7), Quoting.

    Args:
        argument: any text.
        dollar: how `$` is written; in the program's own path, where nothing is expanded, as it is.

    Raises:
        ValueError: it holds a NUL byte, which no argument can.
    """
    if "\0" in argument:
        raise ValueError("an argument has a NUL byte: remove it")
    text = argument.replace("\\", "\\\\").replace('"', '\\"')
    text = "".join(c if c.isprintable() else _escaped(c) for c in text)
    text = text.replace("%", "%%").replace("$", dollar)
    # A lone ; would begin another command; the rest is plain words of paths and options.
    return text if re.fullmatch(r"[\w./:=@%+,-]+", text, re.ASCII) else f'"{text}"'


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))


_SESSION = """\
# Programs that actions start need DISPLAY or WAYLAND_DISPLAY, which the session tells the manager
# before it reaches this target.
After=graphical-session.target
PartOf=graphical-session.target
"""

_STEPS = """\
RestartSteps=5
RestartMaxDelaySec=120
"""

_NO_NAMESPACES = """\
# Left out: what needs a user namespace (PrivateUsers=, ProtectSystem=, InaccessiblePaths=, …), as
# this machine does not let users have one.
"""

_NAMESPACES = """\
# Everything from here to [Install] needs a user namespace; an unprivileged manager cannot mount
# without. Only your own user id exists in it. Where AppArmor restricts namespaces (Ubuntu since
# 23.10) systemd may start the service without this part and say nothing; `assistant service
# install` tries it and leaves the part out then, and `assistant doctor` looks again.
PrivateUsers=yes
# No capability can be gained, not by a program with file capabilities either.
CapabilityBoundingSet=
# The system is read-only. Your home is not: actions are your own programs, and save files there.
# So are the cache, where commands are compiled to, and state, should they lie elsewhere.
# The runtime folder holds the sockets of sound, display and D-Bus. /tmp is shared (no PrivateTmp=):
# X11's socket lies there, and what an action leaves there is meant to be found.
ProtectSystem=strict
ReadWritePaths=%h %t -%C -%S /tmp /var/tmp -/media -/mnt -/run/media
# What the assistant never needs and an intruder wants first. An action that calls ssh or gpg does
# need it: `systemctl --user edit assistant` and an empty InaccessiblePaths= gives it back.
InaccessiblePaths=-%h/.ssh -%h/.gnupg -%h/.aws -%h/.kube -%h/.password-store
InaccessiblePaths=-%h/.local/share/keyrings
# Other users' processes are not seen. ProcSubset=pid is not set: torch reads /proc/cpuinfo.
ProtectProc=invisible
# You may not write to these as it is; here not even a program with privileges may.
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectClock=yes
# Not set: PrivateDevices= (hides /dev/snd, /dev/uinput and the GPU), PrivateNetwork= and
# IPAddressDeny= (Home Assistant, MQTT, Wyoming), ProtectHome= (see ReadWritePaths= above).
"""

_TEMPLATE = """\
[Unit]
Description=Voice commands on this machine
Documentation=man:systemd.exec(5)
# The sound server first, where it is a service of the user: else the microphone is busy or absent.
After=pipewire.service wireplumber.service pipewire-pulse.service pulseaudio.service
{session}# Give up where it fails again and again: five times in ten minutes.
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
# The daemon says itself when it listens, and from then on that it is alive (sd_notify(3)).
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=kill -HUP $MAINPID
# Before it is ready, models are read and, where there is a folder of them, command files compiled.
TimeoutStartSec=20min
TimeoutStopSec=20
# The daemon alone is told to end: the action that runs comes to its end. What is left is killed.
KillMode=mixed
# Without a sign of life for so long it hangs, and is restarted.
WatchdogSec=30
Restart=on-failure
RestartSec=5
{steps}# Status 2: a file or an option is wrong, which no restart mends.
RestartPreventExitStatus=2
# An action's program that is out of memory ends alone; the assistant listens on.
OOMPolicy=continue

# The sockets. No StateDirectory=: before version 254 it is taken from the folder of settings; the
# assistant makes its own, $XDG_STATE_HOME/assistant.
RuntimeDirectory=assistant
RuntimeDirectoryMode=0700
# Tokens for actions, NAME=value lines; chmod 600 it.
EnvironmentFile=-%E/assistant/environment
Environment=PYTHONUNBUFFERED=1

# Bounds, far above what it needs: the model takes 0.7 GB; with CUDA several times that.
MemoryMax=6G
TasksMax=512
LimitNOFILE=4096
LimitCORE=0

# ── sandbox ──
# It holds for the assistant and for programs that an action waits for. What an action leaves open
# (`detach: true`: browsers and other applications) is started by the user's manager instead, and is
# free of all this; so is what D-Bus starts. It keeps a mistake or a hostile file from harm, not
# somebody who controls the daemon and may ask the manager, too.

# New files are yours alone.
UMask=0077
# No setuid programs: sudo and pkexec do not work in actions. (All filters below imply it.)
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LockPersonality=yes
# Sound servers give real-time priority through D-Bus (rtkit); nothing takes it by itself.
RestrictRealtime=yes
# No containers and no further namespaces from within: a large part of the kernel out of reach.
RestrictNamespaces=yes
# Sound, D-Bus and the display are unix sockets; actions and Wyoming need IP; the list of network
# interfaces is netlink. No Bluetooth, CAN, packet or other sockets.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
# What ordinary services call; no mounts, modules, clocks, reboot, swap, ptrace or raw I/O. What is
# refused fails with EPERM, as programs expect it: they do without, and are not killed.
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
KeyringMode=private
# Not set: MemoryDenyWriteExecute=. oneDNN, torch's kernels for matrices, writes machine code as it
# runs (pytorch issue 143651: "could not create a primitive"); so do the JITs of other programs.

{namespaces}
[Install]
WantedBy={target}
"""
