"""Runs the gateway with the arguments given, in the place of Python."""

import os
import subprocess
import sys

from . import program


def main() -> int:
    """Returns the program's exit code, where it could not take this process's place."""
    arguments = [str(program()), *sys.argv[1:]]
    if os.name == "posix":
        os.execv(arguments[0], arguments)
    return subprocess.call(arguments)


if __name__ == "__main__":
    sys.exit(main())
