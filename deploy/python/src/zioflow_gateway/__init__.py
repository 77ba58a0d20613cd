"""Where the ZIO flow gateway is that was installed with this package.

The program is `gateway`, beside Python's own. From a program it is started as
`subprocess.Popen([zioflow_gateway.program(), "serve"])`; where the folder of programs is
not on the PATH, `python -m zioflow_gateway serve` runs it.
"""

import pathlib
import sys
import sysconfig

__all__ = ["program"]


def program() -> pathlib.Path:
    """The path of the program. Raises FileNotFoundError if it is not where pip puts it."""
    name = "gateway.exe" if sys.platform == "win32" else "gateway"
    tried = []
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):
        path = pathlib.Path(sysconfig.get_path("scripts", scheme), name)
        if path.is_file():
            return path
        tried.append(str(path.parent))
    raise FileNotFoundError(f"there is no {name} in {' or '.join(tried)}")
