"""A role in every written form reads back as the same role, for any names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.render.deploy.files import ROLE_FORMATS
from rightsize.workflow.roles.sources import roles_of_bytes
from tests.examples import FEWEST, SOME

ENDINGS = {"bicep": ".bicep", "terraform": ".tf"}
GUID = "8311e382-0749-4cb8-b61a-304f252e45ec"
SCOPES = ("/subscriptions/00000000-0000-0000-0000-000000000001",)
HOSTILE = (
    "it's",
    "${jndi:ldap://x}",
    "$${a}",
    "%{ if true }",
    "[parameters('x')]",
    "[[x]]",
    "[x",
    "'''",
    "\\",
    "\\'${x}",
    'a"b',
    "\u202egnp\u200b",
    "line\nline\r\t",
    "\x1b[31m\x00",
    "漢字 \U0001f600",
    "// x",
    "}",
    "#",
)
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12))
ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(["*", "*/read", "N.A/t/write", "N.A/t's/${x}/read", "[N.A/[t]]"]), NAMES.map("N/".__add__)
    ),
    max_size=3,
).map(tuple)
BLOCKS = st.builds(PermissionBlock, ACTIONS, ACTIONS, ACTIONS, ACTIONS)
ROLES = st.builds(
    lambda name, description, block: RoleDefinition(GUID, name, (block,), "CustomRole", description, SCOPES),
    NAMES.map("R ".__add__),
    st.one_of(st.just(""), NAMES),
    BLOCKS,
)


def _back(role: RoleDefinition, form: str) -> tuple[RoleDefinition, ...]:
    return roles_of_bytes(ROLE_FORMATS[form].write_role(role).encode(), "role" + ENDINGS.get(form, ".json"))


@pytest.mark.parametrize("form", sorted(set(ROLE_FORMATS) - {"bicep"}))
@SOME
@given(role=ROLES)
def test_every_form_reads_back_as_the_same_role(form: str, role: RoleDefinition) -> None:
    """Parsing what was rendered is the identity, in the id, the name, the description, the scopes and every string."""
    assert _back(role, form) == (role,)


@FEWEST  # its parser takes a third of a second a role
@given(role=ROLES)
def test_bicep_reads_back_as_the_same_role(role: RoleDefinition) -> None:
    assert _back(role, "bicep") == (role,)


@pytest.mark.parametrize("form", ["arm", "bicep", "terraform"])
def test_hostile_names_are_text_in_every_language(form: str) -> None:
    """All of them, without the help of chance: in actions, in the name, in the description."""
    block = PermissionBlock(tuple(f"N/{name}" for name in HOSTILE), tuple(f"N/x{name}" for name in HOSTILE))
    role = RoleDefinition(GUID, " ".join(HOSTILE), (block,), "CustomRole", "".join(HOSTILE), SCOPES)
    assert _back(role, form) == (role,)
    for name in ("[x]", "[[x]", "[x"):
        small = RoleDefinition(GUID, name, (PermissionBlock(("N/x",)),), "CustomRole", name, SCOPES)
        assert _back(small, form) == (small,)


def test_a_condition_within_a_role_goes_where_it_can_be_said() -> None:
    """The flat forms and Terraform cannot say it, and do not leave it out in silence."""
    block = PermissionBlock(("N.A/t/read",), condition="@Resource[N:x] StringEquals 'a'", condition_version="2.0")
    role = RoleDefinition(GUID, "R", (block,), "CustomRole", "", SCOPES)
    for form in ("json", "arm", "bicep", "powershell-permissions"):
        assert _back(role, form) == (role,)
    for form in ("az", "powershell", "terraform"):
        with pytest.raises(InputError, match="cannot express"):
            ROLE_FORMATS[form].write_role(role)
