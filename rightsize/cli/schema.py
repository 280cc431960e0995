"""`rightsize schema`: print the JSON Schemas of files that people write or programs read."""

from __future__ import annotations

from typing import Annotated

import typer

from rightsize.change import bundle
from rightsize.cli import config_schema
from rightsize.cli.command import Common, command
from rightsize.cli.option_rules import FILE
from rightsize.cli.output import write
from rightsize.model.errors import UsageError
from rightsize.render import schemas

_CONFIG, _ROLLOUT = "config", "rollout"


@command(rows=True)
def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of a schema. Default: list them.", show_default=False)
    ] = None,
    *,
    common: Common,
) -> None:
    """Print the JSON Schema of a file that people write or programs read, for editors and checks.

    The schemas are plan, review, exemptions, exclusions, prices, rollout, and config, which is rightsize.toml.
    """
    described = {
        **schemas.DESCRIBED,
        _ROLLOUT: "rollout.json, which `rightsize rollout plan` writes",
        _CONFIG: f"{FILE}, which sets options",
    }
    if name is None:
        common.show([{"name": one, "describes": what} for one, what in described.items()], ("name", "describes"))
    elif name == _CONFIG:
        write(config_schema.config_schema())
    elif name == _ROLLOUT:
        write(bundle.bundle_schema())
    elif name in described:
        write(schemas.schema_text(name))
    else:
        raise UsageError(f"there is no schema `{name}`", hint=f"one of {', '.join(described)}")
