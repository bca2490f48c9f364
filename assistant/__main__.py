"""`python -m assistant` and `assistant`: the command line."""

import sys


def main() -> int:
    """Run it. `ctl` is a key's answer, and does not wait for what the other commands load."""
    if sys.argv[1:2] == ["ctl"]:
        from .daemon.ctl import main as ctl  # noqa: PLC0415

        return ctl(sys.argv[2:])
    from .cli import main as cli  # noqa: PLC0415

    return cli()


if __name__ == "__main__":
    sys.exit(main())
