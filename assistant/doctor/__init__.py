"""What keeps the assistant from hearing, understanding or acting, and how to mend each.

    check.py          one finding: what was looked at, what was found, what to do
    examination.py    all topics in order; one that fails says so, and the others go on
    packages.py       Python, the packages, the extras
    microphone.py     PortAudio, the device, its rate; records what `sound` judges
    sound.py          level, noise, clipping, offset, channels
    permissions.py    sound server and sockets, runtime folder, /dev/uinput
    desktop.py        session, programs that actions use, services on D-Bus
    model.py          hashes, policy, a recognition from end to end, speed
    daemon.py         control socket, systemd unit, its sandbox

Each topic imports what it needs as it is asked, so that broken libraries are findings too.
"""
