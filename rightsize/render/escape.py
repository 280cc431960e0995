"""The single place that escapes hostile text, with one function for each output.

Attackers choose names of principals, roles and resources, user agents and descriptions. Every output of the program
passes through this module.
"""

from __future__ import annotations

import re
import shlex

# Zero-width and bidi controls, line and paragraph separators, fillers that show nothing, the byte-order mark, tag
# characters and the selectors that can hide a message in a name. (U+FE0F stays: names of teams have emoji.)
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# C0 and C1 controls and DEL, too.
_TERMINAL_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f{_INVISIBLE}]")
# A cell may have tabs and line ends, and nothing else that drives a terminal.
_CELL_UNSAFE = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_INVISIBLE}]")
# Where the list separator is a semicolon, a spreadsheet begins a cell after one, whatever the file's own separator.
_AFTER_SEPARATOR = re.compile("(;[ \"']*)(?=[=+@\t\uff1d\uff0b\uff0d\uff20]|-(?!\\d))")
_LINK = re.compile(r"(?i):(?=//)|(?<=mailto):|(?<=xmpp):|(?<=www)[.]")
_FORMULA_LEADS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# XML 1.0, production 2: characters that no document may hold, not even as a reference, and markup characters.
_XML_FORBIDDEN = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff{_INVISIBLE}]")
_XML_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"})
_BICEP_UNSAFE = re.compile(rf"[\\']|{_TERMINAL_UNSAFE.pattern}|\$(?=\{{)")
_TERRAFORM_UNSAFE = re.compile(rf'[\\"]|{_TERMINAL_UNSAFE.pattern}')
_POWERSHELL_QUOTES = re.compile("['\u2018-\u201b]")
_LAST_OF_FOUR = 0xFFFF
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?\Z")


def for_terminal(text: str) -> str:
    """Return `text` with control, bidi and invisible characters shown as escapes, so that it cannot move the cursor."""
    return _TERMINAL_UNSAFE.sub(_code_of, text)


def _code_of(found: re.Match[str]) -> str:
    """Return the escape of a character, with as many digits as its plane needs."""
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= _LAST_OF_FOUR else f"\\U{code:08x}"


def for_csv(text: str) -> str:
    """Return `text` that no spreadsheet runs and no terminal obeys.

    A formula lead gets a quote before it (OWASP ASVS 1.2.10), also after a semicolon, and controls become escapes.
    """
    shown = _AFTER_SEPARATOR.sub(r"\1'", _CELL_UNSAFE.sub(_code_of, text))
    # A control that leads is an escape now, and what follows it no formula.
    if shown.startswith(_FORMULA_LEADS) and not _NUMBER.match(shown):
        return "'" + shown
    return shown


def for_markdown(text: str) -> str:
    """Return `text` as one table cell that starts no markup, link or HTML; a bare address is no link either."""
    safe = re.sub(r"([\\`*_{}\[\]<>|#!~@$])", r"\\\1", for_terminal(text))
    return _LINK.sub(lambda found: "\\" + found[0], safe)  # GitHub links bare addresses


def for_xml(text: str) -> str:
    """Return `text` for XML, as content or in an attribute; what XML 1.0 cannot hold is shown as an escape."""
    shown = _XML_FORBIDDEN.sub(_code_of, text)
    return shown.translate(_XML_ENTITIES)


def for_github_message(text: str) -> str:
    """Return `text` as the message of a GitHub workflow command that cannot start another one (actions/toolkit)."""
    return for_terminal(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def for_github_property(text: str) -> str:
    """Return `text` as the value of a property of a workflow command of GitHub."""
    return for_github_message(text).replace(":", "%3A").replace(",", "%2C")


def for_bicep(text: str) -> str:
    """Return `text` as a Bicep string, quotes included: no quote in it ends it, and `${` starts no expression."""
    return "'" + _BICEP_UNSAFE.sub(_bicep_escape, text) + "'"


def _bicep_escape(found: re.Match[str]) -> str:
    # A backslash is written as its code: readers of Bicep take `\\'` for an escaped quote.
    return f"\\{found[0]}" if found[0] in "'$" else f"\\u{{{ord(found[0]):x}}}"


def for_terraform(text: str) -> str:
    """Return `text` for a string of Terraform, between quotes: no quote ends it, and `${` and `%{` start no template.

    Source: `hclwrite.TokensForValue`, which writes strings for `terraform fmt`.
    """
    plain = _TERRAFORM_UNSAFE.sub(_terraform_escape, text)
    return plain.replace("${", "$${").replace("%{", "%%{")


def _terraform_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\{found[0]}" if found[0] in '"\\' else f"\\u{code:04x}" if code <= _LAST_OF_FOUR else f"\\U{code:08x}"


def for_arm(text: str) -> str:
    """Return `text` for a string of an ARM template, which would evaluate text in brackets."""
    return "[" + text if text.startswith("[") and text.endswith("]") else text


def for_shell(text: str) -> str:
    """Return `text` as one word of bash; characters that a terminal does not show are written as escapes."""
    if not _TERMINAL_UNSAFE.search(text):
        return shlex.quote(text)
    shown = re.sub(r"[\\']", lambda match: "\\" + match[0], text)
    return "$'" + _TERMINAL_UNSAFE.sub(_code_of, shown) + "'"


def for_powershell(text: str) -> str:
    """Return `text` as a PowerShell string, quotes included; PowerShell reads typographic quotes as quotes, too."""
    return "'" + _POWERSHELL_QUOTES.sub(lambda match: match[0] * 2, text) + "'"


def for_comment(text: str) -> str:
    """Return `text` as code within a comment on a pull request: no markup, cell, link, mention or reference.

    Signs are written as entities, since neither backslashes nor quotes keep a host from turning `@team`, `#1` or
    an address into a link; no host does so within `<code>`.
    """
    if not text:
        return ""
    shown = re.sub(r"[^\w\s/.,()+'%=-]|_|(?<=[wW])\.", lambda match: f"&#{ord(match[0])};", for_terminal(text))
    return f"<code>{shown}</code>"
