"""`rightsize completion`: print the script that makes a shell complete the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.cli.command import command
from rightsize.cli.output import copy_file

_SCRIPTS = Path(__file__).with_name("shells")


class Shell(StrEnum):
    """The shells that complete a command line."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@command(output=False)
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
) -> None:
    """Print the script that makes a shell complete commands, options and names of the tenant.

    bash: `eval "$(rightsize completion bash)"` in ~/.bashrc. zsh: `eval "$(rightsize completion zsh)"` in ~/.zshrc,
    after compinit. fish: `rightsize completion fish | source` in config.fish. PowerShell: `rightsize completion
    powershell | Out-String | Invoke-Expression` in $PROFILE. Names of principals, roles, scopes and operations come
    from the store that the command line, RIGHTSIZE_DB or rightsize.toml names; it is only read.
    """
    copy_file(_SCRIPTS / f"rightsize.{shell.value}")
