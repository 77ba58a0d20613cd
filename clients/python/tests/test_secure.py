"""A gateway that asks who somebody is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess

import grpc
import pytest
from conftest import Program

from zioflow import FlowError, Gateway


@pytest.fixture
async def secured(no_leaks, tmp_path):
    """A gateway on TLS, and the folder with its keys and those of "alice"."""
    keys = tmp_path / "keys"

    def keygen(*arguments):
        done = subprocess.run(
            [Program.binary(), "keygen", *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout

    keygen("server", str(keys))
    entry = keygen("identity", str(keys), "alice", "--role=client")
    (keys / "identities.yaml").write_text("identities:\n" + entry)
    program = Program(
        tmp_path,
        "--default-routes",
        f"--identities={keys}/identities.yaml",
        f"--tls-cert={keys}/server.pem",
        f"--tls-key={keys}/server.key",
        f"--tls-client-ca={keys}/ca.pem",
        "--tls-client-auth=optional",
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, program.stop)
        stack.callback(gc.collect)  # of what keeps connections open
        yield program, keys


async def _count(address, **options):
    async with Gateway(address, **options) as gateway:
        return len([dat async for dat in gateway.get({"count": 3})])


async def test_a_token_or_a_certificate_lets_in(secured):
    program, keys = secured
    ca = (keys / "ca.pem").read_bytes()
    token = (keys / "alice.token").read_text()
    written = token + "\n"  # as an editor saves it: the newline is no part of it
    trust = grpc.ssl_channel_credentials(ca)
    assert await _count(program.address, credentials=trust, token=token) == 3
    assert await _count(program.address, credentials=trust, token=written) == 3
    assert await _count(program.address, credentials=trust, token=lambda: token) == 3
    shown = grpc.ssl_channel_credentials(
        ca, (keys / "alice.key").read_bytes(), (keys / "alice.pem").read_bytes()
    )
    assert await _count(program.address, credentials=shown) == 3
    for wrong in (None, "guessed"):
        with pytest.raises(FlowError) as caught:
            await _count(program.address, credentials=trust, token=wrong)
        assert caught.value.code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:7575", True),
        ("localhost:7575", True),
        ("[::1]:7575", True),
        ("dns:///localhost:7575", True),
        ("unix:/run/zio", True),
        ("192.0.2.1:7575", False),
        ("gateway.example.org:7575", False),
        ("dns:///gateway.example.org:7575", False),
    ],
)
def test_a_token_leaves_the_machine_only_encrypted(address, local):
    if local:
        Gateway(address, token="secret")
    else:
        with pytest.raises(ValueError, match="clear text"):
            Gateway(address, token="secret")
    Gateway(address, token="secret", credentials=grpc.ssl_channel_credentials())
