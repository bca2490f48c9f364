"""The assistant as a service of the user's session.

    unit.py           the systemd user unit: what it starts, how it is restarted, its sandbox
    entries.py        desktop entries: push-to-talk in the menu, and autostart without systemd
    files.py          writes such files where they belong, and none that the user has changed
    manager.py        systemd's user manager, asked through systemctl
    installation.py   all of it together: install, uninstall, and how things stand

Nothing here needs torch, PortAudio or the rest of the package to work.
"""
