"""`rightsize mcp` as a client starts it: a process whose stdout is the protocol and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.mcp.serve import read_skill
from rightsize.workflow.suite.demo import STORE

NOISY = """
import os, sys
from rightsize.workflow.answers import access
really = access.can
def can(*given, **more):
    print("a stray print")
    os.write(1, b"a stray write\\n")
    os.system("echo a stray child")
    return really(*given, **more)
access.can = can
from rightsize.cli.main import main
main(sys.argv[1:])
"""
"""The command with a workflow that writes to stdout in every way that a program can."""
WITHOUT = """
import sys
sys.modules["mcp"] = None
from rightsize.cli.main import main
main(sys.argv[1:])
"""
"""The command where the SDK is not installed."""


@pytest.mark.slow
def test_stdout_is_the_protocol_and_the_page_quotes_the_session(demo_folder: Path, tmp_path: Path) -> None:
    """A client of the SDK asks over pipes; each line of stdout is a message, and strays go to stderr."""
    pytest.importorskip("mcp", reason="needs the extra `mcp`")
    import anyio  # noqa: PLC0415  of the extra
    from mcp import Client, StdioServerParameters, stdio_client  # noqa: PLC0415

    from tests.mcp.transcript import PAGE, ask_all, quoted  # noqa: PLC0415

    wire, strays = tmp_path / "wire", tmp_path / "strays"
    options = ["mcp", "--db", str(demo_folder / STORE), "--plan", str(demo_folder)]
    words = [sys.executable, "-c", NOISY, *options]
    server = StdioServerParameters(command="/bin/sh", args=["-c", '"$@" | tee "$0"', str(wire), *words])

    async def session() -> str:
        with strays.open("w") as errors:
            async with Client(stdio_client(server, errlog=errors)) as client:
                return await ask_all(client)

    said = anyio.run(session)
    lines = wire.read_text(encoding="utf-8").splitlines()
    assert len(lines) > 4
    assert {json.loads(line)["jsonrpc"] for line in lines} == {"2.0"}
    assert [one in strays.read_text(encoding="utf-8") for one in ("stray print", "stray write", "stray child")] == [
        True
    ] * 3
    assert said == quoted(PAGE.read_text(encoding="utf-8")), "python -m tests.mcp.transcript DEMO writes it"


@pytest.mark.slow
def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    """Nothing is written to stdout, and the exit code is that of usage."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "mcp", "--db", str(tmp_path / "any")],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert 'pip install "rightsize-azure[mcp]"' in done.stderr


@pytest.mark.slow
def test_the_skill_is_printed_without_the_extra(capsys: pytest.CaptureFixture[str]) -> None:
    """The page is what an agent's folder of skills takes."""
    assert run(["mcp", "--skill"]) == 0
    assert capsys.readouterr().out == read_skill()
