"""The command `zioflow`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .files import command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with these arguments, or with the program's; returns its status."""
    parser = argparse.ArgumentParser(prog="zioflow", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command.add_to(commands)
    options = parser.parse_args(arguments)
    status: int = options.run(options)
    return status


if __name__ == "__main__":
    sys.exit(main())
