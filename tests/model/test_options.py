"""Each option of a plan is declared once, and everything that takes options has it from there."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer.main

from rightsize.cli.main import app
from rightsize.model.errors import UsageError
from rightsize.model.options import PlanChoices, WindowOptions, declared
from rightsize.model.plan_file import plan_schema_text
from rightsize.propose.core.options import PlanOptions


def test_a_declared_option_is_on_the_command_line_in_the_schema_and_in_the_plan() -> None:
    found: Any = typer.main.get_command(app)
    options = {one.name: one for one in found.commands["propose"].params}
    origin = json.loads(plan_schema_text())["properties"]["generated_from"]["properties"]
    everywhere = declared(PlanChoices).keys() - {"as_of"}
    assert everywhere <= origin["options"]["properties"].keys()
    set_ = PlanOptions(min_days=3, separate_layers=True, standby=("/",))
    assert set_.as_json().keys() >= everywhere
    for name, said in declared(PlanChoices).items():
        assert options[name].help == said.help
        assert [getattr(options[name].type, limit, None) for limit in ("min", "max")] == [said.least, said.most]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min_window": 0}, "`--min-window 0` is not a number from 1 up"),
        ({"forget_days": -1}, "`--forget-days -1` is not a number from 0 up"),
        ({"standing_hours": 745}, "`--standing-hours 745` is not a number from 0 to 744"),
        ({"max_break": float("nan")}, "`--max-break nan` is not a number from 0 to 1"),
        ({"reads": "some"}, "`--reads some` is not one of none, sibling, namespace, all"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_the_name_of_the_option(given: dict[str, Any], said: str) -> None:
    kind = WindowOptions if given.keys() <= declared(WindowOptions).keys() else PlanOptions
    with pytest.raises(UsageError, match=said):
        kind(**given)


def test_what_files_say_is_added_to_what_a_person_chose() -> None:
    chosen = PlanChoices(exclude=["a"], reads="none", min_window=30)  # type: ignore[arg-type]  as the command line has it
    options = PlanOptions.of(chosen)
    assert (options.exclude, options.reads, options.min_window, options.previous) == (("a",), "none", 30, ())
