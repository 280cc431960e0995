"""The commands: for each its name, its group in the help, its line there, and its function, in the order of the help.

To add a command, write its module and add its line here. The module is imported when the command is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of a command before its module is imported.

    Attributes:
        name: The words after `rightsize`, such as `plan files`.
        group: The title in the help of `rightsize`; empty for a command below another word.
        summary: The first sentence of its help. A word with commands below it has no other help.
        function: `MODULE:FUNCTION` in `rightsize.cli`; empty for a word with commands below it.
        environment: Variables of the environment that are set for it, unless the user has set them.
        default: For a word with commands below it: the command that takes a first word that is none of them.
    """

    name: str
    group: str
    summary: str
    function: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    default: str = ""


FREES_MEMORY = {"_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0"}
"""For commands that plan a whole tenant: return memory that polars no longer needs at once. Kept, it is a quarter of what
the process holds after an analysis. Returning it takes a fifth of the time of a short answer, so others keep it.
Read by jemalloc when polars is loaded (its documentation, TUNING.md)."""
ONE_THREAD = {"POLARS_MAX_THREADS": "1"}
"""For commands about one principal, which take thousands of small steps: handing a step to another thread takes longer
than the step. Read by polars when it is loaded."""

# fmt: off
COMMANDS = (
    Entry("demo", "Start", "Generate a sample tenant, load its exports, judge its assignments, and write a plan and a report into DIR.", "demo:demo"),
    Entry("exports", "Start", "Write a script that fetches what `load` reads with `az`, over all subscriptions and management groups.", "exports:exports"),
    Entry("collect", "Start", "Collect a tenant from Azure, Graph, Log Analytics and storage into raw pages, then load them.", "collect:collect"),
    Entry("doctor", "Start", "Sign in, try each source once, and list the sources that `collect` could not read and the missing rights.", "doctor:doctor"),
    Entry("load", "Start", "Load exports, recognised by their content; loading the same export again changes nothing.", "load:load"),
    Entry("catalog", "Start", "Load the catalogue of operations, roles and Graph permissions, and show its state."),
    Entry("catalog import", "", "Load operations, roles and Graph permissions from files, recognised by content; other files are refused.", "catalog:import_files"),
    Entry("catalog refresh", "", "Load today's operations and roles from Azure, and the published map of Graph permissions if it changed.", "catalog:refresh"),
    Entry("catalog status", "", "Show the number of loaded operations and roles, and the hash of the catalogue that plans name.", "catalog:status"),
    Entry("status", "Start", "Show the loaded data, the days that each log covers, and the rejected records; `-v` names every scope.", "status:status"),
    Entry("analyze", "Ask", "Judge each granted operation as used, unused, unobservable or out of coverage, and score creep and risk.", "analyze:analyze"),
    Entry("explain", "Ask", "Show everything known about one principal: assignments, use, verdicts, evidence; quick after `analyze`.", "explain:explain"),
    Entry("can", "Ask", "Show whether a principal may perform an operation at a scope, and which assignments decide it.", "can:can", ONE_THREAD),
    Entry("who-can", "Ask", "List the principals that may perform an operation at a scope, and the assignments that decide it.", "can:who_can", ONE_THREAD),
    Entry("check", "Ask", "Judge the store by controls on owners, permanent privileged roles, unused access and ways to gain rights.", "check:check"),
    Entry("reach", "Ask", "Show what an attacker gains with each principal or machine in any number of steps, today and under the plan.", "reach:reach"),
    Entry("layers", "Ask", "Show principals that can defeat two or more layers of defence in one subscription: granted, used and proposed.", "layers:layers"),
    Entry("report", "Ask", "Write the analysis and the proposals of a plan as one HTML file, which needs no network.", "report:report"),
    Entry("propose", "Plan", "Write a plan of the smallest role assignments that would have allowed the observed use, with proof.", "propose:propose", FREES_MEMORY),
    Entry("next", "Plan", "Show which changes of a plan to make first: those that remove the most excess for their effort and risk.", "next_steps:next_"),
    Entry("logs", "Plan", "Show which missing listings, logs and settings would decide most, with price, day and command for each.", "logs:logs"),
    Entry("plan", "Plan", "Write a plan as files to deploy or as a comment to review, sign it, or write its schema."),
    Entry("plan files", "", "Write the new roles and assignments of a plan for other deployment tools; the files remove nothing.", "plan:files_"),
    Entry("plan comment", "", "Write a plan to stdout as a pull request comment: changes, reasons, proof and what may break.", "plan:comment_"),
    Entry("plan sign", "", "Sign the chain of hashes of a plan with `ssh-keygen` or `minisign`; `verify --signers` checks the signature.", "plan:sign_"),
    Entry("plan schema", "", "Write the JSON Schema of plan.json to stdout.", "plan:schema_"),
    Entry("verify", "Plan", "Prove a plan again on today's store, and refuse it if it is stale.", "verify:verify"),
    Entry("roles", "Plan", "Compare, expand and convert role definitions in files, for all possible operations."),
    Entry("roles contains", "", "Check that BIG grants everything that SMALL grants, for all possible operations; exit with 3 if it does not.", "roles:contains"),
    Entry("roles diff", "", "Show the operations that only A grants, and those that only B grants.", "roles:diff"),
    Entry("roles expand", "", "List the operations that a role grants, from the store's catalogue or that of `--operations`.", "roles:expand"),
    Entry("roles convert", "", "Write a role in another form to stdout; it is an error if the form cannot hold the whole role.", "roles:convert"),
    Entry("roles no-new-access", "", "Check that a change of role definitions grants nothing new; exit with 3 if it does.", "role_gates:no_new_access"),
    Entry("roles not-granted", "", "Check that no role in a file or folder grants given operations, with or without a condition.", "role_gates:not_granted"),
    Entry("mine", "Plan", "Find the fewest roles that give each user exactly the listed permissions, with a proven lower bound.", "mine:mine"),
    Entry("backtest", "Plan", "Make plans from the first days of the logs, and count the later calls that these plans would have denied.", "backtest:backtest", FREES_MEMORY),
    Entry("review", "Review", "Decide on the proposals of a plan: `review PLAN` asks for each of them, the other commands never ask.", default="walk"),
    Entry("review walk", "", "Walk through the open proposals, one a screen, with a key for each decision; `?` shows the keys.", "review:walk"),
    Entry("review list", "", "Show the state of each proposal, and the totals of the review.", "review:list_"),
    Entry("review accept", "", "Accept proposals: `rollout plan --review` includes only accepted ones.", "review:accept"),
    Entry("review reject", "", "Reject proposals: `propose --review` keeps the assignments that they would change, with the reason.", "review:reject"),
    Entry("review defer", "", "Defer proposals: they stay in the plan, and no rollout includes them.", "review:defer"),
    Entry("review reopen", "", "Remove decisions from the file.", "review:reopen"),
    Entry("rollout", "Change", "Apply an accepted plan to Azure, watch it, and roll it back."),
    Entry("rollout plan", "", "Order a plan into swaps and waves, and check its preconditions.", "rollout:plan_"),
    Entry("rollout apply", "", "Apply a wave: make new assignments, wait, read them back twice, then remove the old ones.", "rollout:apply_"),
    Entry("rollout rollback", "", "Roll swaps back: restore removed assignments with id, condition and description, then remove the new ones.", "rollout:rollback_"),
    Entry("rollout status", "", "Show the state of each swap, from the journal and the logs loaded since; exit with 3 if one is tripped.", "rollout:status_"),
    Entry("watch", "Watch", "Load new data, compare it with the last pass, and report each change exactly once.", "watch:watch"),
    Entry("signals", "Watch", "List alerts and risks with the principals that they name, calls in quarantine, or unusual days.", "signals:signals"),
    Entry("contain", "Watch", "Write a plan with the smallest change that stops a suspected principal and the access it could gain next.", "contain:contain"),
    Entry("sql", "Data", "Run one SQL statement that reads the store.", "sql:sql"),
    Entry("queries", "Data", "List, show and run the saved questions about the store."),
    Entry("queries list", "", "List the saved questions.", "queries:list_"),
    Entry("queries show", "", "Print the SQL of a saved question, with its parameters and columns.", "queries:show_"),
    Entry("queries run", "", "Answer a saved question from the store.", "queries:run"),
    Entry("events", "Data", "Parse logs and print normalised events, one for each call, in order of time.", "events:events"),
    Entry("export", "Data", "Write principals, assignments, roles, scopes, use, layers, coverage, findings and proposals as complete tables.", "export:export"),
    Entry("prune", "Data", "Delete the single events and sign-ins of old days and shrink the store; daily use, coverage and sign-ins stay.", "prune:prune"),
)
# fmt: on


def entries_below(name: str) -> dict[str, Entry]:
    """Return the entries one word below a name, by that word; below the empty name are those of `rightsize` itself."""
    above = name.split()
    return {words[-1]: one for one in COMMANDS if (words := one.name.split())[:-1] == above}
