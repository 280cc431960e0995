"""Say who owns a file of a repository, by its CODEOWNERS: the last line that fits decides.

Source: docs.github.com, "About code owners"; docs.gitlab.com, "Code Owners syntax", whose sections are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

PLACES = ("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS")
NOBODY = "nobody in CODEOWNERS"


def owners_of(path: str, files: Mapping[str, bytes]) -> str:
    """Return the owners of a file, separated by spaces.

    Args:
        path: Its path in the repository.
        files: The files of the repository; the first of `PLACES` that is there counts.
    """
    content = next((files[name] for name in PLACES if name in files), b"")
    found = ""
    for pattern, owners in _lines(content):
        if pattern.fullmatch(path):
            found = owners
    return found or NOBODY


@lru_cache(maxsize=4)
def _lines(content: bytes) -> tuple[tuple[re.Pattern[str], str], ...]:
    lines = [line.split("#")[0].split() for line in content.decode("utf-8", "replace").splitlines()]
    kept = [words for words in lines if words and not words[0].startswith(("[", "^["))]
    return tuple((_pattern(words[0]), " ".join(words[1:])) for words in kept)


def _pattern(text: str) -> re.Pattern[str]:
    is_anchored = "/" in text.rstrip("/")
    made = "".join(
        {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part))
        for part in re.split(r"(\*\*/|\*\*|\*|\?)", text.strip("/"))
    )
    # `docs/*` has the files of a folder, and not those below it.
    below = "" if text.endswith("/*") else "(?:/.*)?"
    return re.compile(("" if is_anchored else "(?:.*/)?") + made + ("/.*" if text.endswith("/") else below))
