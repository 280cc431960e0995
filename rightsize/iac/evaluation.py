"""Evaluate parsed expressions, as far as a file itself decides their value.

A value that only a deployment knows is `Unknown`, and so is what is made of it; a list or object may have unknown
members beside known ones. So a role is read although its id or a scope is unknown, and refused where an action is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rightsize.iac.expressions import DEEPEST, Language, Names, Node, Scope, Unknown
from rightsize.model.errors import InputError

LONGEST = 100_000
"""The most items of a list, and characters of a text."""


def unknown_in(value: object) -> Unknown | None:
    """Return the first unknown value in a value, or None."""
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        return next((found for found in map(unknown_in, value) if found), None)
    return None


def evaluate(node: Node, scope: Scope) -> Any:
    """Return the value of an expression: a JSON value, perhaps with `Unknown` in it.

    Raises:
        InputError: It needs more work than any template of roles.
    """
    work = scope.work
    work.steps -= 1
    work.depth += 1
    if work.steps < 0 or work.depth > 2 * DEEPEST:
        raise InputError(f"an expression needs more work than any role definition: `{node.text[:80]}`")
    try:
        found = _KINDS[node.kind](node, scope)
    except (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError):
        found = _missing(node)
    work.depth -= 1
    if isinstance(found, (str, list)) and len(found) > LONGEST:
        raise InputError(f"an expression makes more than any role definition has: `{node.text[:80]}`")
    return found


def decide(condition: Node, scope: Scope) -> Any:
    """Return the value of a condition; where the file does not decide it, the side that is looked at."""
    certain = evaluate(condition, scope.certain or scope)
    if not isinstance(certain, Unknown):
        return certain
    value = evaluate(condition, scope) if scope.certain else certain
    if scope.work.sides is None:
        return value
    return scope.work.side(condition, certain.cause, value is not False and value != "false")


def _unknown(node: Node, cause: Unknown | None = None) -> Unknown:
    shown = f"${{{node.text}}}"
    return Unknown(cause.cause if cause else node.text, shown, cause.is_missing if cause else False)


def _missing(node: Node) -> Unknown:
    return Unknown(node.text, f"${{{node.text}}}", is_missing=True)


def _through(node: Node, base: Unknown, inner: Node) -> Unknown:
    """Return what a member of something unknown is: the longer expression is the cause where it is the whole base."""
    return _unknown(node) if base.cause == inner.text and not base.is_missing else _unknown(node, base)


def _name(node: Node, scope: Scope) -> object:
    name = node.parts[0]
    return scope.names[name] if name in scope.names else scope.look_up(name)


def _template(node: Node, scope: Scope) -> object:
    values = [evaluate(part, scope) for part in node.parts[0]]
    cause = next((value for value in values if isinstance(value, Unknown)), None)
    if cause is None:
        return "".join(as_text(value) for value in values)
    shown = "".join(value.shown if isinstance(value, Unknown) else as_text(value) for value in values)
    return Unknown(cause.cause, shown, cause.is_missing)


def as_text(value: object) -> str:
    """Return a value as it stands in a text; raise TypeError where it is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(int(value) if value == int(value) else value)
    raise TypeError(value)


def _member(node: Node, scope: Scope) -> object:
    inner, name, is_safe = node.parts
    base = _only_member(inner, name, scope) or evaluate(inner, scope)
    if isinstance(base, Unknown):
        return _through(node, base, inner)
    return _at(node, base, name, is_safe, scope)


def _only_member(node: Node, name: str, scope: Scope) -> dict[str, object] | None:
    """Return an object that is written out with the one member that is taken of it; None for another expression."""
    if node.kind != "object" or any(key is None or key.kind != "value" for key, _ in node.parts[0]):
        return None
    fold = str if scope.language is Language.TERRAFORM else str.lower
    pairs = [(key.parts[0], value) for key, value in node.parts[0] if fold(as_text(key.parts[0])) == fold(name)]
    return {name: evaluate(pairs[-1][1], scope)} if pairs else None


def _index(node: Node, scope: Scope) -> object:
    inner, index, is_safe = node.parts
    base, place = evaluate(inner, scope), evaluate(index, scope)
    if isinstance(base, Unknown):
        return _through(node, base, inner)
    if isinstance(place, Unknown):
        return _unknown(node, place)
    return _at(node, base, place, is_safe, scope)


def _at(node: Node, base: object, place: object, is_safe: bool, scope: Scope) -> object:
    found: object = _missing(node)
    if isinstance(base, Names) and isinstance(place, str):
        return base.read(place)
    if base is None and is_safe:
        return None
    if isinstance(base, Mapping):
        key = as_text(place)
        if key in base:
            return base[key]
        if scope.language is not Language.TERRAFORM:
            found = next((value for name, value in base.items() if name.lower() == key.lower()), found)
    elif isinstance(base, list):
        number = int(place) if isinstance(place, (str, float)) else place
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < len(base):
            return base[number]
    return None if is_safe and isinstance(found, Unknown) else found


def _splat(node: Node, scope: Scope) -> object:
    inner, rest = node.parts
    base = evaluate(inner, scope)
    if isinstance(base, Unknown):
        return _through(node, base, inner)
    items = base if isinstance(base, list) else [] if base is None else [base]
    return [evaluate(_replaced(rest, Node("given", (item,), inner.text)), scope) for item in items]


def _replaced(node: Node, item: Node) -> Node:
    if node.kind == "item":
        return item
    inner = _replaced(node.parts[0], item)
    return Node(node.kind, (inner, *node.parts[1:]), inner.text + node.text)


def _unary(node: Node, scope: Scope) -> object:
    operator, inner = node.parts
    value = evaluate(inner, scope)
    if isinstance(value, Unknown):
        return _unknown(node, value)
    if operator == "!":
        return not _truth(value)
    return -_number(value)


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise TypeError(value)


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    return value


def same(one: object, other: object) -> bool:
    """Return whether two values are equal; unlike Python's, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def _binary(node: Node, scope: Scope) -> object:
    operator, left, right = node.parts
    one = evaluate(left, scope)
    if operator == "??":
        is_absent = one is None or (isinstance(one, Unknown) and one.is_missing)
        return evaluate(right, scope) if is_absent else one
    if operator in ("&&", "||") and not isinstance(one, Unknown) and _truth(one) is (operator == "||"):
        return _truth(one)
    other = evaluate(right, scope)
    cause = unknown_in([one, other])
    if cause:
        return _unknown(node, cause)
    if operator in ("&&", "||"):
        return _truth(other)
    if operator in ("==", "!="):
        return same(one, other) is (operator == "==")
    if operator in ("=~", "!~"):
        return (str(one).lower() == str(other).lower()) is (operator == "=~")
    return _ARITHMETIC[operator](_number(one), _number(other))


def _divide(one: float, other: float) -> float:
    found = one / other
    return int(found) if found == int(found) else found


_ARITHMETIC: dict[str, Callable[[Any, Any], object]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": _divide,
    "%": lambda one, other: one % other,
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
}


def _conditional(node: Node, scope: Scope) -> object:
    condition, chosen, otherwise = node.parts
    value = decide(condition, scope)
    if isinstance(value, Unknown):
        return _unknown(node, value)
    return evaluate(chosen if _truth(value) else otherwise, scope)


def _list(node: Node, scope: Scope) -> object:
    made: list[object] = []
    for is_spread, item in node.parts[0]:
        value = evaluate(item, scope)
        if not is_spread:
            made.append(value)
        elif isinstance(value, list):
            made.extend(value)
        else:
            return _unknown(node, value if isinstance(value, Unknown) else _missing(item))
    return made


def _object(node: Node, scope: Scope) -> object:
    made: dict[str, object] = {}
    for key, item in node.parts[0]:
        value = evaluate(item, scope)
        if key is None:
            if not isinstance(value, Mapping):
                return _unknown(node, value if isinstance(value, Unknown) else _missing(item))
            made.update(value)
            continue
        name = evaluate(key, scope)
        if isinstance(name, Unknown):
            return _unknown(node, name)
        made[as_text(name)] = value
    return made


def pairs_of(value: object) -> list[tuple[object, object]] | None:
    """Return the keys and values that a loop goes over: positions for a list, sorted keys for an object; else None."""
    if isinstance(value, list):
        return list(enumerate(value))
    return sorted(value.items()) if isinstance(value, Mapping) else None


def _for(node: Node, scope: Scope) -> object:
    names, over, key, made, condition, is_grouped = node.parts
    collection = evaluate(over, scope)
    if isinstance(collection, Unknown):
        return _unknown(node, collection)
    found: list[tuple[object, object]] = []
    for inner in scopes_of_loop(names, collection, scope):
        if condition is not None:
            kept = decide(condition, inner)
            if isinstance(kept, Unknown):
                return _unknown(node, kept)
            if not _truth(kept):
                continue
        name = None if key is None else evaluate(key, inner)
        if isinstance(name, Unknown):
            return _unknown(node, name)
        found.append((name, evaluate(made, inner)))
    if key is None:
        return [value for _, value in found]
    made_of: dict[str, Any] = {}
    for name, value in found:
        if is_grouped:
            made_of.setdefault(as_text(name), []).append(value)
        elif as_text(name) in made_of:
            return _missing(node)  # two items of one key: Terraform refuses it
        else:
            made_of[as_text(name)] = value
    return made_of


def scopes_of_loop(names: tuple[str, ...], collection: object, scope: Scope) -> Iterable[Scope]:
    """Return the scope of each turn of a loop; raise TypeError where there is nothing to go over.

    Of two names the first is the key in Terraform, and the last is the position in Bicep.
    """
    pairs = pairs_of(collection)
    if pairs is None:
        raise TypeError(collection)
    for key, value in pairs:
        turn = (key, value) if scope.language is Language.TERRAFORM else (value, key)
        yield scope.within(dict(zip(names, turn if len(names) > 1 else (value,), strict=True)))


def _call(node: Node, scope: Scope) -> object:
    name, arguments, is_spread = node.parts
    name = name if scope.language is Language.TERRAFORM else name.lower()
    if name in ("try", "can") and scope.language is Language.TERRAFORM:
        return _try(node, arguments, scope, name == "can")
    if name == "if" and scope.language is Language.ARM and len(arguments) == 3:
        return _conditional(Node("if", arguments, node.text), scope)
    function = scope.functions.get(name)
    if function is None:
        return _unknown(node)
    values = [evaluate(argument, scope) for argument in arguments]
    if name == "filter" and len(arguments) == 2 and arguments[1].kind == "lambda":
        values[1] = _lambda(arguments[1], scope, decide)
    if is_spread and isinstance(values[-1], list):
        values = [*values[:-1], *values[-1]]
    cause = next((value for value in values if isinstance(value, Unknown)), None)
    if cause is None and name not in scope.structural:
        cause = unknown_in(values)
    if cause is not None:
        return _unknown(node, cause)
    found = function(*values)
    return _unknown(node) if isinstance(found, Unknown) and not found.cause else found


def _try(node: Node, arguments: Iterable[Node], scope: Scope, only_whether: bool) -> object:
    for argument in arguments:
        value = evaluate(argument, scope)
        cause = unknown_in(value)
        if only_whether:
            return _unknown(node, cause) if cause and not cause.is_missing else cause is None
        if cause is None or not cause.is_missing:
            return value
    return _missing(node)


def _lambda(node: Node, scope: Scope, read: Callable[[Node, Scope], object] = evaluate) -> object:
    names, body = node.parts

    def call(*values: object) -> object:
        return read(body, scope.within(dict(zip(names, values, strict=False))))

    return call


_KINDS: dict[str, Callable[[Node, Scope], object]] = {
    "value": lambda node, _: node.parts[0],
    "given": lambda node, _: node.parts[0],
    "same": lambda node, scope: evaluate(node.parts[0], scope),
    "name": _name,
    "template": _template,
    "member": _member,
    "index": _index,
    "splat": _splat,
    "unary": _unary,
    "binary": _binary,
    "if": _conditional,
    "list": _list,
    "object": _object,
    "for": _for,
    "call": _call,
    "lambda": _lambda,
    "unread": lambda node, _: _unknown(node),
}
