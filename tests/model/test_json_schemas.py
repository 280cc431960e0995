"""JSON of strangers: the checks of a schema agree with a library's, and no value is left that a program cannot use."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rightsize.model.errors import InputError
from rightsize.model.json_schemas import SchemaChecks, load_object
from rightsize.model.plan_file import plan_checks
from tests.cli.foreign_texts import changed
from tests.plan_schema import validator

EXAMPLE = Path(__file__).parents[2] / "reports" / "example" / "plan.json"


def _takes(document: Any) -> str | None:
    try:
        plan_checks().require(document, "plan")
    except InputError as error:
        return error.message
    return None


@pytest.mark.slow
def test_the_checks_refuse_what_the_published_schema_refuses() -> None:
    """Each of many changes of a plan; of what the schema leaves open, we refuse what no program could use."""
    document = json.loads(EXAMPLE.read_bytes())
    document["proposals"] = document["proposals"][:4]
    assert _takes(document) is None
    schema, drawn = validator(strict=False), random.Random(1)  # noqa: S311  the same each time
    refused = 0
    for _ in range(300):
        foreign = changed(document, drawn)
        if not schema.is_valid(foreign):
            refused += 1
            assert _takes(foreign) is not None
    assert refused > 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"a": 1, "a": 2}', "a key twice"),
        (b'{"a": [NaN]}', r"`a\[0\]` is not a finite number"),
        (b'{"a": 1e999}', "`a` is not a finite number"),
        (b'{"a": 18446744073709551616}', "`a` is a number of more than 64 bits"),
        (b'{"a": "\\ud800"}', "`a` has an unpaired surrogate"),
        (b'{"\\ud800": 1}', "has an unpaired surrogate"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "is nested too deeply"),
        (b"[" * 100_000, "nested deeper"),
        (b"[]", "is not a JSON object"),
        (b"{", "no valid JSON"),
        (b"\xff\xfe\x00", "no valid JSON"),
    ],
)
def test_what_no_program_can_use_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        load_object(text, "it")
    raised.value.message.encode()


def test_the_message_names_the_place() -> None:
    checks = SchemaChecks({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}})
    with pytest.raises(InputError, match=r"x cannot be used: `a\[1\]` is not a whole number"):
        checks.require({"a": [1, True]}, "x")


def test_a_keyword_that_is_not_checked_is_an_error_of_the_schema() -> None:
    with pytest.raises(ValueError, match="maxLength"):
        SchemaChecks({"type": "string", "maxLength": 3})
