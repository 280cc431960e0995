"""Queries translated for Spark keep their meaning: the known differences, checked without a Spark."""

from __future__ import annotations

import unicodedata

import pytest

pytest.importorskip("sqlglot", reason="needs sqlglot")

from rightsize.ingest.logs.values import RECORD_FAMILY
from rightsize.ingest.spark.carry import columns_of, fields_of_lines, to_spark
from rightsize.store.queries import query_text

SPACES = "".join(letter for letter in map(chr, range(0x10000)) if unicodedata.category(letter) == "Zs")
DASHED = "^" + "-?".join(f"([0-9A-Fa-f]{{{n}}})" for n in (8, 4, 4, 4, 12)) + r"\\z"


@pytest.mark.parametrize("name", ["normalise", "requests", "collapse", "summarise", "sign_ins", "sign_in_days"])
def test_every_query_of_the_reduction_is_carried(name: str) -> None:
    """Nothing in them is without a word on Spark."""
    carried = to_spark(query_text(f"reduce/{name}"))
    assert carried.startswith(("WITH", "SELECT"))
    # A class within a class, to Java, and one that nothing closes.
    assert "[[]" not in carried


@pytest.mark.parametrize(
    ("duckdb", "spark"),
    [
        ("SELECT regexp_matches(t, '^a$')", r"SELECT t RLIKE '^a\\z'"),
        ("SELECT regexp_extract(t, '^[$]a$', 1)", r"SELECT REGEXP_EXTRACT(t, '^[$]a\\z')"),
        (r"SELECT regexp_matches(t, '^[.]\..')", r"SELECT t RLIKE '^[.]\\.[^\\n]'"),
        ("SELECT trim(t)", f"SELECT TRIM(BOTH '{SPACES}' FROM t)"),
        ("SELECT rtrim(t, 'Z')", "SELECT TRIM(TRAILING 'Z' FROM t)"),
        ("SELECT strlen(t)", "SELECT OCTET_LENGTH(t)"),
        ("SELECT replace(t, chr(8239), ' ')", "SELECT REPLACE(t, '\u202f', ' ')"),
        ("SELECT row_number() OVER () AS n FROM t", "SELECT MONOTONICALLY_INCREASING_ID() AS n FROM t"),
        (
            "SELECT unnest(CASE WHEN len(a) > 0 THEN a ELSE [NULL] END) AS one FROM t",
            "SELECT EXPLODE_OUTER(a) AS one FROM t",
        ),
        (
            "SELECT strftime(t, '%Y-%m-%dT%H:%M:%S.%fZ')",
            "SELECT DATE_FORMAT(t, 'yyyy-MM-dd\\'T\\'HH:mm:ss.SSSSSS\\'Z\\'')",
        ),
        (
            "SELECT TRY_CAST(t AS UUID)",
            f"SELECT CASE WHEN t RLIKE '{DASHED}' THEN LOWER(REGEXP_REPLACE(t, '{DASHED}', '$1-$2-$3-$4-$5')) END",
        ),
        ("SELECT TRY_CAST(t AS TIMESTAMP)", "SELECT TRY_CAST(t AS TIMESTAMP_NTZ)"),
    ],
)
def test_a_known_difference_is_mended(duckdb: str, spark: str) -> None:
    """Java's `$` stands before a last line break, its `chr` knows 256 characters, and so on."""
    assert to_spark(duckdb) == spark


def test_json_text_is_parsed_once_for_all_paths() -> None:
    """A list of paths becomes one struct, whose members keep the spelling of their keys."""
    carried = to_spark("""SELECT TRY(json_extract_string(x, ['$."a"."b"', '$.principals[0].id', '$."a"."B"'])) AS f""")
    members = "STRUCT<`a`: STRUCT<`b`: STRING, `B`: STRING>, `principals`: ARRAY<STRUCT<`id`: STRING>>>"
    assert carried.count(f"FROM_JSON(x, '{members}')") == 1
    assert "found -> ARRAY(found.`a`.`b`, GET(found.`principals`, 0).`id`, found.`a`.`B`)" in carried


def test_what_was_read_with_its_record_is_not_parsed_again() -> None:
    """Only where nothing was read, the text says it; text within the text is known to be looked for."""
    sql = "SELECT TRY(json_extract_string(x, ['$.a', '$.b.c'])) AS v, TRY(json_extract_string(x, '$.b')) AS w FROM t"
    names, nested = columns_of(sql)
    assert names == {"x"}
    assert nested["x"].type == "STRUCT<`a`: STRING, `b`: STRUCT<`c`: STRING>>"
    assert nested["x"].alone == ("b",)
    carried = to_spark(sql, nested)
    assert "CASE WHEN x_read IS NULL THEN GET(TRANSFORM(ARRAY(FROM_JSON(x" in carried
    assert "ELSE ARRAY(x_read.`a`, x_read.`b`.`c`) END AS v" in carried


def test_lines_that_are_known_to_be_records_are_parsed_once() -> None:
    """Their keys are listed only until it is known that none is damaged."""
    wanted = ("time", "operation_name", "correlation_id")
    first, then = (fields_of_lines(RECORD_FAMILY, [], wanted, {}, checked=checked) for checked in (False, True))
    assert first.count("json_object_keys(") == 1
    assert then.count("from_json(") == 1
    assert "json_" not in then.replace("from_json", "")
