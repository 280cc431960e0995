"""The commands: for each its name, its group in the help, its line there, and its function, in the order of the help.

To add a command, write it into a module of `commands/` and add its line here. The module is imported when the command is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One line of the table of commands, which is read before the module of the command is imported.

    Attributes:
        name: The words after `rightsize`, such as `plan files`.
        group: The title in the help of `rightsize`; empty for a command below another word.
        summary: The first sentence of its help. A word with commands below it has no other help.
        function: `MODULE:FUNCTION` in `rightsize.cli.commands`; empty for a word with commands below it.
        environment: Variables of the environment that are set for it, unless the user has set them.
        default: For a word with commands below it: the command that takes a first word that is none of them.
    """

    name: str
    group: str
    summary: str
    function: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    default: str = ""


FREES_MEMORY = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:10,muzzy_decay_ms:0"}
"""For commands that plan a whole tenant: return memory that polars no longer needs after 10 ms. Kept, it is a quarter of
what the process holds after an analysis. Returned at once, most of it is asked for again, which takes two fifths longer.
Read by jemalloc when polars is loaded (its documentation, TUNING.md)."""
ONE_THREAD = {"POLARS_MAX_THREADS": "1"}
"""For commands about one principal, which take thousands of small steps: handing a step to another thread takes longer
than the step. Read by polars when it is loaded."""

# fmt: off
COMMANDS = (
    CommandEntry("demo", "Start", "Generate a sample tenant, load its exports, judge its assignments, and write a plan and a report into DIR.", "demo:demo"),
    CommandEntry("exports", "Start", "Write a script that fetches what `load` reads with `az`, over all subscriptions and management groups.", "collect:exports"),
    CommandEntry("collect", "Start", "Collect a tenant from Azure, Graph, Log Analytics and storage into raw pages, then load them.", "collect:collect"),
    CommandEntry("doctor", "Start", "Sign in, try each source once, and list the sources that `collect` could not read and the missing rights.", "collect:doctor"),
    CommandEntry("load", "Start", "Load exports, recognised by their content; loading the same export again changes nothing.", "load:load"),
    CommandEntry("catalog", "Start", "Load the catalogue of operations, roles and Graph permissions, and show its state."),
    CommandEntry("catalog import", "", "Load operations, roles and Graph permissions from files, recognised by content; other files are refused.", "collect:import_catalog"),
    CommandEntry("catalog refresh", "", "Load today's operations and roles from Azure, and the published map of Graph permissions if it changed.", "collect:refresh_catalog"),
    CommandEntry("catalog status", "", "Show the number of loaded operations and roles, and the hash of the catalogue that plans name.", "collect:show_catalog"),
    CommandEntry("status", "Start", "Show the loaded data, the days that each log covers, and the rejected records; `-v` names every scope.", "status:status"),
    CommandEntry("completion", "Start", "Print the script that makes a shell complete commands, options and names of the tenant.", "setup:completion"),
    CommandEntry("config", "Start", "Show the options of commands with their values, and where each value comes from."),
    CommandEntry("config show", "", "Show the options of a command with their values, and where each value comes from.", "setup:show_config"),
    CommandEntry("analyze", "Ask", "Judge each granted operation as used, unused, unobservable or out of coverage, and score creep and risk.", "analyze:analyze"),
    CommandEntry("explain", "Ask", "Show everything known about one principal: assignments, use, verdicts, evidence; quick after `analyze`.", "explain:explain"),
    CommandEntry("can", "Ask", "Show whether a principal may perform an operation at a scope, and which assignments decide it.", "can:can", ONE_THREAD),
    CommandEntry("who-can", "Ask", "List the principals that may perform an operation at a scope, and the assignments that decide it.", "can:who_can", ONE_THREAD),
    CommandEntry("check", "Ask", "Judge the store by controls on owners, permanent privileged roles, unused access and ways to gain rights.", "check:check"),
    CommandEntry("differences", "Ask", "List access that Defender or Advisor judges differently, with our verdict and its evidence.", "analyze:differences"),
    CommandEntry("reach", "Ask", "Show what an attacker gains with each principal or machine in any number of steps, today and under the plan.", "reach:reach"),
    CommandEntry("agents", "Ask", "List AI agents with owner, sponsor, own and inherited permissions, and where tokens disagree with them.", "identities:agents"),
    CommandEntry("layers", "Ask", "Show principals that can defeat two or more layers of defence in one subscription: granted, used and proposed.", "reach:layers"),
    CommandEntry("jobs", "Ask", "List the jobs of the tenant: who has each, what all, most and few of them do, and who does what alone.", "identities:jobs"),
    CommandEntry("report", "Ask", "Write the analysis and the proposals of a plan as one HTML file, which needs no network.", "analyze:report"),
    CommandEntry("mcp", "Ask", "Answer the questions of AI agents over stdin and stdout (Model Context Protocol); every tool only reads.", "setup:mcp", FREES_MEMORY),
    CommandEntry("propose", "Plan", "Write a plan of the smallest role assignments that would have allowed the observed use, with proof.", "propose:propose", FREES_MEMORY),
    CommandEntry("next", "Plan", "Show what to do first in a plan: what gives the tenant away, then waves.", "plan:next_"),
    CommandEntry("logs", "Plan", "Show which missing listings, logs and settings would decide most, with price, day and command for each.", "logs:logs"),
    CommandEntry("plan", "Plan", "Write a plan as files to deploy or as a comment to review, sign it, or write its schema."),
    CommandEntry("plan files", "", "Write the new roles and assignments of a plan for other deployment tools; the files remove nothing.", "plan:files_"),
    CommandEntry("plan comment", "", "Write a plan to stdout as a pull request comment: changes, reasons, proof and what may break.", "plan:comment_"),
    CommandEntry("plan sign", "", "Sign the chain of hashes of a plan with `ssh-keygen` or `minisign`; `verify --signers` checks the signature.", "plan:sign_"),
    CommandEntry("plan schema", "", "Write the JSON Schema of plan.json to stdout.", "plan:schema_"),
    CommandEntry("verify", "Plan", "Prove a plan again on today's store, and refuse it if it is stale.", "plan:verify"),
    CommandEntry("roles", "Plan", "Compare, expand and convert role definitions in files, for all possible operations."),
    CommandEntry("roles contains", "", "Check that BIG grants everything that SMALL grants, for all possible operations; exit with 3 if it does not.", "roles:contains"),
    CommandEntry("roles diff", "", "Show the operations that only A grants, and those that only B grants.", "roles:diff"),
    CommandEntry("roles expand", "", "List the operations that a role grants, from the store's catalogue or that of `--operations`.", "roles:expand"),
    CommandEntry("roles convert", "", "Write a role in another form to stdout; it is an error if the form cannot hold the whole role.", "roles:convert"),
    CommandEntry("roles check", "", "Show what a drafted role grants beyond a principal's use and access, and what it lacks.", "roles:check_role"),
    CommandEntry("roles no-new-access", "", "Check that a change of role definitions grants nothing new; exit with 3 if it does.", "roles:no_new_access"),
    CommandEntry("roles not-granted", "", "Check that no role in a file or folder grants given operations, with or without a condition.", "roles:not_granted"),
    CommandEntry("mine", "Plan", "Find the fewest roles that give each user exactly the listed permissions, with a proven lower bound.", "roles:mine"),
    CommandEntry("backtest", "Plan", "Make plans from the first days of the logs, and count the later calls that these plans would have denied.", "backtest:backtest", FREES_MEMORY),
    CommandEntry("review", "Review", "Decide on the proposals of a plan: `review PLAN` asks for each of them, the other commands never ask.", default="walk"),
    CommandEntry("review walk", "", "Walk through the open proposals, one a screen, with a key for each decision; `?` shows the keys.", "review:walk"),
    CommandEntry("review list", "", "Show the state of each proposal, and the totals of the review.", "review:list_"),
    CommandEntry("review accept", "", "Accept proposals: `rollout plan --review` includes only accepted ones.", "review:accept"),
    CommandEntry("review reject", "", "Reject proposals: `propose --review` keeps the assignments that they would change, with the reason.", "review:reject"),
    CommandEntry("review defer", "", "Defer proposals: they stay in the plan, and no rollout includes them.", "review:defer"),
    CommandEntry("review reopen", "", "Remove decisions from the file.", "review:reopen"),
    CommandEntry("rollout", "Change", "Apply an accepted plan to Azure, watch it, and roll it back."),
    CommandEntry("rollout plan", "", "Order a plan into swaps and waves, and check its preconditions.", "rollout:plan_"),
    CommandEntry("rollout apply", "", "Apply a wave: make new assignments, wait, read them back twice, then remove the old ones.", "rollout:apply_"),
    CommandEntry("rollout rollback", "", "Roll swaps back: restore removed assignments with id, condition and description, then remove the new ones.", "rollout:rollback_"),
    CommandEntry("rollout status", "", "Show the state of each swap, from the journal and the logs loaded since; exit with 3 if one is tripped.", "rollout:status_"),
    CommandEntry("watch", "Watch", "Load new data, compare it with the last pass, and report each change exactly once.", "watch:watch"),
    CommandEntry("signals", "Watch", "List alerts and risks with the principals that they name, calls in quarantine, or unusual days.", "contain:signals"),
    CommandEntry("contain", "Watch", "Write a plan with the smallest change that stops a suspected principal and the access it could gain next.", "contain:contain"),
    CommandEntry("sql", "Data", "Run one SQL statement that reads the store.", "data:sql"),
    CommandEntry("queries", "Data", "List, show and run the saved questions about the store."),
    CommandEntry("queries list", "", "List the saved questions.", "data:list_queries"),
    CommandEntry("queries show", "", "Print the SQL of a saved question, with its parameters and columns.", "data:show_query"),
    CommandEntry("queries run", "", "Answer a saved question from the store.", "data:run_query"),
    CommandEntry("schema", "Data", "Print the JSON Schema of a file that people write or programs read, for editors and checks.", "setup:schema"),
    CommandEntry("events", "Data", "Parse logs and print normalised events, one for each call, in order of time.", "data:events"),
    CommandEntry("export", "Data", "Write principals, assignments, roles, scopes, use, layers, coverage, findings and proposals as complete tables.", "data:export"),
    CommandEntry("prune", "Data", "Delete the single events and sign-ins of old days and shrink the store; daily use, coverage and sign-ins stay.", "data:prune"),
)
# fmt: on


def entries_below(name: str) -> dict[str, CommandEntry]:
    """Return the entries one word below a name, by that word; below the empty name are those of `rightsize` itself."""
    above = name.split()
    return {words[-1]: one for one in COMMANDS if (words := one.name.split())[:-1] == above}
