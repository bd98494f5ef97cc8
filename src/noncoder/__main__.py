"""`python -m noncoder` is `noncoder`."""

import sys

from noncoder.threads import govern


def main() -> None:
    """Runs the command line; an interrupt is reported in one line even while the command line is being imported."""
    govern()
    try:
        from noncoder.cli import main as run

        run()
    except KeyboardInterrupt:
        print("noncoder: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
