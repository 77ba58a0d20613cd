"""The packages: what is in them, and that they are made and installed without the network."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

from conftest import Program

_CLIENT = pathlib.Path(__file__).resolve().parents[1]
_GATEWAY = _CLIENT.parents[1] / "deploy" / "python"


def _build(folder: pathlib.Path, project: pathlib.Path, *arguments: str, **environment: str):
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, *arguments, project],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    return sorted(folder.iterdir())


def _sources() -> set[str]:
    source = _CLIENT / "src"
    files = (path for path in (source / "zioflow").rglob("*") if path.is_file())
    return {str(path.relative_to(source)) for path in files if "__pycache__" not in path.parts}


def test_zioflow_is_whole(tmp_path):
    # `build` makes the wheel from the sdist.
    wheel, sdist = _build(tmp_path, _CLIENT)
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if ".dist-info/" not in name}
    assert names == _sources()
    assert {"zioflow/py.typed", "zioflow/_gen/zio/gateway/v1/flow_pb2.py"} <= names
    with tarfile.open(sdist) as packed:
        top = sdist.name.removesuffix(".tar.gz")
        assert {f"{top}/src/{name}" for name in names} <= set(packed.getnames())


def test_the_gateway_is_a_program_of_the_environment(tmp_path):
    # One like the wheels that are given away: of this system's program.
    target = "linux-arm64" if sysconfig.get_platform().endswith("aarch64") else "linux-amd64"
    (wheel,) = _build(
        tmp_path / "dist",
        _GATEWAY,
        "--wheel",
        ZIO_GATEWAY_BINARY=str(Program.binary()),
        ZIO_GATEWAY_TARGET=target,
    )
    version = wheel.name.split("-")[1]
    clean = tmp_path / "env"
    venv.create(clean, with_pip=False)
    python = clean / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    subprocess.run([*pip, "--no-index", wheel], check=True)
    for command in ([clean / "bin" / "gateway"], [python, "-m", "zioflow_gateway"]):
        shown = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)
        name, is_version, *_ = shown.stdout.split()
        assert (name, is_version.split("+")[0]) == ("gateway", version)
    failed = subprocess.run(
        [python, "-m", "zioflow_gateway", "fly"], capture_output=True, text=True
    )
    assert failed.returncode == 2
    assert "unexpected argument fly" in failed.stderr


def test_no_wheel_is_made_without_its_program(tmp_path):
    environment = {
        name: value for name, value in os.environ.items() if name != "ZIO_GATEWAY_TARGET"
    }
    failed = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", tmp_path, _GATEWAY],
        capture_output=True,
        text=True,
        env={**environment, "ZIO_GATEWAY_BINARY": "x"},
    )
    assert failed.returncode != 0
    assert "ZIO_GATEWAY_TARGET" in failed.stdout + failed.stderr
