"""Say what a person may decide about Graph permissions: chosen resources, and narrower permissions that add something.

A plan grants nothing that an application cannot do today. A narrower permission may be enough for every request and yet
allow others that the map does not list for the broad one: `User.Read.All` instead of `Directory.Read.All` adds the
profiles of users. Then the swap is advice, with the number of those requests and an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rightsize.analyze.graph.cases import CaseKey, GraphCase
from rightsize.analyze.graph.judge import GraphAnalysis
from rightsize.analyze.reasons import SHOWN, Verdict
from rightsize.graph.permissions import Pair
from rightsize.model.plan import Advice
from rightsize.propose.graph.choose import GraphChoice
from rightsize.propose.graph.narrower import beyond
from rightsize.rules.graph import alternatives, is_general


def graph_advice(
    analysis: GraphAnalysis, choices: Mapping[CaseKey, GraphChoice], names: Mapping[str, str]
) -> tuple[Advice, ...]:
    """Return the advice on the permissions that applications hold after the plan, sorted."""
    found = set()
    for key, choice in choices.items():
        name = names.get(key[0], key[0])
        for permission in choice.after:
            for one in alternatives(permission, key[1]):
                text = f"{permission} ({key[1]}) reaches everything; {one.instead} reaches {one.only}"
                found.add(Advice(name, text))
        if analysis.state in SHOWN:
            found |= {Advice(name, text) for text in _narrower(analysis, analysis.cases[key], choice)}
    return tuple(sorted(found, key=lambda one: (one.subject, one.text)))


def _narrower(analysis: GraphAnalysis, case: GraphCase, choice: GraphChoice) -> Iterator[str]:
    """Yield a sentence for each used permission that stays although a narrower one meets all its needs."""
    access, graph = case.key[1], analysis.graph
    for permission, found in analysis.judgements[case.key].items():
        if found.verdict is not Verdict.USED or choice.stays.get(permission) != found.reason:
            continue
        needs = [need for need in case.needs if need.held & choice.after == {permission}]
        enough = frozenset.intersection(*(need.others for need in needs)) if needs else frozenset()
        known = [
            (graph.privilege(one, access), one) for one in enough if is_general(one) and (access, one) in graph.ids
        ]
        less, one = min(known, default=(0, ""))
        added: set[Pair] = beyond(one, sorted(choice.after), access, graph) if one else set()
        if added and less < graph.privilege(permission, access):
            method, path = min(added, key=lambda pair: (pair[1], pair[0]))
            yield (
                f"{permission} ({access}): {one} allows every request that was seen; it would also allow {len(added)} "
                f"that today's permissions are not documented for, such as {method} {path}"
            )
