"""The options that say whose signature a plan must have, for every command that reads one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rightsize.workflow import signatures

_FILE = "Accepted signers of the plan: a file of OpenSSH's allowed signers, or a public key of minisign."
_NAME = "Name of the signer of the plan among OpenSSH's allowed signers."
SignersFile = Annotated[Path | None, typer.Option("--signers", envvar="RIGHTSIZE_SIGNERS", help=_FILE)]
SignerName = Annotated[str | None, typer.Option("--signer", envvar="RIGHTSIZE_SIGNER", metavar="NAME", help=_NAME)]
PlanSignersFile = Annotated[Path | None, typer.Option("--plan-signers", envvar="RIGHTSIZE_SIGNERS", help=_FILE)]
PlanSignerName = Annotated[
    str | None, typer.Option("--plan-signer", envvar="RIGHTSIZE_SIGNER", metavar="NAME", help=_NAME)
]


@dataclass(frozen=True, slots=True)
class PlanSigners:
    """Whose signature the plan must have."""

    signers: SignersFile = None
    signer: SignerName = None

    @property
    def asked(self) -> signatures.Signers:
        """Return the signers as workflows take them."""
        return signatures.Signers(self.signers, self.signer)


@dataclass(frozen=True, slots=True)
class SignersOfPlan:
    """Whose signature the plan must have, beside the signers of something else."""

    plan_signers: PlanSignersFile = None
    plan_signer: PlanSignerName = None

    @property
    def asked(self) -> signatures.Signers:
        """Return the signers as workflows take them."""
        return signatures.Signers(self.plan_signers, self.plan_signer)
