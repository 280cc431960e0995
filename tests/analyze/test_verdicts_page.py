"""The page about verdicts has the numbers of the program, and that of reasons every reason."""

from __future__ import annotations

from pathlib import Path

from rightsize.analyze import inputs, reasons
from rightsize.cli.reference_pages import write_reasons_page
from rightsize.rules.tables import risk_weights

PAGE = (Path(__file__).parents[2] / "docs" / "verdicts.md").read_text(encoding="utf-8")
KINDS = (
    reasons.Attribution,
    reasons.Unused,
    reasons.UnobservableReason,
    reasons.OutOfCoverage,
    reasons.Unexplained,
)


def test_every_reason_stands_on_the_page_with_its_sentence() -> None:
    rows = [line.strip("| ").split(" | ") for line in write_reasons_page().splitlines() if line.startswith("| `")]
    told = {row[0].strip("`"): row[-1] for row in rows}
    assert told == {word.value: reasons.sentence(word) for kind in KINDS for word in kind}


def test_a_word_that_is_no_reason_stands_for_itself() -> None:
    assert reasons.sentence("something else") == "something else"


def test_the_formula_on_the_page_has_the_numbers_of_the_program() -> None:
    weights, reach = risk_weights(), inputs.REACH
    assert (weights["privilege"], weights["secret"], weights["code_execution"]) == (100, 60, 60)
    assert (weights["change"], weights["read"]) == (4, 1)
    assert [reach[level] for level in inputs.LEVELS] == [1, 4, 16, 64, 256]
    for number in (
        "100 for what gives privilege",
        "60 for",
        "4 for any other change",
        "1 for a read",
        "256 at the root",
    ):
        assert number in PAGE
