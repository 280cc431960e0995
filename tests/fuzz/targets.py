"""The parsers that read what others wrote, each with inputs to begin with."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rightsize.change.bundle import FORMAT as BUNDLE_FORMAT
from rightsize.change.bundle import read_bundle, write_bundle
from rightsize.change.journal import read_head, read_journal
from rightsize.cli.answers import read_line
from rightsize.cli.configuration import read_file, settings_of
from rightsize.cli.registry import CommandGroup
from rightsize.collect.pages import check_entry, check_manifest
from rightsize.ingest.pipeline import normalised_events
from rightsize.model.decisions import read_decisions
from rightsize.model.errors import InternalError, RightsizeError, UsageError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import load_json, read_role_definitions, to_arm
from rightsize.model.times import read_days, read_instant, read_moment
from rightsize.planes.graph.permissions import forms, parse_request
from rightsize.propose.core.options import read_exclusions
from rightsize.propose.verify.plan_reader import load_plan, read_plan
from rightsize.rbac.algebra import contains, grants
from rightsize.rbac.conditions import truth_of
from rightsize.rbac.scopes import parse_scope, type_paths
from rightsize.workflow.roles.sources import roles_of_bytes
from tests.ingest.parsing import staged
from tests.ingest.renderings import SHAPES, Call

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "reports" / "example"
CORPUS = Path(__file__).parent / "corpus"
GUID = "00000000-0000-0000-0000-000000000001"
SUBSCRIPTION = f"/subscriptions/{GUID}"
ROLE = PermissionBlock(actions=("M.X/a/*", "*/read"), not_actions=("M.X/a/b/write",), data_actions=("M.X/*/c",))


@dataclass(frozen=True, slots=True)
class Target:
    """A parser.

    Attributes:
        name: Its name, and the folder of its inputs in the corpus.
        parse: Reads an input, and raises only `RightsizeError`.
        seeds: Inputs to begin with.
    """

    name: str
    parse: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]

    def kept(self) -> list[Path]:
        """Return the inputs of the corpus, sorted."""
        return sorted((CORPUS / self.name).glob("*"))


def check(target: Target, data: bytes) -> None:
    """Parse one input; every error but one of ours, and every internal one of ours, is raised."""
    try:
        target.parse(data)
    except InternalError:
        raise
    except RightsizeError:
        return


def _in_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    """Return a parser of bytes for one that reads a file."""

    def parse(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name)
            path.write_bytes(data)
            return read(path)

    return parse


def _events(path: Path) -> object:
    _, chunks = normalised_events([path])
    return [len(chunk) for chunk in chunks]


def _staged(path: Path) -> object:
    connection, report = staged(path)
    with connection:
        rejected = connection.execute("SELECT count(*) FROM stage_rejects").fetchall()[0][0]
    # Nothing is lost in silence, and no count is below zero.
    assert all(file.read >= 0 and file.rejected >= 0 for file in report.files)
    assert rejected == sum(file.rejected for file in report.files)
    return rejected


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "replace"))


def _roles(data: bytes) -> object:
    """Read role definitions, and ask the algebra about whatever came of them."""
    roles = read_role_definitions(load_json(data))
    for role in roles:
        to_arm(role)
        grants(role.permissions, "M.X/a/b/read", "control")
        contains([ROLE], role.permissions)
        contains(role.permissions, [ROLE])
    return roles


def _collection(data: bytes) -> object:
    document = load_json(data)
    if isinstance(document, dict):
        check_manifest(document, "it")
    return check_entry(document, "it")


def _scope(text: str) -> object:
    scope = parse_scope(text)
    return type_paths(scope.key.split("/"))


def _times(text: str) -> None:
    for read in (read_moment, read_instant, read_days):
        with contextlib.suppress(ValueError):
            read(text)


def _bundle(data: bytes) -> object:
    """Read a bundle, and do with it what needs its values to be of their types."""
    bundle = read_bundle(data)
    sorted((swap.wave, swap.risk, swap.id, swap.wait + swap.wait_back) for swap in bundle.swaps)
    {held.id.lower() for swap in bundle.swaps for held in (*swap.creates, *swap.removes)}
    return bundle.waves, write_bundle(bundle)


def _configuration(path: Path) -> object:
    """Read a configuration file as found and as named, with the options of a command that has options of each kind."""
    command = CommandGroup().commands["propose"]
    for is_named in (False, True):
        file = read_file(path, is_named=is_named)
        with contextlib.suppress(UsageError):
            settings_of(file, command, {})
    return file.tables


def _plan(data: bytes) -> object:
    load_plan(data)
    return read_plan(data)


def _shapes() -> list[bytes]:
    calls = [Call(number) for number in range(2)]
    return [write(calls) for name, write in SHAPES.items() if "parquet" not in name]


def _listings() -> list[bytes]:
    role = {"name": GUID, "properties": {"roleName": "r", "permissions": [{"actions": ["M.X/a/*"], "notActions": []}]}}
    assigned = {"principalId": GUID, "roleDefinitionId": f"{SUBSCRIPTION}/x/{GUID}", "scope": SUBSCRIPTION}
    assignment = {
        "id": f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleAssignments/{GUID}",
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": assigned,
    }
    user = {"id": GUID, "displayName": "a", "userPrincipalName": "a@b.c", "accountEnabled": True}
    listed = {"id": f"{SUBSCRIPTION}/resourceGroups/g/providers/M.X/a/b", "type": "M.X/a", "location": "l"}
    manifest = {
        "format": "rightsize-exports/1",
        "tenant_id": GUID,
        "reader": {"id": GUID, "name": "r"},
        "started": "2026-01-01T00:00:00Z",
        "finished": "2026-01-01T01:00:00Z",
        "files": [{"path": "a", "kind": "resources", "query": "", "subscriptions": [GUID], "complete": True}],
    }
    tables = {"tables": [{"name": "PrimaryResult", "columns": [{"name": "Type", "type": "string"}], "rows": [["x"]]}]}
    documents = [{"value": [role]}, [assignment], {"value": [user]}, [listed], manifest, tables]
    return [json.dumps(one).encode() for one in documents] + [b"Operation name,Time,Caller\na,2026-01-01,b@c.d\n"]


def _examples(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(EXAMPLE / name).read_bytes() for name in names]


def _texts(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


DECISION = {
    "proposal": "p1",
    "content": "0" * 64,
    "decision": "accept",
    "by": "a",
    "decided": "2026-01-01",
    "reason": "r",
    "expires": None,
}
HELD = {"id": GUID, "scope": SUBSCRIPTION, "role": GUID, "principal_id": GUID, "principal_type": "User"}
SWAP = {
    "id": "s",
    "wave": 1,
    "creates": [HELD],
    "removes": [HELD],
    "proposals": ["p1"],
    "roles": [GUID],
    "wait": 600,
    "risk": 0.1,
    "covered": 1,
    "blind": 0,
}
BUNDLE = {
    "format_version": BUNDLE_FORMAT,
    "plan": "p",
    "emergency": [GUID],
    "swaps": [SWAP],
    "left_out": [],
    "roles": {},
    "old_roles": {},
    "order": {"canaries": [], "wave_size": 25, "only": [], "accepts_short_window": False},
    "names": {},
}
TERRAFORM = 'resource "azurerm_role_definition" "a" {\n name = "r"\n permissions {\n actions = ["M.X/a/read"]\n }\n}\n'
BICEP = (
    "resource a 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {\n name: 'g'\n properties: {\n roleName: 'r'\n"
    " permissions: [ { actions: [ 'M.X/a/read' ] } ]\n }\n}\n"
)
MODERN_BICEP = """param p string[] = [
 'M.X/a/read'
]
var v = { k: concat(p, ['${p[0]}/b']) }
module m './m.bicep' = {
 name: 'm'
}
@batchSize(1)
resource a 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [for (x, i) in [v, ...[v]]: if (i < 2) {
 name: guid('g')
 properties: {
 roleName: '${x.?n ?? i}'
 permissions: [{ actions: map(x.k, y => '${y}/c') }]
 }
}]
"""
LOOPED_TERRAFORM = (
    'locals {\n m = { for k in ["a", "b"] : k => { acts = flatten([["M.X/${k}/read"], var.v[*].x]) } if k != "c" }\n}\n'
    'variable "v" {\n type = list(object({ x = optional(string, "M.X/y") }))\n default = [{}]\n}\n'
    'resource "azurerm_role_definition" "a" {\n for_each = local.m\n name = each.key\n dynamic "permissions" {\n'
    "  for_each = [1]\n  content {\n   actions = try(each.value.acts, [])\n  }\n }\n}\n"
)
ARM_ROLE = {
    "type": "Microsoft.Authorization/roleDefinitions",
    "name": "[guid('x')]",
    "copy": {"name": "all", "count": "[length(variables('v'))]"},
    "properties": {
        "roleName": "[concat('r', copyIndex())]",
        "copy": [
            {
                "name": "permissions",
                "count": 2,
                "input": {"actions": ["[format('{0}/a', variables('v')[copyIndex('all')])]"]},
            }
        ],
    },
}
TEMPLATE = {
    "$schema": "x",
    "variables": {"v": ["M.X", "[format('{0}/a', parameters('p'))]"]},
    "parameters": {"p": {"defaultValue": "M.Y"}},
    "resources": [ARM_ROLE],
}
STATE = {
    "mode": "managed",
    "type": "azurerm_role_definition",
    "instances": [{"attributes": {"name": "r", "permissions": [{"actions": ["M.X/a/read"]}]}}],
}
CONDITION = (
    "((!(ActionMatches{'M.X/a/read'} AND NOT SubOperationMatches{'b'})) OR (@Resource[M.X/a:name] StringEquals 'c' AND "
    "@Request[M.X/a:id] ForAnyOfAnyValues:GuidEquals {" + GUID + "}))"
)

TARGETS = (
    Target("logs", _in_file(_events, "export"), _shapes),
    Target("listings", _in_file(_staged, "export"), _listings),
    Target("roles", _roles, _texts('{"Name": "r", "Actions": ["M.X/*/a"], "AssignableScopes": ["/"]}', "[]")),
    Target("terraform", lambda data: roles_of_bytes(data, "a.tf"), _texts(TERRAFORM, LOOPED_TERRAFORM)),
    Target("bicep", lambda data: roles_of_bytes(data, "a.bicep"), _texts(BICEP, MODERN_BICEP)),
    Target(
        "templates",
        lambda data: roles_of_bytes(data, "a.json"),
        _texts(
            json.dumps(TEMPLATE),
            json.dumps({"terraform_version": "1.9", "resources": [STATE]}),
            json.dumps(
                {"resource": {"azurerm_role_definition": {"a": {"permissions": {"actions": '${toset(["a"])}'}}}}}
            ),
        ),
    ),
    Target("conditions", _text(lambda text: truth_of(text, "m.x/a/read")), _texts(CONDITION)),
    Target("scopes", _text(_scope), _texts(f"{SUBSCRIPTION}/resourceGroups/g/providers/M.X/a/b/providers/M.Y/c/d")),
    Target(
        "graph",
        _text(lambda text: list(forms(parse_request(text).steps, "delegated"))),
        _texts("GET /v1.0/users/{id}/memberOf?$select=id", "POST https://graph.microsoft.com/beta/$batch"),
    ),
    Target("times", _text(_times), _texts("2026-01-02T03:04:05.678Z", "2026-01-02..2026-02-03", "1/2/2026 3:04 PM")),
    Target("plan", _plan, _examples("plan.json")),
    Target("bundle", _bundle, _texts(json.dumps(BUNDLE))),
    Target("journal", _in_file(read_journal, "journal.jsonl"), _texts('{"at": "x", "data": {}, "event": "begun"}\n')),
    Target("head", lambda data: read_head(data, Path("head")), _texts('{"lines": 1, "last": "0"}')),
    Target("decisions", lambda data: read_decisions(data, "review"), _texts(json.dumps(DECISION) + "\n")),
    Target(
        "exclusions",
        lambda data: [read_exclusions(data, form, "file") for form in ("toml", "json", "csv")],
        _texts('[[exclude]]\nprincipal = "a"\nreason = "r"\nowner = "o"\nexpires = 2027-01-01\n'),
    ),
    Target(
        "configuration",
        _in_file(_configuration, "rightsize.toml"),
        _texts('output = "json"\n[propose]\nreads = "none"\nexclude = ["a"]\nmax-break = 0.1\nas-of = 2026-01-01\n'),
    ),
    Target("bash", _text(lambda text: read_line(text, " @=:")), _texts("X=1 rightsize explain \"a b\" 'c d' e\\ f@g")),
    Target(
        "collection",
        _collection,
        _texts('{"started": "2026-01-01T00:00:00Z", "covers": [{"source": "a", "scope": "/", "first": "2026-01-01"}]}'),
    ),
)
