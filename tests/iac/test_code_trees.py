"""Code of Bicep and Terraform is read as its languages say, and each part keeps its place."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from rightsize.iac.bicep_syntax import read_bicep
from rightsize.iac.expressions import Node
from rightsize.iac.hcl_syntax import Block, read_expression, read_hcl, read_hcl_json, read_template
from rightsize.iac.syntax_trees import cut_statements
from rightsize.model.errors import InputError

BICEP, HCL = "bicep", "hcl"


def read(language: str, text: str) -> Node:
    if language == HCL:
        return read_expression(text)
    found = read_bicep(f"var x = {text}\n")[0].value
    assert found is not None
    return found


def plain(node: object) -> object:
    """The tree without places and texts."""
    if isinstance(node, Node):
        if node.kind in ("name", "value"):
            return node.parts[0]
        return [node.kind, *map(plain, node.parts)]
    return [plain(part) for part in node] if isinstance(node, tuple) else node


def nodes(node: object) -> Iterator[Node]:
    if isinstance(node, Node):
        yield node
        node = node.parts
    if isinstance(node, tuple):
        for part in node:
            yield from nodes(part)


PRECEDENCE = {
    "a == b.c": ["binary", "==", "a", ["member", "b", "c", False]],
    "a && b.c == d": ["binary", "&&", "a", ["binary", "==", ["member", "b", "c", False], "d"]],
    "a || b && !c[0].d": ["binary", "||", "a", ["binary", "&&", "b", ["unary", "!", ["member", ["index", "c", 0, False], "d", False]]]],
    "a + b * c - d": ["binary", "-", ["binary", "+", "a", ["binary", "*", "b", "c"]], "d"],
    "a ? b : c ? d : e": ["if", "a", "b", ["if", "c", "d", "e"]],
    "a ? b : c == d ? e : f": ["if", "a", "b", ["if", ["binary", "==", "c", "d"], "e", "f"]],
    "a ? b ? c : d : e.f": ["if", "a", ["if", "b", "c", "d"], ["member", "e", "f", False]],
    "(a ? b : c) == d": ["binary", "==", ["same", ["if", "a", "b", "c"]], "d"],
    "f(a.b, -c.d)": ["call", "f", [["member", "a", "b", False], ["unary", "-", ["member", "c", "d", False]]], False],
}  # fmt: skip


@pytest.mark.parametrize("language", [BICEP, HCL])
@pytest.mark.parametrize("text", PRECEDENCE)
def test_operators_bind_as_the_languages_say(language: str, text: str) -> None:
    assert plain(read(language, text)) == PRECEDENCE[text]


BICEP_FORMS = {
    "a.b ?? c.?d": ["binary", "??", ["member", "a", "b", False], ["member", "c", "d", True]],
    "a! == b![0]": ["binary", "==", "a", ["index", "b", 0, False]],
    "[\n  f().id\n  (a)\n  [b]\n  -c\n]": [
        "list",
        [
            [False, ["member", ["call", "f", [], False], "id", False]],
            [False, ["same", "a"]],
            [False, ["list", [[False, "b"]]]],
            [False, ["unary", "-", "c"]],
        ],
    ],
    "[...a.b, c, ...42]": ["list", [[True, ["member", "a", "b", False]], [False, "c"], [True, 42]]],
    "{ ...a ?? {}, 'b-c': d\n}": ["object", [[None, ["binary", "??", "a", ["object", []]]], ["b-c", "d"]]],
    "[for (a, i) in b.c: if (i < 1) { d: a }]": ["for", ["a", "i"], ["member", "b", "c", False], None, ["object", [["d", "a"]]], ["same", ["binary", "<", "i", 1]], False],
    "map(a, (b, i) => b.c)": ["call", "map", ["a", ["lambda", ["b", "i"], ["member", "b", "c", False]]], False],
    "'it\\'s \\${a} ${b.c}\\u{41}'": ["template", ["it's ${a} ", ["member", "b", "c", False], "A"]],
    "'''\na ${b}\\n'''": "a ${b}\\n",
    "az.subscription().id": ["member", ["call", "subscription", [], False], "id", False],
    "a::b.c": ["member", ["unread"], "c", False],
    "a[^1]": ["unread"],
}  # fmt: skip


@pytest.mark.parametrize("text", BICEP_FORMS)
def test_forms_of_bicep(text: str) -> None:
    """What the grammar does not know is unread, and no guess."""
    assert plain(read(BICEP, text)) == BICEP_FORMS[text]


HCL_FORMS = {
    '"a $${b} %%{c} ${d.e}\\n"': ["template", ["a ${b} %{c} ", ["member", "d", "e", False], "\n"]],
    '"${a}"': "a",
    '"$$${a}"': "$${a}",
    "<<-E\n    a ${b}\n      \\n c\n  E": ["template", ["a ", "b", "\n  \\n c\n"]],
    'a.*.b[0]["c"].1': ["index", ["index", ["index", ["splat", "a", ["member", ["item"], "b", False]], 0, False], "c", False], 1, False],
    "a[*].b.c": ["splat", "a", ["member", ["member", ["item"], "b", False], "c", False]],
    '{ a = 1, "b-c" : 2, (d) = 3\n e-f = 4 }': ["object", [["a", 1], ["b-c", 2], [["same", "d"], 3], ["e-f", 4]]],
    '{ for k, v in a : k => v... if v != "" }': ["for", ["k", "v"], "a", "k", "v", ["binary", "!=", "v", ""], True],
    "[for v in a : v]": ["for", ["v"], "a", None, "v", None, False],
    "f(a, b...)": ["call", "f", ["a", "b"], True],
    "provider::p::f(1.5)": ["call", "provider::p::f", [1.5], False],
    '"%{ if a }b%{ endif }"': ["unread"],
}  # fmt: skip


@pytest.mark.parametrize("text", HCL_FORMS)
def test_forms_of_terraform(text: str) -> None:
    assert plain(read(HCL, text)) == HCL_FORMS[text]


def test_a_statement_that_is_not_known_hides_no_other() -> None:
    """Extensions, types, and functions are passed over; a resource that cannot be read says so where it is needed."""
    text = (
        "extension graph as g\n@description('a')\nparam a resourceInput<'M/a@1'>.b = 'x'\ntype t = 'a' | 'b'\n"
        "var b string = 'y'\nresource c 'M/c@1' = {\n  name: a ? ?\n}\nresource d 'M/d@1' existing = {\n  name: 'd'\n}\n"
        "module e 'e.bicep' = [for (f, i) in [1]: if (i > 0) {\n  name: 'e'\n}]\noutput o string = b\n"
    )
    found = {one.name: one for one in read_bicep(text)}
    assert list(found) == ["a", "b", "c", "d", "e"]
    assert (found["a"].value, found["b"].value) != (None, None) and plain(found["b"].value) == "y"
    assert found["c"].refusal is not None and "line 7" in found["c"].refusal.message
    assert found["d"].is_existing and found["d"].refusal is None
    assert found["e"].loop is not None and found["e"].loop.names == ("f", "i") and found["e"].condition is not None
    for one in found.values():
        assert one.name.encode() in text.encode()[one.start : one.end]


@pytest.mark.parametrize(
    "text",
    ["var a = [\n", "var a = 'b\n", "}\n", "resource 'x' {\n}\n", "var a = '${'\n", "var a = '''\n", "/* a\n"],
)
def test_bicep_that_hides_what_follows_is_refused(text: str) -> None:
    """An end that is missing takes the rest of the file away, and a role with it."""
    with pytest.raises(InputError):
        read_bicep(f"{text}resource r 'M/r@1' = {{\n  name: 'x'\n}}\n")


def test_masks_keep_every_place() -> None:
    code = "var ä = [...b, c!]\nvar d = '...! ${[...e]}' // ...!\n".encode()
    masked, starts = cut_statements(code)
    assert len(masked) == len(code) and starts == [0, code.index(b"var d")]
    assert masked.endswith(b"// ...!\n") and b"'...! ${[---e]}'" in masked


def test_blocks_of_terraform_and_of_its_json_are_the_same() -> None:
    text = 'a "b" "c" {\n  d = e.f\n  dynamic "g" {\n    content {\n      h = "${i}j"\n    }\n  }\n}\n'
    file = read_hcl(text.replace('a "b"', 'resource "b"'))
    document = {"resource": {"b": {"c": {"d": "${e.f}", "dynamic": {"g": {"content": {"h": "${i}j"}}}}}}}

    def shown(block: Block) -> object:
        attributes = {name: plain(node) for name, node in block.attributes.items() if name != "dynamic"}
        inner = [shown(one) for one in block.blocks]
        return block.kind, block.labels, attributes if block.kind != "dynamic" else {}, inner

    assert shown(file.blocks[0]) == shown(read_hcl_json(document).blocks[0])
    made = file.blocks[0]
    assert text.replace('a "b"', 'resource "b"')[made.start : made.end].startswith('resource "b" "c" {')
    with pytest.raises(InputError, match="not valid Terraform"):
        read_hcl_json({"resource": {"b": "c"}})


def test_a_template_is_text_but_for_its_expressions() -> None:
    assert plain(read_template('a "b" \\n $${c}\0 ${d}\n')) == ["template", ['a "b" \\n ${c}\0 ', "d", "\n"]]
    with pytest.raises(InputError, match="cannot read the template"):
        read_template("${")


def written(draw: random.Random, language: str, depth: int) -> str:
    """Return an expression that a person could write."""

    def inner() -> str:
        return written(draw, language, depth - 1)

    quote = "'" if language == BICEP else '"'
    leaves = ["a", "b", "null", "true", "42", f"{quote}x/y{quote}"]
    if depth == 0:
        return draw.choice(leaves)
    base = draw.choice(["a", f"f({inner()})"])
    items = [inner() for _ in range(draw.randint(0, 3))]
    comma, sign = ("\n", ":") if language == BICEP else (", ", " =")
    return draw.choice(
        [
            f"{base}.x",
            f"{base}[{inner()}]",
            f"f({', '.join(items)})",
            f"{inner()} ? {inner()} : {inner()}",
            f"{inner()} {draw.choice(['==', '&&', '||', '+', '*', '<='])} {inner()}",
            f"!{base}",
            f"[{comma.join(items)}]",
            "{\n" + "".join(f"k{number}{sign} {item}\n" for number, item in enumerate(items)) + "}",
            f"{quote}p${{{written(draw, language, 0)}}} s{quote}",
            *leaves,
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("language", [BICEP, HCL])
def test_each_part_of_an_expression_keeps_its_place_and_reads_alone_as_it_does_within(language: str) -> None:
    """Over 300 drawn expressions: the text of a part is what stands there, and brackets around it change nothing."""
    draw = random.Random(7)  # noqa: S311  drawn expressions are no secret
    head = "var x = " if language == BICEP else "_ = "
    alone: dict[str, object] = {}
    for _ in range(300):
        text = written(draw, language, 4)
        code = f"{head}{text}\n"
        whole = read(language, text)
        assert (whole.start, whole.end) == (len(head), len(head) + len(text)) and "unread" not in str(plain(whole))
        for node in nodes(whole):
            if node.end and node.kind not in ("item", "value"):
                assert code[node.start : node.end] == node.text
                if node.text not in alone:
                    alone[node.text] = plain(read(language, f"({node.text})"))
                assert alone[node.text] == ["same", plain(node)], text
