"""A shell completes commands, options, files and names of the tenant, and runs nothing that a name says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rightsize.cli.answers import lines_of, quote_for_bash, quote_for_powershell, read_line
from rightsize.cli.main import app, run
from rightsize.store.connection import open_store
from rightsize.workflow.data.completions import MOST, values_beginning

BREAKS = " \t\n\"'@><=;|&(:"
HOSTILE = (
    "N1 $(touch PWNED)", "N2 `touch PWNED`", "N3;touch PWNED", "N4 'single' \"double\"", "N5 co:lon=x@y",
    "N6 %F{red}%n", "N7 * ~ ? [a]", "N8 !! !x", "N9 back\\slash", "NÄ ünïcode 名前", "N# <in >out & {a,b} ^",
)  # fmt: skip
UNSEEN = ("NX new\nline touch PWNED", "NY \x1b[31mred", "NZ \u202ebidi", "NT tab\tbed")
SHELLS = ("bash", "zsh", "fish")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with principals of hostile names, roles and scopes."""
    path = tmp_path_factory.mktemp("completion") / "s.duckdb"
    people = [("amelia.hartley@contoso.com", "Amelia Hartley"), ("amir@contoso.com", "Amir B"), (None, "-dash")]
    people += [(None, name) for name in (*HOSTILE, *UNSEEN)]
    with open_store(path, read_only=False) as opened, opened.transaction() as connection:
        connection.executemany(
            "INSERT INTO base.principals (principal_id, principal_type, display_name, user_principal_name)"
            " VALUES (?, 'User', ?, ?)",
            [(f"00000000-0000-0000-0000-{i:012}", name, upn) for i, (upn, name) in enumerate(people)],
        )
        connection.execute(
            "INSERT INTO base.role_definitions (role_definition_id, role_name, role_type)"
            " VALUES ('r', 'Web App Deployer', 'CustomRole')"
        )
    return path


def ask(*words: str) -> list[str]:
    """Return the lines that the script of a shell gets."""
    return lines_of(typer.main.get_command(app), words)


def test_the_script_of_each_shell_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in (*SHELLS, "powershell"):
        assert run(["completion", shell]) == 0
        assert f"rightsize __complete {shell} " in capsys.readouterr().out
    assert run(["completion", "tcsh"]) == 2


@pytest.mark.parametrize(
    ("line", "words", "word", "before", "quote"),
    [
        ("rightsize explain ", ("explain",), "", "", ""),
        ("rightsize explain a@b", ("explain",), "a@b", "a", ""),
        ("rightsize can x --at=/sub", ("can", "x"), "--at=/sub", "--at=", ""),
        ("rightsize explain A\\ B", ("explain",), "A B", "", ""),
        ('rightsize explain "A b@', ("explain",), "A b@", "", '"'),
        ("rightsize explain 'A b\\", ("explain",), "A b\\", "", "'"),
        ("X=1 Y=2 rightsize explain 'A b' c", ("explain", "A b"), "c", "", ""),
        ('rightsize sql "a \\"b', ("sql",), 'a "b', "", '"'),
        ("rightsize explain '' x", ("explain", ""), "x", "", ""),
    ],
)
def test_a_line_of_bash_is_read_as_bash_does(
    line: str, words: tuple[str, ...], word: str, before: str, quote: str
) -> None:
    read = read_line(line, BREAKS)
    assert tuple(read.words[1:]) == words
    assert (read.word, read.before, read.quote) == (word, before, quote)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_quoted_name_reads_back_as_itself(name: str) -> None:
    for quote in ("", "'", '"'):
        quoted = quote_for_bash(name, quote)
        if quoted is not None:
            assert read_line(f"rightsize {quote}{quoted}{quote}", "").word == name
    assert quote_for_bash(name, "") is not None


def test_whatever_bash_reads_otherwise_is_quoted() -> None:
    for char in " '\"$`!*?[]{}()<>;&|#~^\\":
        assert quote_for_bash(f"a{char}b", "") == f"a\\{char}b"
    assert quote_for_bash("$(x) `y` \\", '"') == "\\$(x) \\`y\\` \\\\"
    assert quote_for_bash("a!b", '"') is None
    assert quote_for_bash("a'b", "'") is None


def test_powershell_takes_names_as_texts() -> None:
    assert quote_for_powershell("Web") == "Web"
    assert quote_for_powershell("@splat") == "'@splat'"
    assert quote_for_powershell("it's $(x) \u2019") == "'it''s $(x) \u2019\u2019'"


@pytest.mark.slow
def test_names_come_from_the_store_and_are_shown_in_one_line(store: Path) -> None:
    found = [value for value, _ in values_beginning(store, "principal", "N")]
    assert found == sorted(HOSTILE)
    assert values_beginning(store, "principal", "-") == []
    # "Amir B" and "amir@contoso.com" begin with nothing in common that was typed.
    assert values_beginning(store, "principal", "AMI") == []
    assert values_beginning(store, "principal", "amelia") == [("amelia.hartley@contoso.com", "Amelia Hartley")]
    assert values_beginning(store, "excluded", "web") == [("Web App Deployer", "CustomRole")]
    assert ("access-beside-roles", "") in values_beginning(store, "question", "acc")
    assert ("agent-answerable", "") in values_beginning(store, "control", "agent-a")


@pytest.mark.slow
def test_of_many_values_the_first_and_the_last_are_offered(tmp_path: Path) -> None:
    """A shell types what all offered values begin with: that must be true of those that are not offered, too."""
    path = tmp_path / "s.duckdb"
    with open_store(path, read_only=False) as opened, opened.transaction() as connection:
        connection.execute(
            "INSERT INTO base.principals (principal_id, principal_type, display_name)"
            " SELECT 'id' || i, 'User', 'Person ' || chr((65 + i % 26)::INTEGER) || i FROM range(3000) r(i)"
        )
    found = [value for value, _ in values_beginning(path, "principal", "P")]
    assert len(found) == MOST
    assert found[0][:8] == "Person A"
    assert found[-1][:8] == "Person Z"


@pytest.mark.nightly
def test_asking_never_writes_and_never_complains(store: Path, tmp_path: Path) -> None:
    """Neither a missing or broken store, nor one that is being written, nor nonsense says anything."""
    before = store.read_bytes()
    asked = [sys.executable, "-c", "from rightsize.cli.main import main; main()", "__complete"]
    words = ["zsh", "explain", "--db", str(store), "Ame"]
    done = subprocess.run([*asked, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["values", "Amelia Hartley\tamelia.hartley@contoso.com"]
    with open_store(store, read_only=False):
        done = subprocess.run([*asked, *words], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert ask("bash", f"rightsize explain --db {store} amir@co", BREAKS) == ["values", "@contoso.com"]
    assert (store.read_bytes(), sorted(one.name for one in store.parent.iterdir())) == (before, [store.name])
    (tmp_path / "broken.duckdb").write_text("no store")
    assert ask("zsh", "explain", "--db", str(tmp_path / "broken.duckdb"), "") == []
    assert ask("zsh", "explain", "--db", str(tmp_path / "none.duckdb"), "") == []
    assert not (tmp_path / "none.duckdb").exists()
    assert ask("tcsh", "x") == ask("bash") == []


@pytest.mark.slow
def test_files_options_choices_and_commands_are_offered(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        ask("zsh", "load", "") == ask("zsh", "plan", "verify", "x") == ask("zsh", "propose", "--out", "") == ["files"]
    )
    assert ask("zsh", "propose", "--reads=n") == ["values", "--reads=none\t", "--reads=namespace\t"]
    assert [line.partition("\t")[0] for line in ask("fish", "rollout", "")][1:] == [
        "plan",
        "apply",
        "rollback",
        "status",
    ]
    assert "--max-break" in [line.partition("\t")[0] for line in ask("zsh", "propose", "--max")]
    assert ask("powershell", "explain", "--db", str(store), ".Amel") == [
        "'Amelia Hartley'\tAmelia Hartley\tamelia.hartley@contoso.com"
    ]
    (tmp_path / "rightsize.toml").write_text(f'db = "{store}"\n')
    monkeypatch.setenv("RIGHTSIZE_CONFIG", str(tmp_path / "rightsize.toml"))
    assert ask("zsh", "explain", "Amel")[1:] == ["Amelia Hartley\tamelia.hartley@contoso.com"]


Interactive = Callable[[str], Any]


@pytest.fixture
def interactive(store: Path, tmp_path: Path) -> Interactive:
    """Starts a shell at a terminal, with completion, in an empty folder."""
    pexpect = pytest.importorskip("pexpect")

    def start(shell: str) -> Any:
        if shutil.which(shell) is None:
            pytest.skip(f"needs {shell}")
        begin, lines = {
            "bash": (["--norc", "--noprofile", "-i"], ["bind 'set enable-bracketed-paste off'", 'eval "$(@)"']),
            "zsh": (["-f", "-i"], ["bindkey -e", "autoload -Uz compinit", "compinit -u -d dump", 'eval "$(@)"']),
            "fish": (["--no-config", "-i"], ["@ | source"]),
        }[shell]
        variables = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RIGHTSIZE_DB": str(store),
            "HOME": str(tmp_path),
            "TERM": "dumb" if shell == "fish" else "xterm",
            "PS1": "$ ",
        }
        child = pexpect.spawn(
            shell, begin, cwd=str(tmp_path), env=variables, encoding="utf-8", timeout=30, dimensions=(50, 200)
        )
        for line in lines:
            child.send(line.replace("@", f"rightsize completion {shell}") + "\r")
        child.send("printf '%s%s\\n' rea dy\r")
        child.expect("ready")
        return child

    return start


def typed(child: Any, line: str) -> list[str]:
    """Type a line that ends with Tab, and return the words that the shell would call a command with."""
    child.send(f"{line}\t")
    child.send("\x01printf '<%s>\\n' \x05 end\r")
    child.expect("<end>")
    return [re.sub(r"\r\n.*", "", one) for one in re.findall(r"<([^\r\n]*)>\r", child.before) if one != "%s"]


@pytest.mark.nightly
@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes_and_runs_nothing(shell: str, interactive: Interactive, tmp_path: Path) -> None:
    child = interactive(shell)
    assert typed(child, "rightsize expl") == ["rightsize", "explain"]
    assert typed(child, "rightsize explain Amel") == ["rightsize", "explain", "Amelia Hartley"]
    assert typed(child, "rightsize explain amelia.hartley@con") == [
        "rightsize",
        "explain",
        "amelia.hartley@contoso.com",
    ]
    assert typed(child, "rightsize propose --exclude Web") == ["rightsize", "propose", "--exclude", "Web App Deployer"]
    assert typed(child, "rightsize queries run access-b") == ["rightsize", "queries", "run", "access-beside-roles"]
    for name in HOSTILE[::3]:
        assert typed(child, f"rightsize explain {name[:2]}") == ["rightsize", "explain", name], shell
    (tmp_path / "exported.json").touch()
    assert typed(child, "rightsize load expo") == ["rightsize", "load", "exported.json"]
    child.close()
    assert not (tmp_path / "PWNED").exists()
