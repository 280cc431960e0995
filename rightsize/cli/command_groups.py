"""Show the commands in the groups of what people do with them, in the order in which they do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typing import Any

GROUPS = {
    "Start": ("demo", "exports", "collect", "doctor", "load", "catalog", "status"),
    "Ask": ("analyze", "explain", "can", "who-can", "check", "reach", "layers", "report"),
    "Plan": ("propose", "next", "logs", "plan", "verify", "roles", "mine", "backtest"),
    "Review": ("review",),
    "Change": ("rollout",),
    "Watch": ("watch", "signals", "contain"),
    "Data": ("sql", "queries", "events", "export", "prune"),
}
"""The groups by their title, each with its commands."""


class CommandGroups(TyperGroup):
    """The command line, whose help lists the commands by group, as wide as the terminal."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group; one command that is in no group stands under `Further`."""
        shown = {
            name: one for name in self.list_commands(ctx) if (one := self.get_command(ctx, name)) and not one.hidden
        }
        grouped = {name for names in GROUPS.values() for name in names}
        width = max(map(len, shown))
        for title, names in (*GROUPS.items(), ("Further", tuple(name for name in shown if name not in grouped))):
            rows = [(name.ljust(width), shown[name].get_short_help_str(200)) for name in names if name in shown]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
