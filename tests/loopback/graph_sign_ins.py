"""Serve `auditLogs/signIns`: interactive sign-ins in v1.0, every kind in beta with `signInEventTypes`.

Sources: Microsoft Learn, "List signIns"; "signIn resource type".
"""

from __future__ import annotations

import re

from tests.loopback.content import Content
from tests.loopback.graph_filters import read_filter
from tests.loopback.log_tables import ensure_tables
from tests.loopback.wire import Answer, Request, offset_of, skip_token

_EVENT_TYPES = re.compile(r"signInEventTypes/any\(\s*(\w+)\s*:\s*\1\s+eq\s+'(\w+)'\s*\)")
_KINDS = {
    "interactiveuser": "SigninLogs",
    "noninteractiveuser": "AADNonInteractiveUserSignInLogs",
    "serviceprincipal": "AADServicePrincipalSignInLogs",
    "managedidentity": "AADManagedIdentitySignInLogs",
}
_NAMES = {"AADServicePrincipalSignInLogs": "servicePrincipal", "AADManagedIdentitySignInLogs": "managedIdentity"}
_WORDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "eq": "="}


def sign_in_page(content: Content, request: Request, version: str, size: int) -> Answer:
    """Return a page of sign-ins, newest first.

    Raises:
        RefusalError: The filter has something in it that is not understood.
    """
    ensure_tables(content)
    text = request.query.get("$filter", "")
    asked = _EVENT_TYPES.findall(text)
    kinds = [_KINDS.get(name.lower(), "") for _, name in asked] if asked and version == "beta" else ["SigninLogs"]
    rest = _EVENT_TYPES.sub("", text)
    rest = re.sub(r"^(\s*\(?\s*(or|and)?\s*\)?\s*)+|\(\s*(or\s*)*\)", "", rest).strip()
    conditions, values = ["kind = ANY($kinds)", "place > $after"], []
    for name, word, value in read_filter(re.sub(r"\s+and\s*$", "", rest)):
        if name == "createdDateTime":
            # Times here have seven digits of a second, so that they compare as text.
            bound = value.removesuffix("Z").ljust(20, ".") if "." not in value else value.removesuffix("Z")
            conditions.append(f"created {_WORDS[word]} $value{len(values)}")
            values.append(bound.ljust(27, "0") + "Z")
    token = request.query.get("$skiptoken", "")
    parameters = {"kinds": kinds, "after": offset_of(token) if token else 0}
    parameters |= {f"value{number}": value for number, value in enumerate(values)}
    con = content.cursor()
    rows = con.execute(
        f"SELECT place, kind, r::VARCHAR FROM sign_in_records WHERE {' AND '.join(conditions)} "
        f"ORDER BY place LIMIT {size + 1}",
        parameters,
    ).fetchall()
    con.close()
    head = f'{{"@odata.context":"{request.base}/{version}/$metadata#auditLogs/signIns",'
    if len(rows) > size:
        head += f'"@odata.nextLink":"{request.link(skiptoken=skip_token(rows[size - 1][0]))}",'
    records = [_told(kind, record) for _, kind, record in rows[:size]]
    return Answer(document=(head + '"value":[' + ",".join(records) + "]}").encode())


def _told(kind: str, record: str) -> str:
    name = _NAMES.get(kind)
    return record if name is None else f'{{"signInEventTypes":["{name}"],{record[1:]}'
