"""Find by rule the words that name an operation in the name of a role, and recognise the roles of Azure's own services.

A rule file names what it can name better than Azure's own spelling; all else is read from the operation itself:
`Microsoft.Automation/automationAccounts/webhooks/write` is the Automation Webhook of an Editor.

A role that Azure made for a service fits the need of a person by chance, grants what nobody asked for, and changes with
its service. It is known by its description, and where that says nothing by its name, so that roles which Azure adds
later are known as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import polars as pl

from rightsize.model.text import fold
from rightsize.rules.operations import first_match
from rightsize.rules.tables import rows_of

READER = "Reader"
"""The part of a holder that only reads."""
ANY = "Resource"
"""The word for an operation pattern that names no provider."""

_TYPE_ALONE = "-"
_NO_TYPES = frozenset({"locations"})
_VERBS = frozenset({"read", "write", "delete", "action", "*"})
_PLANES = ("control", "data")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_MOST_WORDS = 4
_MOST_PARTS = 3
_LONGEST_ACRONYM = 3


@dataclass(frozen=True, slots=True, order=True)
class RoleWords:
    """The words for an operation.

    Attributes:
        service: The service, such as `Network`.
        top: The top-level resource, such as `NSG`.
        thing: The resource that the operation is about, such as `NSG Rule`.
        agent: The part of the holder, such as `Editor`.
        rank: The weight of a day of use in the choice of a name; what only supports other work has a low one.
        verb: For an action, what it does, such as `Restart`.
        detail: The resource as exactly as its type says, such as `Web App Host Name Binding`.
    """

    service: str
    top: str
    thing: str
    agent: str
    rank: int
    verb: str = ""
    detail: str = ""


def words_of(operations: Iterable[tuple[str, str]]) -> dict[tuple[str, str], RoleWords]:
    """Return the words for each `(plane, operation)`; a pattern of a role is read as an operation, too."""
    wanted = sorted(set(operations))
    found: dict[tuple[str, str], RoleWords] = {}
    for plane in _PLANES:
        own = [(text, _about(text)) for known, text in wanted if known == plane]
        services = _cells([about for _, about in own], "service", plane)
        things = _cells([about for _, about in own], "thing", plane)
        tops = _cells([_top(about) for _, about in own], "thing", plane)
        agents = _cells([about for _, about in own], "agent", plane)
        ranks = _cells([about for _, about in own], "rank", plane)
        for at, (text, about) in enumerate(own):
            service, types = services[at] or _service(about), _types(about)
            top, thing = _thing(tops[at], service, types[:1]), _thing(things[at], service, types)
            found[plane, text] = RoleWords(
                service, top, thing, agents[at], int(ranks[at]), _verb(about), _detail(top, thing, types)
            )
    return found


def risk_words_of(risky: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], str]:
    """Return the word for each `(kind of risk, plane, operation)`; empty where only the kind's general word fits."""
    wanted = sorted(set(risky))
    found: dict[tuple[str, str, str], str] = {}
    for kind, plane in sorted({key[:2] for key in wanted}):
        rows = [row for row in rows_of("risk_words") if row["kind"] == kind and row["plane"] in ("", plane)]
        names = [name for *known, name in wanted if known == [kind, plane]]
        lower = pl.Series("name", [name.lower() for name in names], dtype=pl.String)
        matches = first_match(lower, [row["pattern"] for row in rows])
        for name, at in zip(names, matches, strict=True):
            found[kind, plane, name] = "" if at is None else rows[at]["word"]
    return found


def _cells(texts: list[str], column: str, plane: str) -> list[str]:
    """Return for each text the cell of the first rule that has one for it, or an empty text."""
    patterns, cells = _rules(column, plane)
    lower = pl.Series("name", [text.lower() for text in texts], dtype=pl.String)
    return ["" if at is None else cells[at] for at in first_match(lower, patterns)]


@cache
def _rules(column: str, plane: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    rows = [row for row in rows_of("role_words") if row[column] and row["plane"] in ("", plane)]
    return tuple(row["pattern"] for row in rows), tuple(row[column] for row in rows)


@cache
def _spellings() -> dict[str, str]:
    return {row["word"]: row["spelling"] for row in rows_of("role_spellings")}


def _about(text: str) -> str:
    """Return the part of an operation that names what it is about: an extension's own type, where it has one."""
    before, _, after = text.strip(" ").rpartition("/providers/")
    return after if before and "/" in after and "." in after.split("/", 1)[0] else text.strip(" ")


def _types(text: str) -> list[str]:
    """Return the segments of an operation that name its resource type."""
    parts = text.split("/")[1:]
    verb = parts.pop().lower() if parts and parts[-1].lower() in _VERBS else ""
    if verb == "action" and parts:
        parts.pop()
    return [part for part in parts if part.lower() not in _NO_TYPES and "*" not in part and _WORD.search(part)]


def _verb(text: str) -> str:
    parts = text.split("/")
    return " ".join(read_words(parts[-2])) if parts[-1].lower() == "action" and len(parts) > 2 else ""


def _top(text: str) -> str:
    return "/".join([text.split("/", 1)[0], *_types(text)[:1], ""])


def _service(text: str) -> str:
    """Return the words of a namespace: all of it but for `Microsoft`."""
    namespace = text.split("/", 1)[0]
    if "*" in namespace:
        return ANY
    publisher, _, name = namespace.partition(".")
    words = " ".join(read_words(name))
    if publisher.lower() != "microsoft":
        words = _once(" ".join(read_words(publisher)), words.split())
    return words or ANY


def _thing(rule: str, service: str, types: list[str]) -> str:
    """Return the words of a rule, or else those of the last resource type after the service's."""
    if rule and rule != _TYPE_ALONE:
        return rule
    own = singular(read_words(types[-1])) if types else []
    if rule == _TYPE_ALONE:
        return " ".join(own[-_MOST_WORDS:]) or service
    known = {word.lower() for word in (*service.split(), *(singular([one])[0] for one in service.split()))}
    while own and own[0].lower() in known:
        own = own[1:]
    return _once(service, own)


def _detail(top: str, thing: str, types: list[str]) -> str:
    """Return the words of a resource that a rule names by the resource above it, with those of its own type."""
    own = singular(read_words(types[-1])) if len(types) > 1 else []
    known = {word.lower() for word in thing.split()}
    return _once(top, own) if any(word.lower() not in known for word in own) else thing


def _once(before: str, own: list[str]) -> str:
    """Return the words of a type after those of its service or resource, without a word twice in a row."""
    words = [*before.split(), *own[-_MOST_WORDS:]]
    return " ".join(word for at, word in enumerate(words) if not at or word.lower() != words[at - 1].lower())


def read_words(text: str) -> list[str]:
    """Return the words of a name that is written in camel case, each as people spell it."""
    parts = _WORD.findall(text)
    found = []
    while parts:
        # `IoT` falls apart into `Io` and `T`: the longest run of parts that has a spelling is one word.
        for length in range(min(_MOST_PARTS, len(parts)), 0, -1):
            known = _spellings().get("".join(parts[:length]).lower())
            if known or length == 1:
                found.append(known or _capitalised(parts[0]))
                del parts[:length]
                break
    return found


def _capitalised(word: str) -> str:
    is_short = word.isupper() and 1 < len(word) <= _LONGEST_ACRONYM
    return word if is_short else word[0].upper() + word[1:].lower()


def singular(words: list[str]) -> list[str]:
    """Return the words with the last one in the singular, by the spelling of English plurals."""
    *first, last = words or [""]
    lower = last.lower()
    if lower.endswith("ies") and len(last) > len("series"):
        last = last[:-3] + "y"
    elif lower.endswith(("sses", "shes", "tches", "xes", "uses", "liases")):
        last = last[:-2]
    elif lower.endswith("s") and not lower.endswith(("ss", "us", "is", "ics", "as", "dns", "ies")) and len(last) > 2:
        last = last[:-1]
    return [word for word in (*first, last) if word]


@cache
def is_for_service(role_name: str, description: str) -> bool:
    """Return whether a built-in role is for a service of Azure: what the first matching rule says, else False."""
    texts = {"name": fold(role_name), "description": fold(description)}
    return next((is_for for part, pattern, is_for in _service_rules() if pattern.search(texts[part])), False)


@cache
def _service_rules() -> tuple[tuple[str, re.Pattern[str], bool], ...]:
    return tuple(
        (row["part"], re.compile(row["pattern"]), row["is_for_service"] == "true") for row in rows_of("service_roles")
    )
