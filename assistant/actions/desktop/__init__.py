"""The desktop: players, sound, applications, keys, windows and notifications, by what each has.

    media.py                    `media`: players, over D-Bus (MPRIS)
    volume.py                   `volume`: wpctl or pactl
    open.py, applications.py    `open`: addresses, and applications by their .desktop files
    press.py, keyboard.py, keys.py
                                `key` and `type`: dotool, wtype, ydotool or xdotool
    windows.py, window_managers.py
                                `window` and `workspace`: X11, Sway, Hyprland
    active_window.py            which application has the focus, for the daemon
    notifications.py            `notify`; the notifier of the daemon is in notifier.py
    shortcuts.py                push-to-talk for the daemon, by a key of the whole desktop
    bus.py, session.py, programs.py
                                the session bus, the kind of session, programs that do the same

An action connects, does one thing and disconnects, in its own thread and with a time-out; it runs
no event loop in a thread that has one. `Notifier` and `PushToTalk` live in the daemon's loop.
"""
