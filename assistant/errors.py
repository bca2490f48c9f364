"""Every error the package raises on purpose.

AssistantError                 one clear line: what is wrong and how to mend it
├── UsageError                 the caller asked for something that cannot be (exit code 2)
│   ├── ConfigError            a configuration, command or policy file does not fit
│   ├── AudioFileError         a recording that cannot be read
│   └── BundleError            a model or compiled command set that is missing or does not fit
├── AudioDeviceError           the microphone or PortAudio is absent, busy or lost (exit code 1)
└── ActionError                an action could not be carried out (exit code 1)
"""

from __future__ import annotations


class AssistantError(Exception):
    """Base of all deliberate errors; its text is one line, ready to be shown to the user."""

    exit_code: int = 1


class UsageError(AssistantError):
    """The request itself is wrong: misuse, or input that cannot be read."""

    exit_code = 2


class ConfigError(UsageError):
    """A YAML file has an unknown key, a missing key or a value that does not fit."""


class AudioFileError(UsageError):
    """A recording is missing, empty, damaged or no audio at all."""


class BundleError(UsageError):
    """A bundle is missing a file, or a hash or a shape does not fit."""


class AudioDeviceError(AssistantError):
    """PortAudio, or the device asked for, is not there or was lost."""


class ActionError(AssistantError):
    """An action failed: the program was not found, timed out or returned an error."""
