"""`rightsize explain`: show everything known about one principal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.commands.identities import agent_lines
from rightsize.cli.commands.reach import way_lines
from rightsize.cli.layout import terminal_width, wrapped
from rightsize.cli.narration import say
from rightsize.cli.output import write
from rightsize.model.options import WindowOptions
from rightsize.render.escape import for_shell, for_terminal
from rightsize.workflow.answers import explain as workflow

COLUMNS = ("section", "what", "where", "count", "first_seen", "last_seen", "why")
_ABOUT = ("principal_id", "app_id", "display_name", "user_type", "account_enabled", "created_on", "last_sign_in")


@command()
def explain(
    principal: Annotated[
        str,
        typer.Argument(
            help="Object id, UPN, application id or display name, or a beginning that is unique; or the id of a "
            "proposal, whose holder it shows."
        ),
    ],
    *,
    window: WindowOptions,
    common: Common,
) -> None:
    """Show everything known about one principal.

    That is assignments, use, verdicts and evidence; it is quick after `analyze`.
    """
    answer = workflow.explain(common.db, principal, window, note=say)
    if common.is_table:
        write("".join(_lines(answer)))
        common.say_next(common.with_db(_next(answer)))
    else:
        common.show(list(_flat(answer)), COLUMNS, document=answer)


def _next(answer: dict[str, Any]) -> str:
    """Return the next step: what an attacker gains, the calls behind use that nothing allows, or a plan."""
    if answer["reach"]["ways"]:
        return f"rightsize reach {for_shell(answer['identity']['principal_id'])}"
    return "rightsize propose"


def _flat(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the answer as rows, for formats that have no nesting."""
    for name, value in answer["identity"].items():
        yield _row("identity", name, why=value)
    for group in answer["groups"]:
        yield _row("groups", group["group_id"], why=group["name"])
    for item in answer["assignments"]:
        why = " ".join(filter(None, (item["state"], item["condition"])))
        yield _row("assignments", item["role_name"], item["scope"], first_seen=item["created_on"], why=why)
    for item in answer["verdicts"]:
        yield _row("verdicts", item["verdict"], item["plane"], item["operations"], why=item["reason"])
    for section in ("used", "unexplained"):
        for item in answer[section]:
            seen = {"first_seen": item["first_seen"], "last_seen": item["last_seen"]}
            yield _row(section, item["operation"], item["scope"], item["events"], why=item["reason"], **seen)
    for item in answer["used_earlier"]:
        seen = {"first_seen": item["first_seen"], "last_seen": item["last_seen"]}
        why = f"last used {item['days_ago']} days ago"
        yield _row("used_earlier", item["operation"], item["scope"], item["events"], why=why, **seen)
    for item in answer["declared"]:
        yield _row("declared", item["operation"], item["scope"])
    for item in answer["denied"]:
        yield _row("denied", item["operation"], item["scope"], item["denied"])
    for item in answer["sign_ins"]:
        what = item["resource_name"] or item["resource_id"]
        yield _row("sign_ins", what, item["kind"], item["succeeded"], last_seen=item["last_seen"])
    for item in answer["activations"]:
        seen = {"first_seen": item["start_on"], "last_seen": item["end_on"]}
        yield _row("activations", item["role_definition_id"], item["scope"], item["events"], why=item["plane"], **seen)
    for item in answer.get("agent", {}).get("permissions", ()):
        why = " ".join(filter(None, (item["origin"], item["verdict"], item.get("mode"))))
        yield _row(
            "agent", item["permission"], item["access"], item.get("events"), last_seen=item.get("last_seen"), why=why
        )
    yield from _flat_beside(answer)


def _flat_beside(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows besides granted and used: calls by token, other access, findings, reach."""
    for item in answer["tokens"]:
        seen = {"first_seen": item["first_seen"], "last_seen": item["last_seen"]}
        yield _row("tokens", item["plane"], item["sign_in_kind"], item["calls"], why=item["source"], **seen)
    for item in answer["other_access"]:
        yield _row(
            "other_access",
            item["access"],
            item["resource"],
            item["events"],
            last_seen=item["last_seen"],
            why=item["source"],
        )
    for item in answer["findings"]:
        yield _row("findings", item["control"], item["subject"], why=item["reason"])
    for item in answer["reach"]["ways"]:
        steps = "; ".join(f"{step['why']} > {step['to']}" for step in item["steps"])
        yield _row("reach", item["name"], item["target"], len(item["steps"]), why=steps)


def _row(section: str, what: object, where: object = None, count: object = None, **more: object) -> dict[str, Any]:
    return {"section": section, "what": what, "where": where, "count": count} | more


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    """Yield the answer as text that fits the terminal; every line is escaped."""
    width = terminal_width()
    for line in _text(answer):
        safe = for_terminal(line)
        indent = " " * (len(safe) - len(safe.lstrip()) + 2)
        margin = indent[2:]
        yield "\n".join(wrapped(safe[len(margin) :], width, indent=margin, hanging=indent)) + "\n"


def _text(answer: dict[str, Any]) -> Iterator[str]:
    identity, window = answer["identity"], answer["window"]
    name = identity["user_principal_name"] or identity["display_name"] or identity["principal_id"]
    yield f"{name}  ({identity['principal_type'] or 'unknown type'})"
    for field in _ABOUT:
        if identity[field] not in (None, name):
            yield f"  {field.replace('_', ' ')}: {identity[field]}"
    yield f"  window: {window['first_day']} to {window['last_day']}"
    for item in answer["scores"]:
        yield (
            f"  {item['plane']}: {item['granted']} operations granted, {item['used']} used; "
            f"creep {_score(item['creep'], item['bucket'])}, risk {_score(item['risk'])}"
        )
    yield from _agent(answer.get("agent"))
    yield from _section("groups", answer["groups"], _group)
    yield from _section("assignments", answer["assignments"], _assignment)
    yield from _section("verdicts", answer["verdicts"], _verdict)
    yield from _section("used", answer["used"], _use)
    yield from _section("used before the window, still kept", answer["used_earlier"], _earlier_use)
    yield from _section("declared by code, still kept", answer["declared"], _declared_need)
    yield from _section("unexplained use", answer["unexplained"], _use)
    yield from _section("denied calls (never count as use)", answer["denied"], _refusal)
    yield from _section("activations", answer["activations"], _activation)
    yield from _section("sign-ins", answer["sign_ins"], _sign_in)
    yield from _section("calls by token", answer["tokens"], _token)
    yield from _section("access without Azure roles", answer["other_access"], _other_access)
    yield from _section("findings", answer["findings"], _finding)
    yield from _reach(answer["reach"])


def _score(score: float | None, bucket: str | None = None) -> str:
    if score is None:
        return "not known"
    return f"{score:.0f} ({bucket})" if bucket else f"{score:.0f}"


def _reach(reach: dict[str, Any]) -> Iterator[str]:
    if reach["ways"] or reach["cells"]:
        yield ""
        yield "what an attacker gains with it"
        yield from way_lines(reach)


def _section(
    title: str, items: list[dict[str, Any]], lines: Callable[[dict[str, Any]], Iterator[str]]
) -> Iterator[str]:
    if items:
        yield ""
        yield title
        for item in items:
            yield from lines(item)


def _agent(agent: dict[str, Any] | None) -> Iterator[str]:
    """Yield what is told of an AI agent or the principal of a blueprint."""
    if agent is None:
        return
    yield ""
    yield f"{agent['kind'].replace('_', ' ')} (Entra Agent ID)"
    for line in agent_lines(agent):
        yield f"  {line}"
    for item in agent["permissions"]:
        mode = f", {item['mode']}" if item.get("mode") else ""
        token = {True: "; in its tokens", False: "; in none of its tokens"}.get(item.get("in_token"), "")
        yield f"  {item['permission']} ({item['access']}, {item['origin'].replace('_', ' ')}{mode})"
        verdict = (item["verdict"] or "not computed").replace("_", " ")
        yield f"    {verdict}: {item['reason'] or 'a token held it'}{token}"


def _group(item: dict[str, Any]) -> Iterator[str]:
    way = f"  via {', '.join(item['via'])}" if item["via"] else ""
    yield f"  {item['name']}"
    yield f"    {item['group_id']}{way}"


def _assignment(item: dict[str, Any]) -> Iterator[str]:
    until = f", until {item['end_on']:%Y-%m-%d}" if item["end_on"] else ""
    yield f"  {item['role_name']}  ({item['state']}{until})"
    yield f"    at {item['scope']}"
    if item["via"]:
        yield f"    through group {' of group '.join(item['via'])}"
    if item["condition"]:
        yield f"    if {item['condition']}"
    for count in item["verdicts"]:
        number = "?" if count["operations"] is None else count["operations"]
        yield f"    {count['plane']:8}{number:>6} {count['verdict'].replace('_', ' ')}: {count['reason']}"


def _verdict(item: dict[str, Any]) -> Iterator[str]:
    yield f"  {item['plane']:8}{item['operations']:>6} {item['verdict'].replace('_', ' ')}: {item['reason']}"
    if item["meaning"] != item["reason"]:
        yield f"                 {item['meaning']}"


def _use(item: dict[str, Any]) -> Iterator[str]:
    if item["operation"] is None:
        # Requests of Microsoft's own applications to Graph are counted, not listed one by one.
        yield f"  several operations of {item['plane']}, by {item['reason']}"
        return
    yield f"  {item['operation']}"
    yield f"    at {item['scope']}"
    days = f"{item['events']} calls on {item['days']} days"
    yield f"    {days}, {item['first_seen']:%Y-%m-%d} to {item['last_seen']:%Y-%m-%d}, by {item['reason']}"


def _earlier_use(item: dict[str, Any]) -> Iterator[str]:
    yield f"  {item['operation']}"
    yield f"    at {item['scope']}"
    calls = "1 call" if item["events"] == 1 else f"{item['events']} calls"
    yield f"    last used {item['days_ago']} days ago, on {item['last_seen']:%Y-%m-%d}; {calls}"


def _declared_need(item: dict[str, Any]) -> Iterator[str]:
    yield f"  {item['operation']}"
    yield f"    at {item['scope']}; nothing shows that it was used"


def _refusal(item: dict[str, Any]) -> Iterator[str]:
    yield f"  {item['operation']}"
    yield f"    at {item['scope']}, {item['denied']} times"


def _activation(item: dict[str, Any]) -> Iterator[str]:
    until = f" to {item['end_on']:%m-%d %H:%M}" if item["end_on"] else ""
    reason = {True: "", False: ", without a reason", None: ""}[item["justified"]]
    yield f"  {item['start_on']:%Y-%m-%d %H:%M}{until}{reason}"
    yield f"    at {item['scope']}"
    if not item["events"]:
        yield "    no log shows a call during it"
    for name in item["done"]:
        yield f"    {name}"


def _sign_in(item: dict[str, Any]) -> Iterator[str]:
    what = item["resource_name"] or item["resource_id"]
    yield f"  {what}: {item['succeeded']} {item['kind'].replace('_', '-')} on {item['days']} days"


def _token(item: dict[str, Any]) -> Iterator[str]:
    kind = item["sign_in_kind"]
    of = f"{kind.replace('_', '-')} sign-ins" if kind else "sign-ins that no loaded log shows"
    tokens = f"{item['tokens']} token{'s' if item['tokens'] != 1 else ''}"
    yield f"  {item['plane']}: {item['calls']} calls with {tokens} of {of}"
    if item["moved"]:
        yield f"    {item['moved']} of these tokens were used from several addresses"


_ACCESS = {
    "access_policy": "by an access policy",
    "own_roles": "by roles of the service",
    "unmapped": "by operations that no rule maps",
}


def _other_access(item: dict[str, Any]) -> Iterator[str]:
    yield f"  {item['resource']}"
    yield f"    {item['events']} requests on {item['days']} days {_ACCESS[item['access']]}"


def _finding(item: dict[str, Any]) -> Iterator[str]:
    yield f"  {item['control']} ({item['severity']}): {item['reason']}"
    yield f"    {item['subject']}"
