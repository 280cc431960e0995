"""Each form of a check report is valid for its readers, and hostile names stay text in all of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from junitparser import JUnitXml
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from sarif_pydantic import Sarif

from rightsize.render import check_forms
from rightsize.render.check_forms import (
    FINDING_COLUMNS,
    control_rows,
    finding_rows,
    report_document,
    write_annotations,
    write_junit,
    write_sarif,
    write_summary,
)
from rightsize.render.check_ocsf import write_ocsf
from rightsize.render.rows import write_separated
from tests.render.check_reports import HOSTILE, finding, mixed, outcome, report


def _run() -> dict[str, Any]:
    run: dict[str, Any] = json.loads(write_sarif(mixed()))["runs"][0]
    return run


def _events() -> list[dict[str, Any]]:
    return [json.loads(line) for line in write_ocsf(mixed()).split("\n")[:-1]]


@pytest.fixture(scope="module")
def validators() -> dict[int, jsonschema.Draft202012Validator]:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.6.0"))
    names = {2003: "compliance_finding", 2008: "iam_analysis_finding"}
    return {
        uid: jsonschema.Draft202012Validator(schema.get_class_schema(name, ["cloud"])) for uid, name in names.items()
    }


def test_sarif_is_what_the_standard_says() -> None:
    """The log has the shape of SARIF 2.1.0; every result points at its rule."""
    text = write_sarif(mixed())
    Sarif.model_validate_json(text)
    run = json.loads(text)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert {result["level"] for result in run["results"]} <= {"none", "note", "warning", "error"}


def test_sarif_is_what_code_scanning_takes() -> None:
    """A file with a line for each result, a score and at most twenty tags for each rule, texts of 1,024 characters."""
    run = _run()
    for result in run["results"]:
        (place,) = result["locations"]
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert re.fullmatch(r"azure(/[A-Za-z0-9._~%-]+)+", uri) and "/../" not in uri
        assert place["physicalLocation"]["region"]["startLine"] >= 1
        assert result["partialFingerprints"] and len(result["message"]["text"]) <= 1_024
    for rule in run["tool"]["driver"]["rules"]:
        assert 0 < float(rule["properties"]["security-severity"]) <= 10
        assert len(rule["properties"]["tags"]) <= 20 and len(rule["name"]) <= 255
        assert len(rule["fullDescription"]["text"]) <= 1_024


def test_sarif_keeps_what_is_excused_as_such() -> None:
    """An exemption is a suppression with its reason; what the baseline has is unchanged; unknown is no result."""
    results = {
        result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"]: result for result in _run()["results"]
    }
    assert "a4" not in results
    assert results["a2"]["suppressions"][0]["justification"] == "break glass (Mei), until 2026-12-31"
    assert (results["a3"]["baselineState"], results["a1"]["baselineState"]) == ("unchanged", "new")
    notes = _run()["invocations"][0]["toolExecutionNotifications"]
    assert {note["associatedRule"]["id"] for note in notes} == {"standing-owner", "activation-mfa"}


def test_a_fingerprint_does_not_change_with_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another reason, another case, another run: the same finding. Another resource or control: another."""
    assert finding("A1", reason="other words").fingerprint == finding("a1").fingerprint
    assert len({finding("a1").fingerprint, finding("a2").fingerprint, finding("a1", control="x").fingerprint}) == 3


def test_too_many_results_are_cut_by_severity_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_forms, "MAX_RESULTS", 2)
    low = outcome(*(finding(f"b{n}", severity="low", control="low") for n in range(3)), name="low", severity="low")
    run = json.loads(write_sarif(report(low, outcome(finding("a1")))))["runs"][0]
    assert [result["ruleId"] for result in run["results"]] == ["standing-owner", "low"]
    assert "2 of 4 findings are left out" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_ocsf_events_are_valid(validators: dict[int, jsonschema.Draft202012Validator]) -> None:
    """Every event is valid against the schema of its class."""
    events = _events()
    for event in events:
        validators[event["class_uid"]].validate(event)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert Counter(event["class_uid"] for event in events) == {2003: 7, 2008: 1}


def test_the_ocsf_schema_refuses_what_is_wrong(validators: dict[int, jsonschema.Draft202012Validator]) -> None:
    """The validation can fail: without a required attribute, or with a status that is none."""
    event = next(event for event in _events() if event["class_uid"] == 2003)
    with pytest.raises(jsonschema.ValidationError):
        validators[2003].validate({key: value for key, value in event.items() if key != "finding_info"})
    with pytest.raises(jsonschema.ValidationError):
        validators[2003].validate(event | {"severity_id": 77})


def test_ocsf_says_pass_fail_and_what_is_missing() -> None:
    by_id = {event["resources"][0]["uid"]: event for event in _events() if event.get("resources")}
    states = {uid: (event["compliance"]["status"], event["status"]) for uid, event in by_id.items()}
    assert states["a1"] == ("Fail", "New")
    assert states["a2"] == ("Fail", "Suppressed")
    assert states["a4"] == ("Warning", "New")
    (passing,) = [event for event in _events() if event.get("compliance", {}).get("status") == "Pass"]
    assert passing["compliance"]["control"] == "root-assignments" and passing["severity"] == "Informational"


def test_ocsf_gives_an_identity_with_what_it_does_not_use() -> None:
    (event,) = [event for event in _events() if event["class_uid"] == 2008]
    assert (event["user"]["uid"], event["user"]["type_id"]) == ("p1", 1)
    first = event["permission_analysis_results"][-1]
    assert (first["policy"]["name"], first["unused_privileges_count"]) == ("Owner", 7)


def test_junit_is_read_by_a_junit_reader(tmp_path: Any) -> None:
    """Failures count, unknown is skipped, and hostile names do not break the document."""
    path = tmp_path / "check.xml"
    path.write_text(write_junit(mixed()), encoding="utf-8")
    read = JUnitXml.fromfile(str(path))
    assert (read.tests, read.failures, read.skipped, read.errors) == (3, 1, 1, 0)
    root = ElementTree.fromstring(write_junit(mixed()))  # noqa: S314  our own document
    failure = root.find(".//failure")
    assert failure is not None and "<script>alert(1)</script>" in (failure.text or "")
    assert "a2" not in (failure.text or "") and "a2" in (root.findtext(".//system-out") or "")


def test_a_long_list_is_cut_in_junit() -> None:
    text = write_junit(report(outcome(*(finding(f"a{number}") for number in range(250)))))
    assert "and 50 more" in text


def test_annotations_are_one_line_each_and_start_no_command() -> None:
    """A name with a line break and a command in it stays in its message."""
    lines = write_annotations(report(outcome(finding(reason=HOSTILE)))).split("\n")
    assert len(lines) == 2 and lines[1] == ""
    assert lines[0].startswith("::error title=standing-owner (high)::Does not hold: Nobody is owner. ")
    assert "\r" not in lines[0] and "%250A" in lines[0]


def test_at_most_ten_annotations_of_a_level() -> None:
    many = [outcome(finding(control=f"c{number}"), name=f"c{number}") for number in range(15)]
    low = outcome(finding(control="low", severity="low"), name="low", severity="low")
    levels = Counter(line.split(" ")[0] for line in write_annotations(report(*many, low)).splitlines())
    assert levels == {"::error": 10, "::notice": 1}


def test_the_summary_is_a_table_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    text = write_summary(mixed())
    assert "| high | standing-owner | 2 | 1 | 3 | Nobody is owner |" in text
    assert "<script>" not in text and "\r" not in text
    monkeypatch.setattr(check_forms, "MAX_SUMMARY", 400)
    assert write_summary(mixed()).endswith("`rightsize check -o json` has all.\n")
    assert "Every control passes." in write_summary(report(outcome()))


def test_rows_are_defused_for_spreadsheets() -> None:
    rows = list(csv.DictReader(io.StringIO(write_separated(finding_rows(mixed()), FINDING_COLUMNS, ","), newline="")))
    assert [row["reason"][:2] for row in rows if "cmd" in row["reason"]] == ["'="]
    assert {row["fingerprint"] for row in rows} >= {finding("a1").fingerprint}


def test_the_document_counts_what_a_gate_counts() -> None:
    rows = {row["control"]: row for row in control_rows(mixed())}
    assert (rows["standing-owner"]["failing"], rows["standing-owner"]["exempt"], rows["standing-owner"]["known"]) == (
        2,
        1,
        1,
    )
    assert [rows[name]["status"] for name in ("standing-owner", "root-assignments", "activation-mfa")] == [
        "fail",
        "pass",
        "unknown",
    ]
    assert report_document(mixed())["controls"][0]["tags"] == ["NIST AC-6(5)"]


@pytest.mark.parametrize("write", [write_sarif, write_ocsf, write_junit, write_annotations, write_summary])
def test_no_form_lets_controls_of_the_terminal_through(write: Any) -> None:
    """Escape sequences, direction marks and NUL reach no reader, in any form."""
    text = write(mixed())
    assert not re.search("[\x00\x1b\u202e]", text)
    assert text == write(mixed())
