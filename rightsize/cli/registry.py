"""The commands: for each its name, its group in the help, its line there, and its function, in the order of the help.

To add a command, write it into a module of `commands/` and add its line here. The module is imported when the command is called.

Find commands by the registry, import the one that is called, and list them in the help by group.

Load modules of rightsize when they are first used, so that the help of a command loads no engine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

from typer._click.shell_completion import CompletionItem
from typer.core import TyperGroup

from rightsize.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One line of the table of commands, which is read before the module of the command is imported.

    Attributes:
        name: The words after `rightsize`, such as `plan files`.
        group: The title in the help of `rightsize`; empty for a command below another word.
        summary: The first sentence of its help, of at most 70 characters. A word that is no command has no other help.
        function: `MODULE:FUNCTION` in `rightsize.cli.commands`; empty for a word that only has commands below it.
        environment: Variables of the environment that are set for it, unless the user has set them.
        is_weekly: Whether a team uses it each week, so that `rightsize help` lists it; `rightsize help --all` lists all.
    """

    name: str
    group: str
    summary: str
    function: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    is_weekly: bool = True


FREES_MEMORY = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:10,muzzy_decay_ms:0"}
"""For commands that plan a whole tenant: return memory that polars no longer needs after 10 ms. Kept, it is a quarter of
what the process holds after an analysis. Returned at once, most of it is asked for again, which takes two fifths longer.
Read by jemalloc when polars is loaded (its documentation, TUNING.md)."""
ONE_THREAD = {"POLARS_MAX_THREADS": "1"}
"""For commands about one principal, which take thousands of small steps: handing a step to another thread takes longer
than the step. Read by polars when it is loaded."""

# fmt: off
COMMANDS = (
    CommandEntry("demo", "Start", "Make a sample tenant with a plan and a report to try out.", "demo:demo"),
    CommandEntry("fetch-script", "Start", "Write a script that fetches a tenant's exports with `az`.", "collect:fetch_script"),
    CommandEntry("collect", "Start", "Read your tenant from Azure and Graph, and load it.", "collect:collect"),
    CommandEntry("load", "Start", "Load exports; loading the same one again changes nothing.", "load:load"),
    CommandEntry("status", "Start", "Show what is loaded, and which days the logs cover.", "status:status"),
    CommandEntry("status logs", "", "Show which missing logs and listings would decide most.", "logs:logs"),
    CommandEntry("status sources", "", "Sign in, try each source, and list the missing rights.", "collect:try_sources"),
    CommandEntry("catalog", "Start", "Load the catalogue of operations, roles and permissions.", is_weekly=False),
    CommandEntry("catalog import", "", "Load operations, roles and Graph permissions from files.", "collect:import_catalog"),
    CommandEntry("catalog refresh", "", "Load today's operations and roles from Azure.", "collect:refresh_catalog"),
    CommandEntry("catalog status", "", "Show what the loaded catalogue holds, and its hash.", "collect:show_catalog"),
    CommandEntry("completion", "Start", "Print the script that completes commands and names.", "setup:completion", is_weekly=False),
    CommandEntry("config", "Start", "Show options with their values, and where each comes from.", is_weekly=False),
    CommandEntry("config show", "", "Show options with their values, and where each comes from.", "setup:show_config"),
    CommandEntry("help", "Start", "List the usual commands, or explain one.", "setup:help_", is_weekly=False),
    CommandEntry("schema", "Start", "Print the JSON Schema of a file, for editors and checks.", "setup:schema", is_weekly=False),
    CommandEntry("analyze", "Ask", "Judge whether each granted operation was used.", "analyze:analyze"),
    CommandEntry("explain", "Ask", "Show everything known about one principal.", "explain:explain"),
    CommandEntry("can", "Ask", "Show whether a principal may perform an operation, and why.", "can:can", ONE_THREAD),
    CommandEntry("who-can", "Ask", "List the principals that may perform an operation, and why.", "can:who_can", ONE_THREAD),
    CommandEntry("needs", "Ask", "Show which operations a deployment takes, and where.", "can:needs"),
    CommandEntry("reach", "Ask", "Show what an attacker gains with each principal or machine.", "reach:reach"),
    CommandEntry("reach layers", "", "List who can defeat several layers of one subscription.", "reach:layers"),
    CommandEntry("check", "Ask", "Check the tenant by controls, as a report or as a gate.", "check:check"),
    CommandEntry("report", "Ask", "Write the analysis and the plan as one HTML file.", "analyze:report"),
    CommandEntry("sql", "Ask", "Run one SQL statement that reads the store.", "data:sql"),
    CommandEntry("queries", "Ask", "List, show and run the saved questions about the store.", is_weekly=False),
    CommandEntry("queries list", "", "List the saved questions.", "data:list_queries"),
    CommandEntry("queries show", "", "Print the SQL of a saved question.", "data:show_query"),
    CommandEntry("queries run", "", "Answer a saved question from the store.", "data:run_query"),
    CommandEntry("differences", "Ask", "List access that Defender or Advisor judges differently.", "analyze:differences", is_weekly=False),
    CommandEntry("agents", "Ask", "List AI agents with their owners, permissions and use.", "identities:agents", is_weekly=False),
    CommandEntry("events", "Ask", "Parse logs, and print one normalised event for each call.", "data:events", is_weekly=False),
    CommandEntry("export", "Ask", "Write the content of the store as complete tables.", "data:export", is_weekly=False),
    CommandEntry("mcp", "Ask", "Answer the questions of AI agents (MCP); it only reads.", "setup:mcp", FREES_MEMORY, is_weekly=False),
    CommandEntry("propose", "Plan", "Write a plan of the smallest roles for what was used.", "propose:propose", FREES_MEMORY),
    CommandEntry("next", "Plan", "Show what to do first: what gives the tenant away.", "plan:next_"),
    CommandEntry("jobs", "Plan", "List the jobs of the tenant, and who does what alone.", "identities:jobs"),
    CommandEntry("plan", "Plan", "Prove, sign, deploy or comment on a written plan."),
    CommandEntry("plan verify", "", "Prove a plan on today's store, and refuse a stale one.", "plan:verify"),
    CommandEntry("plan files", "", "Write the roles and assignments of a plan for other tools.", "plan:files_"),
    CommandEntry("plan patch", "", "Write a plan as patches of your own Terraform and Bicep.", "plan:patch_"),
    CommandEntry("plan comment", "", "Write a plan to stdout as a pull request comment.", "plan:comment_"),
    CommandEntry("plan sign", "", "Sign a plan with `ssh-keygen` or `minisign`.", "plan:sign_"),
    CommandEntry("plan schema", "", "Write the JSON Schema of plan.json to stdout.", "plan:schema_"),
    CommandEntry("roles", "Plan", "Compare, expand and convert role definitions in files."),
    CommandEntry("roles contains", "", "Check that BIG grants everything that SMALL grants.", "roles:contains"),
    CommandEntry("roles diff", "", "Show the operations that only one of two roles grants.", "roles:diff"),
    CommandEntry("roles expand", "", "List the operations that a role grants.", "roles:expand"),
    CommandEntry("roles convert", "", "Write a role in another form to stdout.", "roles:convert"),
    CommandEntry("roles check", "", "Show what a drafted role grants in excess, and lacks.", "roles:check_role"),
    CommandEntry("roles no-new-access", "", "Check that a change of roles grants nothing new.", "roles:no_new_access"),
    CommandEntry("roles not-granted", "", "Check that no role in files grants given operations.", "roles:not_granted"),
    CommandEntry("mine", "Plan", "Find the fewest roles that grant exactly what is listed.", "roles:mine", is_weekly=False),
    CommandEntry("backtest", "Plan", "Count the later calls that earlier plans would have denied.", "backtest:backtest", FREES_MEMORY, is_weekly=False),
    CommandEntry("review", "Change", "Decide on the proposals of a plan, one by one.", "review:walk"),
    CommandEntry("review list", "", "Show the state of each proposal, and the totals.", "review:list_"),
    CommandEntry("review accept", "", "Accept proposals, so that a rollout includes them.", "review:accept"),
    CommandEntry("review reject", "", "Reject proposals, so that the next plan keeps the access.", "review:reject"),
    CommandEntry("review defer", "", "Defer proposals: they stay, and no rollout includes them.", "review:defer"),
    CommandEntry("review reopen", "", "Remove decisions from the file.", "review:reopen"),
    CommandEntry("rollout", "Change", "Apply an accepted plan to Azure, or roll it back."),
    CommandEntry("rollout plan", "", "Order a plan into swaps and waves, and check what it needs.", "rollout:plan_"),
    CommandEntry("rollout apply", "", "Apply a wave: add, read back twice, then remove.", "rollout:apply_"),
    CommandEntry("rollout rollback", "", "Restore what a rollout removed, then remove what it added.", "rollout:rollback_"),
    CommandEntry("rollout status", "", "Show the state of each swap, by the journal and the logs.", "rollout:status_"),
    CommandEntry("watch", "Watch", "Load new data, and report each change exactly once.", "watch:watch"),
    CommandEntry("signals", "Watch", "List alerts, risks, quarantined calls or unusual days.", "contain:signals"),
    CommandEntry("contain", "Watch", "Write a plan that stops a suspected principal.", "contain:contain"),
    CommandEntry("prune", "Watch", "Delete single events of old days; daily use stays.", "data:prune", is_weekly=False),
)
# fmt: on


def entries_below(name: str) -> dict[str, CommandEntry]:
    """Return the entries one word below a name, by that word; below the empty name are those of `rightsize` itself."""
    above = name.split()
    return {words[-1]: one for one in COMMANDS if (words := one.name.split())[:-1] == above}


OLD_NAMES: Mapping[str, str] = {
    "doctor": "status sources",
    "exports": "fetch-script",
    "layers": "reach layers",
    "logs": "status logs",
    "review walk": "review",
    "verify": "plan verify",
}
"""The name of each renamed command, by its earlier name. Earlier names work in this version and stand in no help, and so
do their tables in `rightsize.toml` and their variables."""


def old_names_of(name: str) -> list[str]:
    """Return the earlier names of a command."""
    return [old for old, new in OLD_NAMES.items() if new == name]


def with_new_name(words: Sequence[str]) -> tuple[list[str], str]:
    """Return a command line with the name of today, and the earlier name that it had; empty if it had none."""
    for old, new in OLD_NAMES.items():
        length = len(old.split())
        if list(words[:length]) == old.split():
            return [*new.split(), *words[length:]], old
    return list(words), ""


FIRST_GUESSES: Mapping[str, str] = {
    "apply": "`rightsize rollout apply` changes Azure, after `rightsize propose` and `rightsize review`",
    "audit": "`rightsize check` judges the tenant by controls, and `rightsize analyze` each granted operation",
    "diff": "`rightsize watch` reports what changed since its last pass, and `rightsize roles diff` compares two roles",
    "fetch": "`rightsize fetch-script` writes the script that fetches exports, and `rightsize collect` reads the tenant itself",
    "fix": "`rightsize propose` writes a plan, and only `rightsize rollout apply` changes Azure by it",
    "import": "`rightsize load` reads exports, and `rightsize catalog import` operations and roles",
    "init": "nothing has to be set up: `rightsize demo` makes a sample, and `rightsize fetch-script` begins with your tenant",
    "list": "`rightsize analyze` lists all principals, and `rightsize who-can` those that may perform an operation",
    "login": "`az login` signs in, which rightsize uses, and `rightsize status sources` shows what you may read",
    "query": "`rightsize sql` runs a statement, and `rightsize queries run` a saved question",
    "recommend": "`rightsize propose` writes a plan, and `rightsize next` shows which of its changes to make first",
    "rollback": "`rightsize rollout rollback` restores what a rollout removed",
    "scan": "`rightsize collect` reads the tenant, and `rightsize analyze` judges what is loaded",
    "show": "`rightsize explain` shows everything known about one principal, and `rightsize status` what is loaded",
    "simulate": "`rightsize backtest` counts the later calls that earlier plans would have denied",
    "suggest": "`rightsize propose` writes a plan, and `rightsize next` shows which of its changes to make first",
    "users": "`rightsize analyze` lists all principals, and `rightsize explain` shows everything about one of them",
    "validate": "`rightsize plan verify` proves a plan on today's store",
    "version": "`rightsize --version` shows it",
}
"""The right command, and why, for words that newcomers try first."""


class _LazyFinder(MetaPathFinder):
    """Find the modules of rightsize, and leave their loading to their first use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module stands; None for modules of others."""
        if not fullname.startswith("rightsize."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations is None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lazy_modules() -> Iterator[None]:
    """Let `from rightsize.PACKAGE import MODULE` within the block load the module when it is first used.

    `from rightsize.PACKAGE.MODULE import NAME` uses the module, so it loads it at once.

    Python before 3.11.9 does not guard a first use by two threads. A command first uses its workflow in its own thread.
    """
    finder = _LazyFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


_ITSELF = ""
"""The key of a word that is itself a command, among the commands below the word."""


class CommandGroup(TyperGroup):
    """The commands below a word, or below `rightsize` itself; the word may be a command, too.

    A subclass of typer's group, which wants all commands to be imported: their names, and their lines in the help, come
    from the registry.
    """

    def __init__(self, *, below: str = "", itself: CommandEntry | None = None, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": None})
        self.below = below
        self.entries = entries_below(below)
        every = {_ITSELF: itself, **self.entries} if itself is not None else self.entries
        self.commands = _ImportedCommands(every)  # type: ignore[assignment]  # typer only reads them

    @property
    def itself(self) -> Any:
        """The command that the word is without one of those below it; None where it has to be followed by one."""
        return self.commands.get(_ITSELF)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return name, command and rest of a command line.

        Raises:
            UsageError: The word is no command but one that newcomers try first.
        """
        guess = None if self.below else FIRST_GUESSES.get(args[0])
        if guess is not None and not ctx.resilient_parsing:
            raise UsageError(f"no such command `{args[0]}`: {guess}", hint="`rightsize help` lists the commands")
        name, called, rest = super().resolve_command(ctx, args)
        if isinstance(called, CommandGroup) and called.itself is not None and not {*rest[:1]} & called.entries.keys():
            return name, called.itself, rest
        return name, called, rest

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  typer hands the context over
        """Return the names of the commands, in the order of the registry, without importing one."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return the command of a name, which is imported for it; None where there is none."""
        return self.commands[cmd_name] if cmd_name in self.entries else None

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with a text, without importing a command."""
        found = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        # Past typer's method, which imports every command.
        found += super(TyperGroup, self).shell_complete(ctx, incomplete)
        return found

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the line of each command; of `rightsize` itself those that a team uses each week."""
        write_lines(formatter, [(name, one) for name, one in self.entries.items() if one.is_weekly])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Say where the other commands stand."""
        super().format_epilog(ctx, formatter)
        if not self.below:
            formatter.write_paragraph()
            formatter.write_text(
                "`rightsize help COMMAND` explains a command. `rightsize help --all` lists all "
                f"{len(self.entries)} commands, with those below them."
            )


def write_lines(formatter: Any, entries: Iterable[tuple[str, CommandEntry]]) -> None:
    """Write the names of commands with their lines, in their groups; an entry without a group follows the last one."""
    sections: dict[str, list[tuple[str, str]]] = {}
    title = "Commands"
    for name, entry in entries:
        title = entry.group or title
        sections.setdefault(title, []).append((name, entry.summary))
    width = max(len(name) for lines in sections.values() for name, _ in lines)
    for section, lines in sections.items():
        with formatter.section(section):
            formatter.write_dl([(name.ljust(width), line) for name, line in lines])


class _ImportedCommands(Mapping[str, Any]):
    """The commands of a group by name; one is imported when it is asked for."""

    def __init__(self, entries: Mapping[str, CommandEntry]) -> None:
        self._entries = entries
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            made = self._imported[name] = _command_of(name, self._entries[name])
            made.beside = self
        return self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _command_of(name: str, entry: CommandEntry) -> Any:
    if name and entries_below(entry.name):
        return CommandGroup(
            below=entry.name,
            itself=entry if entry.function else None,
            name=name,
            help=entry.summary,
            no_args_is_help=True,
            rich_markup_mode=None,
        )
    module, _, function = entry.function.partition(":")
    with lazy_modules():
        return getattr(import_module(f"rightsize.cli.commands.{module}"), function).build(entry.name)
