"""Has a wheel carry the program for one system, and be for that system alone."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: By Go's name of a system, the oldest that the program runs on, in Python's names. On Linux
#: it is a static file: it needs no C library, neither glibc nor musl.
PLATFORMS = {
    "linux-amd64": "manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    "linux-arm64": "manylinux2014_aarch64.manylinux_2_17_aarch64.musllinux_1_1_aarch64",
    "darwin-arm64": "macosx_12_0_arm64",
    "windows-amd64": "win_amd64",
}


class ProgramHook(BuildHookInterface):
    """Takes the program from ZIO_GATEWAY_BINARY and its system from ZIO_GATEWAY_TARGET."""

    def initialize(self, version, build_data):
        try:
            binary = os.environ["ZIO_GATEWAY_BINARY"]
            target = os.environ["ZIO_GATEWAY_TARGET"]
            platforms = PLATFORMS[target]
        except KeyError as missing:
            words = f"{missing} is not there: scripts/dist.sh builds these wheels"
            raise SystemExit(words) from None
        name = "gateway.exe" if target.startswith("windows") else "gateway"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platforms}"
        build_data["shared_scripts"][binary] = name
