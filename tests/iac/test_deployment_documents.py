"""No document crashes the readers of deployments: one that deploys nothing is refused in a sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.iac.deployed.documents import needs_of, not_known, read_deployment
from rightsize.iac.templates import Beside
from rightsize.model.errors import InputError
from tests.iac.deployment_cases import GROUP, STORAGE

KEYS = (
    *("$schema", "contentVersion", "resources", "type", "name", "properties", "copy", "count", "condition", "scope"),
    *(
        "parameters",
        "variables",
        "template",
        "format_version",
        "terraform_version",
        "values",
        "planned_values",
        "after",
    ),
    *("root_module", "child_modules", "resource_changes", "change", "actions", "before", "after_unknown", "address"),
    *("mode", "configuration", "module_calls", "expressions", "references", "body", "changes", "resourceId", "outputs"),
    *("changeType", "id", "subnet_id", "resourceGroup", "subscriptionId", "dependsOn", "identity", "languageVersion"),
)
TEXTS = (
    "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    STORAGE,
    GROUP,
    "[resourceId('a/b', parameters('x'))]",
    "[concat(copyIndex(), variables('v'))]",
    "[listKeys(resourceId(",
    "managed",
    "azurerm_subnet",
    "azapi_resource",
    "create",
    "delete",
    "Microsoft.Resources/deployments",
    "1.2",
)


def value(draw: random.Random, depth: int = 4) -> object:
    """Return a value of JSON made of the words that documents of deployments have."""
    kind = draw.randrange(7) if depth else draw.randrange(5)
    if kind < 2:
        return draw.choice(TEXTS)
    if kind < 5:
        return draw.choice((None, True, -1, 10**18, 0.5, "", "\u202e", "[", "[parameters('"))
    size = draw.randrange(4)
    if kind == 5:
        return [value(draw, depth - 1) for _ in range(size)]
    return fields(draw, size, depth - 1)


def fields(draw: random.Random, size: int, depth: int = 4) -> dict[str, object]:
    return {draw.choice(KEYS): value(draw, depth) for _ in range(size)}


SHAPES = (
    {"$schema": TEXTS[0], "resources": [{"type": STORAGE, "name": "x"}]},
    {"format_version": "1.2", "resource_changes": [{"address": "a.b", "type": "azurerm_subnet", "mode": "managed"}]},
    {"format_version": "1.2", "values": {"root_module": {}}},
    {"changes": [{"resourceId": GROUP, "changeType": "Create"}]},
)


@pytest.mark.slow
@pytest.mark.random
@given(st.sampled_from(SHAPES), st.integers(0, 2**32))
def test_any_json_is_read_or_refused(shape: Mapping[str, object], seed: int) -> None:
    """Whatever JSON says, it is read, or refused as input."""
    draw = random.Random(seed)  # noqa: S311
    more = fields(draw, draw.randrange(8))
    for document in (more, {**shape, **more}, {**more, **shape}):
        with suppress(InputError):
            deployment = read_deployment(json.dumps(document).encode(), "x.json", at=GROUP)
            needs_of(deployment)
            not_known(deployment)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[", b"null", b"[]", b"{}", b"1", b'{"resources": 3}'])
def test_what_deploys_nothing_is_refused(content: bytes) -> None:
    """A file that is no deployment is refused with what would be one."""
    with pytest.raises(InputError) as refused:
        read_deployment(content, "x.json")

    assert refused.value.message.startswith("`x.json`: ")


def test_document_that_is_nested_too_deeply_is_refused() -> None:
    """A document that is nested without end is refused, and no stack runs over."""
    deep = '{"$schema":"deploymentTemplate.json#","resources":[' + '{"resources":[' * 5000 + "]}" * 5000 + "]}"

    with pytest.raises(InputError):
        needs_of(read_deployment(deep.encode(), "x.json"))


def test_loop_without_end_makes_as_many_as_azure_allows() -> None:
    """A loop is unrolled to the 800 resources that Azure allows, whatever its count says."""
    resource = {"type": STORAGE, "name": "[concat('a', copyIndex())]", "copy": {"name": "c", "count": 10**9}}
    content = json.dumps({"$schema": TEXTS[0], "resources": [resource]}).encode()

    made = [one for one in read_deployment(content, "x.json", at=GROUP).changes if one.kind == STORAGE]

    assert len(made) == 800


def test_compiled_template_beside_a_bicep_file_comes_first() -> None:
    """What Bicep compiled is read instead of the Bicep file, and it is said."""
    compiled = {
        "$schema": TEXTS[0],
        "metadata": {"_generator": {"name": "bicep", "version": "0.30.3"}},
        "resources": [{"type": STORAGE, "name": "compiled"}],
    }
    files = {"main.json": json.dumps(compiled).encode()}
    beside = Beside(files.get, lambda: tuple(files))

    deployment = read_deployment(b"resource s 'A.B/c@1' = {\n  name: 'x'\n}\n", "infra/main.bicep", beside, GROUP)

    assert {need.scope.rpartition("/")[2] for need in needs_of(deployment) if "Storage" in need.operation} == {
        "compiled"
    }
    assert any("`main.json` beside it was read" in said for said in not_known(deployment))
