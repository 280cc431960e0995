"""Write changed files as a unified diff that `git apply` takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import unified_diff

_PLAIN = frozenset(range(0x20, 0x7F)) - set(b'"\\')
_END = "\\ No newline at end of file\n"


def unified(before: Mapping[str, bytes], after: Mapping[str, bytes], folder: str = "") -> str:
    """Return the changes between files by their path; a file that only the second has is made.

    Git reads paths from the root of the repository, in whose folder the files are.
    """
    paths = sorted(path for path in after if before.get(path) != after[path])
    return "".join(part for path in paths for part in _of_file(folder + path, before.get(path), after[path]))


def _of_file(path: str, before: bytes | None, after: bytes) -> Iterator[str]:
    old, new = _name(f"a/{path}"), _name(f"b/{path}")
    yield f"diff --git {old} {new}\n"
    if before is None:
        yield "new file mode 100644\n"
    lines = unified_diff(
        _lines(before or b""),
        _lines(after),
        "/dev/null" if before is None else old,
        new,
    )
    for line in lines:
        yield line if line.endswith("\n") else f"{line}\n{_END}"


def _lines(content: bytes) -> list[str]:
    # No other character than a line feed ends a line for git.
    parts = content.decode("utf-8", "surrogateescape").split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _name(path: str) -> str:
    """Return a path as git writes it: in quotes, with codes of bytes, where it has signs beyond plain ASCII."""
    code = path.encode("utf-8", "surrogateescape")
    if all(byte in _PLAIN for byte in code):
        # A space in a name ends at a tab in the lines of the files.
        return path
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in code) + '"'
