"""Try all attacks and print what was tried and what held: `python -m tests.fuzz.tried > docs/tried.md`."""

from __future__ import annotations

import argparse
import subprocess
import sys

PAGE = """# What was tried

After this page you know how the promises of [SECURITY.md](../SECURITY.md) are tried out. It is the output of one
command. `.ci/nightly` runs it with more inputs, and a short form of each part is among the tests of every change.

```
$ python -m tests.fuzz.tried --runs {runs} --pairs {compared} --kills {killed} > docs/tried.md
```

## Parsers

Each parser of what others write gets changed inputs: bytes changed by libFuzzer, which keeps what reaches new lines
([Atheris](https://github.com/google/atheris)), and JSON with values of wrong types, hostile texts, doubled and lost
parts. *Held* means that each was read, or refused by an error of ours. Inputs that once broke one are kept in
`tests/fuzz/corpus`.

{parsers}
## The algebra of roles

Random roles with conditions, exclusions and several stars, by both readings of `X/*/y`, beside textbook automata.
`tests/properties/test_smt.py` asks Z3 about random roles and a sample of the built-in ones, in the nightly run about
each pair of which one contains the other; regular expressions check the witness against each other pair.

{pairs}
## Kills

Each command is killed at a random moment (SIGKILL), again and again. What it leaves is the state before or after; a
rollout leaves each swap with all its old or all its new assignments. Run again, it ends as a run that nobody killed.

{kills}"""


def run(*words: str) -> str:
    """Return what a module prints; its exit code is the number of faults, which its table shows."""
    done = subprocess.run([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout


def main() -> int:
    """Print the page; return 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.tried", description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="inputs for each parser")
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs of random roles")
    parser.add_argument("--kills", type=int, default=5, help="runs of each command")
    given = parser.parse_args()
    page = PAGE.format(
        runs=given.runs,
        compared=given.pairs,
        killed=given.kills,
        parsers=run("tests.fuzz", "all", "--runs", str(given.runs)),
        pairs=run("tests.fuzz.pairs", "--pairs", str(given.pairs)),
        kills=run("tests.fuzz.kills", "--times", str(given.kills)),
    )
    sys.stdout.write(page)
    rows = [line for line in page.splitlines() if line.startswith("|") and not line.startswith(("|---", "| parser"))]
    bad = [line for line in rows if "held" not in line and "result" not in line]
    return min(len(bad), 1)


if __name__ == "__main__":
    sys.exit(main())
