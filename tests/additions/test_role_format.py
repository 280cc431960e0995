"""A made-up form of role definitions is one file and one registration: it is written, deployed and read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.model.role_forms import to_arm
from rightsize.render.folder import write_folder
from rightsize.render.plan import plan_files
from rightsize.store.connection import open_store
from tests.additions.tree import Registration, with_addition
from tests.propose.small_tenant import CONTRIBUTOR, SUB, VM, SmallTenant

pytestmark = pytest.mark.slow


FORM = '''"""Write and read a role definition as lines of text: its name, then its actions."""

from collections.abc import Iterator

from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.iac.templates import Beside
from rightsize.render.deploy.contents import DeployContents
from rightsize.render.deploy.contents import RoleFormat


def _write(role: RoleDefinition) -> str:
    return "".join(f"{line}\\n" for line in (role.role_name, *role.permissions[0].actions))


def _write_plan(contents: DeployContents) -> dict[str, str]:
    return {f"{role.slug}.lines": _write(role.definition) for role in contents.roles}


def _read(text: str, _: Beside) -> Iterator[RoleDefinition]:
    name, *actions = text.splitlines()
    yield RoleDefinition("", name, (PermissionBlock(tuple(actions)),))


LINES = RoleFormat("lines", write_role=_write, write_plan=_write_plan, readers={".lines": _read})
'''
ENTRY = Registration(
    path="rightsize/render/deploy/files.py",
    after="TERRAFORM,",
    text="        LINES,",
    imported="from rightsize.render.deploy.lines import LINES",
)


def test_a_role_format_is_one_file_and_one_registration(tmp_path: Path) -> None:
    """Commands write a role and a plan in it, and read its files by their ending."""
    (tmp_path / "tree").mkdir()
    tree = with_addition(tmp_path / "tree", "rightsize/render/deploy/lines.py", FORM, ENTRY)
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    plan = tenant.plan()
    write_folder(plan_files(plan), tmp_path / "plan")
    open_store(tmp_path / "any.duckdb", read_only=False).close()
    (role,) = plan.roles
    (tmp_path / "role.json").write_text(json.dumps(to_arm(role.definition)), encoding="utf-8")

    words = ("plan", "files", "plan", "--format", "lines", "--out", "out", "--db", "any.duckdb")
    assert f"lines/{role.slug}.lines" in tree.run(*words, cwd=tmp_path).stdout
    text = tree.run("roles", "convert", "role.json", "--to", "lines", cwd=tmp_path).stdout
    assert text == (tmp_path / "out" / "lines" / f"{role.slug}.lines").read_text(encoding="utf-8")
    back = tree.run("roles", "contains", "role.json", f"out/lines/{role.slug}.lines", "-o", "json", cwd=tmp_path)
    assert json.loads(back.stdout)["contains"]
