"""Write the bash and PowerShell scripts that fetch exports with `az`: one program in both, and its list of requests.

The program is `fetch.py`. A script only finds the Python that `az` runs on and hands it the program, so both shells
ask the same in the same way, and no shell ever reads a URL or a name.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Literal

from rightsize.model.errors import InternalError

Shell = Literal["bash", "powershell"]

_PARTS = ("az.py", "folder.py", "fetch.py")
_END = "END_OF_PROGRAM"
_HEAD = """\
Fetches what `rightsize load` reads of a tenant into a folder, with `az` as it is signed in. It changes nothing in
Azure, and the same command continues an interrupted run. Usage: {usage} [FOLDER] [--until TIME]
The requests are listed at the end of the program. No token is printed or stored."""

_BASH = """\
set -u
located() {{ az --version 2>/dev/null | sed -n "s/^Python location '\\(.*\\)'.*$/\\1/p"; }}
command -v az >/dev/null || {{ echo "error: az is not installed: see https://aka.ms/azure-cli" >&2; exit 2; }}
python=$(located)
[ -n "$python" ] && [ -x "$python" ] || python=$(command -v python3) \\
  || {{ echo "error: the Python of az was not found, and there is no python3" >&2; exit 2; }}
exec "$python" - "$@" <<'{end}'
{program}{end}
"""

_POWERSHELL = """\
$program = @'
{program}'@
if (-not (Get-Command az -ErrorAction SilentlyContinue)) {{
    [Console]::Error.WriteLine('error: az is not installed: see https://aka.ms/azure-cli')
    exit 2
}}
$python = az --version 2>$null | Select-String -Pattern "^Python location '(.*)'" |
    ForEach-Object {{ $_.Matches[0].Groups[1].Value }} | Select-Object -First 1
if (-not $python -or -not (Test-Path -LiteralPath $python)) {{
    [Console]::Error.WriteLine('error: the Python of az was not found')
    exit 2
}}
$OutputEncoding = [System.Text.ASCIIEncoding]::new()
$program | & $python '-' @args
exit $LASTEXITCODE
"""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A request that the script sends, once for each thing that it is about.

    In `url`, `body` and `name`, `{subscription}`, `{scope}`, `{id}`, `{first}` and `{last}` stand for what is found.

    Attributes:
        source: The folder of its answers.
        kind: What they hold, as `load` prints it in `source`.
        service: `arm` or `graph`.
        url: Path and query from the root of the service.
        each: What it is about: tenant, subscription, management_group, group, or record.
        form: What to write of an answer: pages, records of a log, or the answers of a query of Resource Graph.
        name: The file of the answers, without ending.
        method: GET, or POST with a `body`.
        headers: `NAME=VALUE` beside those of `az`.
        instead: The URL to ask if this one is refused: the same with fewer fields.
        parent: The source whose records it is about, if `each` is record; `type` and `having` choose among them.
        type: Folded type of these records.
        having: A key that these records have, with a value.
        slice_days: Days of a log that one request asks for; 0 asks for all at once.
        reach_days: Days that the service keeps.
    """

    source: str
    kind: str
    service: str
    url: str
    each: str
    form: str
    name: str
    method: str = "GET"
    body: str = ""
    headers: tuple[str, ...] = ()
    instead: str = ""
    parent: str = ""
    type: str = ""
    having: str = ""
    slice_days: int = 0
    reach_days: int = 0


def export_script(requests: Sequence[FetchRequest], days: int, subscriptions: Sequence[str], shell: Shell) -> str:
    """Return a script that sends these requests for the last `days` of logs; without subscriptions, for all of them."""
    program = _program(requests, days, subscriptions)
    if shell == "bash":
        return "".join(["#!/usr/bin/env bash\n", *_comments("bash SCRIPT"), _BASH.format(program=program, end=_END)])
    return "".join([*_comments("SCRIPT.ps1"), _POWERSHELL.format(program=program)])


def _comments(usage: str) -> Iterator[str]:
    yield from (f"# {line}\n" for line in _HEAD.format(usage=usage).splitlines())


def _program(requests: Sequence[FetchRequest], days: int, subscriptions: Sequence[str]) -> str:
    """Return the source of the program with its requests: ASCII, and no line that ends the text for a shell."""
    lines = ",\n".join(
        # An apostrophe would end the text in Python.
        json.dumps({name: value for name, value in asdict(one).items() if value}).replace("'", "\\u0027")
        for one in requests
    )
    asked = f'{{"days": {days}, "subscriptions": {json.dumps(list(subscriptions))}, "requests": [\n{lines}\n]}}'
    source = "\n\n".join(["from __future__ import annotations\n", *map(_part, _PARTS)])
    program = f"{source}\n\nASKED = r'''\n{asked}\n'''\n\nsys.exit(main(json.loads(ASKED), sys.argv[1:]))\n"
    if not program.isascii() or any(line.startswith(("'@", _END)) for line in program.splitlines()):
        raise InternalError("the program would end its own script")
    return program


def _part(name: str) -> str:
    """Return the source of a module without its imports of the other parts, which stand in the same text."""
    text = (files("rightsize.render") / "exports" / name).read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("rightsize.", "__future__")):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return "".join(lines)
