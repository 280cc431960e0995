"""Compute the sections of the report: first steps, unknown, by design, jobs, and beyond Azure roles.

Compute the first card of the report: the waves of a plan, with the share that they buy and their first steps.

Compute the report's card of what stays unknown: what would decide it, its price, and what the plan keeps for it.

Compute the report's section of what stays by design: assignments that no evidence would change.

Compute the report's section of jobs: who shares what, and who does what nobody else of the job does.

Compute the report's tables beyond Azure RBAC: reach, activations, directory roles and Graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rightsize.analyze.counting import count_unexplained
from rightsize.model.nouns import DONE_BY
from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES, PROPOSAL_KINDS
from rightsize.model.plan_totals import NextStep, latent_of, total_excess_of
from rightsize.model.progress import counted
from rightsize.model.text import fold
from rightsize.render import next_steps
from rightsize.render.pictures import shape_blast
from rightsize.render.report.figures import SHOWN, Figures, bar, clean, name_of
from rightsize.render.sentences import gigabytes_text, plane_title, price_text, whole_percents

_STEPS_SHOWN: Mapping[int, int] = {1: 1, 2: 1, 3: 2}
"""The most steps of each wave in the table; those of today have cards."""


def first_waves(figures: Figures) -> list[dict[str, Any]]:
    """Return the waves with steps for Azure roles or, where there are none, the other planes; each with first steps.

    `others` says how many steps other planes have in the wave.
    """
    steps = figures.sources.steps
    rows = next_steps.wave_rows(steps)
    has_azure = any(row["plane"] == AZURE_ROLES for row in rows)
    found = []
    for wave in sorted({row["wave"] for row in rows}):
        of_wave = [row for row in rows if row["wave"] == wave]
        own = [row for row in of_wave if row["plane"] == AZURE_ROLES]
        shown = [one for one in steps.of_wave(wave) if not has_azure or one.plane == AZURE_ROLES]
        others = ", ".join(f"{PLANE_NAMES[row['plane']]} {row['steps']:,}" for row in of_wave if row not in own)
        found.append(
            {
                "title": next_steps.wave_title(wave),
                "steps": sum(row["steps"] for row in own),
                "share": sum(row["share_of_all"] for row in own),
                "running_share": own[0]["running_share_of_all"] if own else None,
                "roles": sum(row["roles_to_create"] for row in own),
                "others": others,
                "first": [step_row(one, figures) for one in shown[: _STEPS_SHOWN.get(wave, 0)]],
            }
        )
    return found


def step_row(step: NextStep, figures: Figures) -> dict[str, Any]:
    """Return a step with harmless texts: what it `does`, what its role `gives` away, its `effort` and way `back`.

    `share` is its own, and `total` the one so far.
    """
    names = {step.principal_id: figures.principal_name(step.principal_id)} | dict(figures.sources.scope_names)
    names |= {owner: figures.principal_name(owner) for owner in (step.danger.owners if step.danger else ())}
    names |= {role: figures.roles[fold(role)] for role in (step.role, *step.becomes) if fold(role) in figures.roles}
    return {
        "rank": step.rank,
        "principal_id": step.principal_id,
        "proposal": step.proposal if step.plane == AZURE_ROLES else "",
        "name": names[step.principal_id],
        "does": clean(next_steps.describe_step(step, names)),
        "gives": clean(next_steps.describe_danger(step, names)),
        "effort": clean(next_steps.describe_effort(step, with_chance=step.kind.changes)),
        "back": clean(next_steps.describe_undo(step)),
        "share": step.of_all,
        "total": step.total_of_all,
    }


_UNKNOWN_ROWS = 4
"""The most options in the table of the card; the list below it has all of them."""
_LISTED, _COMMANDS = 40, 12
"""The most options of the list, and the most commands of each."""
_STAYS = 4
"""The most reasons to stay that have rows of their own."""
_LEAST_SHARE = 0.001
_IN_ROLES = "kept without evidence in new or smaller roles"
_UNDECIDED = {
    "cannot narrow": "kept whole: no log shows most of it",
    "nothing observed": "kept whole: no log shows any use",
    "endpoint only": "kept whole: no log shows a use of an endpoint",
    "no able owner": "kept whole: no Owner is known to be able to act",
    "not worth a role": "kept whole: not worth a new role",
}
"""The first words of the reason of a kept assignment, as rows of the card; other reasons stand as they are."""


def unknown_card(figures: Figures) -> dict[str, Any]:
    """Return the numbers of the card: `options`, `all`, `count`, `decidable`, `unlisted`, `prices` and `stays`."""
    undecided = figures.sources.undecided
    rows = [_option(row) for row in undecided.options]
    known = [row for row in undecided.options if row["price_as_of"] is not None]
    return {
        "options": rows[:_UNKNOWN_ROWS],
        "all": rows[:_LISTED],
        "count": len(rows),
        "decidable": undecided.decidable,
        "unlisted": undecided.unlisted,
        "price": _whole_price(undecided.options),
        "prices": {
            "plan": undecided.options[0]["plan"] if undecided.options else "",
            "region": undecided.region,
            "as_of": min((row["price_as_of"] for row in known), default=None),
        },
        "stays": list(_stays(figures)),
    }


def _whole_price(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the price of all options together a month; it is not known where that of one is not."""
    if not rows:
        return ""
    prices = [row["price_per_month"] for row in rows]
    marks = {name: any(row[name] for row in rows) for name in ("is_assumed", "is_sent")}
    return price_text({**rows[0], **marks, "price_per_month": None if None in prices else sum(prices)})


def _option(row: Mapping[str, Any]) -> dict[str, Any]:
    commands = [clean(one) for one in row["commands"]]
    return {
        "rank": row["rank"],
        "title": clean(row["title"]),
        "share": _share_text(row["share"]),
        "width": round(100 * row["share"], 1),
        "notes": list(_unknown_notes(row)),
        "volume": _volume_text(row["gb_per_month"]),
        "price": price_text(row),
        "decides_on": row["decides_on"],
        "commands": commands[:_COMMANDS],
        "more": max(0, len(commands) - _COMMANDS),
    }


def _unknown_notes(row: Mapping[str, Any]) -> Iterator[str]:
    yield f"{counted(row['operations'], 'operation')} of {counted(row['assignments'], 'assignment')}"
    if row["expected"] is not None and row["excess"]:
        yield f"{100 * row['expected'] // row['excess']} % of it unused in like scopes"
    if row["is_assumed"]:
        yield "the number of records is assumed"
    if row["needs"]:
        yield f"needs also {', '.join(clean(name) for name in row['needs'])}"
    if row["licence"]:
        yield f"licence: {clean(row['licence'])}"


def _share_text(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= _LEAST_SHARE or not share else f"<{100 * _LEAST_SHARE:.1f} %"


def _volume_text(gigabytes: float | None) -> str:
    if not gigabytes:
        return "unknown volume" if gigabytes is None else "no volume"
    return f"{gigabytes_text(gigabytes)} GB a month"


def _stays(figures: Figures) -> Iterator[dict[str, Any]]:
    """Yield why live excess is left under the plan, the most first; what stays by design is only in the whole."""
    excess: Counter[str] = Counter()
    assignments: Counter[str] = Counter()
    whole = 0.0
    for one in figures.proposals:
        absent = latent_of(one["kind"], one["evidence"])
        whole += max(0.0, one["excess_before"] - absent.before)
        if figures.by_design_word(one):
            continue
        left = max(0.0, one["excess_after"] - absent.after)
        if left:
            word = _IN_ROLES if PROPOSAL_KINDS[one["kind"]].changes else str(one["reason"]).partition(":")[0]
            excess[word] += left
            assignments[word] += 1
    ranked = sorted(excess, key=lambda word: (-excess[word], word))
    shown = ranked if len(ranked) <= _STAYS + 1 else ranked[:_STAYS]
    for text, words in [*((word, [word]) for word in shown), ("other reasons", ranked[len(shown) :])]:
        if words:
            left = sum(excess[word] for word in words)
            yield {
                "text": clean(_text_of(text)),
                "assignments": sum(assignments[word] for word in words),
                "excess": left,
                "share": round(100 * left / whole, 1) if whole else 0.0,
            }


def _text_of(word: str) -> str:
    return _UNDECIDED.get(word) or (word if word in (_IN_ROLES, "other reasons") else f"kept whole: {word}")


_BEYOND = ("emergency_access", "excluded", "last_global_administrator", "by_the_service", "first_party")
"""The first words of the reasons in other planes that no evidence would change."""


def by_design_part(figures: Figures) -> dict[str, Any]:
    """Return `fact`, a line; `reasons`; `rows`, assignments, the largest excess first; `whole`, the number of all.

    Rows of other planes come last, and their excess is not shown: it has other units.
    """
    totals = total_excess_of(figures.proposals)
    own = sorted(filter(figures.by_design_word, figures.proposals), key=lambda one: (-one["excess_before"], one["id"]))
    beyond = [
        one for one in figures.sources.beyond if PROPOSAL_KINDS[one["kind"]].keeps and _word_beyond(one["reason"])
    ]
    beyond.sort(key=lambda one: (one["plane"], one["id"]))
    reasons = sorted(totals.reasons.items(), key=lambda one: (-one[1], one[0]))
    named = ", ".join(f"{number:,} {word.replace('_', ' ')}" for word, number in reasons)
    share = f"{whole_percents(totals.parts_of_live()).get('by_design', 0)} % of all live excess"
    fact = [f"{counted(len(own), 'assignment')} with {share} ({named})"] if own else []
    fact += [f"{counted(len(beyond), 'assignment')} beyond Azure roles"] if beyond else []
    rows = [_design_row(one, figures) for one in own] + [_design_row_beyond(one, figures) for one in beyond]
    return {"fact": ", ".join(fact), "reasons": clean(named), "rows": rows[:SHOWN], "whole": len(rows)}


def _design_row(one: Any, figures: Figures) -> dict[str, Any]:
    word = figures.by_design_word(one)
    sentence = one["reason"].partition(": ")[2].partition("; enough would be")[0]
    return {
        "proposal": one["id"],
        "principal": figures.principal_name(one["principal_ids"][0]),
        "role": figures.role_name(one["evidence"]["role"]),
        "at": figures.place(one["evidence"]["scope"]),
        "word": clean(word),
        "why": clean(sentence),
        "enough": clean(one["evidence"].get("enough", "")),
        "excess": one["excess_before"],
    }


def _design_row_beyond(one: Any, figures: Figures) -> dict[str, Any]:
    return {
        "proposal": "",
        "principal": figures.principal_name(one["principal_ids"][0]),
        "role": figures.role_name(one["evidence"]["role"]),
        "at": PLANE_NAMES[one["plane"]],
        "word": _word_beyond(one["reason"]),
        "why": clean(one["reason"].partition(": ")[2]),
        "enough": "",
        "excess": None,
    }


def _word_beyond(reason: str) -> str:
    word = reason.partition(":")[0]
    return word if word in _BEYOND else ""


_HOLDERS_NAMED = 6
_JOBS_DRAWN, _HOLDERS_DRAWN = 20, 30
"""The most columns and rows of the picture of jobs: more cannot be told apart on a phone."""


def job_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return a row a job, the most holders first: its holders, what all, most and few of them do, and who is alone.

    Each list names the first few, with the number of the `more`.
    """
    tables = figures.sources.jobs
    if not tables:
        return []
    operations, holders = (tables[name].rows_by_key("job", named=True) for name in ("job_operations", "job_holders"))
    rows = []
    for row in tables["jobs"].head(SHOWN).iter_rows(named=True):
        those = holders[row["job"]]
        alone = [one for one in those if one["alone_operations"]]
        done = {
            word: _first([one["operation"] for one in operations[row["job"]] if one["done_by"] == word])
            for word in DONE_BY
        }
        rows.append(
            {
                "name": clean(row["name"]),
                "role": figures.role_name(row["role"]) if row["role"] else "",
                "holder_count": row["holder_count"],
                "holders": _first([figures.principal_name(one["principal_id"]) for one in those]),
                "done": done,
                "alone": [
                    (figures.principal_name(one["principal_id"]), _first(one["alone_operations"]))
                    for one in alone[:_HOLDERS_NAMED]
                ],
                "more_alone": max(0, len(alone) - _HOLDERS_NAMED),
            }
        )
    return rows


def job_picture(figures: Figures) -> dict[str, Any] | None:
    """Return the picture of jobs: `jobs` as columns, and `rows`, the holders who share the same jobs.

    A cell is `alone` where a holder of the row does something that nobody else of the job does, `shared` where nobody
    of the row does, and empty where the row does not have the job. `more_jobs` and `more_rows` say what is left out.
    """
    tables = figures.sources.jobs
    if not tables or tables["jobs"].is_empty():
        return None
    jobs = tables["jobs"].head(_JOBS_DRAWN).to_dicts()
    place = {row["job"]: number for number, row in enumerate(jobs)}
    held: dict[str, set[int]] = {}
    alone: set[tuple[str, int]] = set()
    for row in tables["job_holders"].iter_rows(named=True):
        if row["job"] in place:
            held.setdefault(row["principal_id"], set()).add(place[row["job"]])
            if row["alone_operations"]:
                alone.add((row["principal_id"], place[row["job"]]))
    alike: dict[tuple[int, ...], list[str]] = {}
    for principal, own in held.items():
        alike.setdefault(tuple(sorted(own)), []).append(principal)
    rows = []
    for shared, people in sorted(alike.items())[:_HOLDERS_DRAWN]:
        names = sorted(figures.principal_name(one) for one in people)
        word = {job: "alone" if any((one, job) in alone for one in people) else "shared" for job in shared}
        rows.append(
            {
                "name": names[0],
                "holders": len(names),
                "all": clean(", ".join(names)),
                "cells": [word.get(job, "") for job in range(len(jobs))],
            }
        )
    return {
        "jobs": [{"name": clean(row["name"]), "holders": row["holder_count"]} for row in jobs],
        "rows": rows,
        "more_jobs": tables["jobs"].height - len(jobs),
        "more_rows": len(alike) - len(rows),
    }


def _first(texts: Sequence[str]) -> dict[str, Any]:
    return {"shown": [clean(text) for text in texts[:_HOLDERS_NAMED]], "more": max(0, len(texts) - _HOLDERS_NAMED)}


BLASTS_OF = {"principal": 6, "resource": 3, "outsider": 2}
"""Number of subjects of each kind whose blast radius is drawn."""
_DONE = 5


def plane_tables(figures: Figures) -> list[dict[str, Any]]:
    """Return a table for each plane: its grants, most creep first, with the kind of their proposals."""
    return [
        {
            "plane": one.plane,
            "title": plane_title(one.plane),
            "window": one.window,
            "unexplained": count_unexplained(one.verdicts),
            "whole": one.assignments.height,
            "rows": list(_held(figures, one.assignments.to_dicts(), _decisions(figures, one.plane))),
        }
        for one in sorted(figures.sources.planes, key=lambda one: one.plane)
    ]


def _held(figures: Figures, rows: list[dict[str, Any]], decisions: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    rows.sort(key=lambda row: (-row["creep"], -row["granted"], row["role_assignment_id"], row["state"]))
    for row in rows[:SHOWN]:
        yield row | {
            "principal": figures.principal_name(row["principal_id"]),
            "role": name_of(row["role_name"], row["role_definition_id"] or "?"),
            "at": "the tenant" if row["scope"] == "/" else clean(row["scope"]),
            "bar": bar(row),
            "decision": decisions.get(fold(row["role_assignment_id"]), ""),
        }


def _decisions(figures: Figures, plane: str) -> dict[str, str]:
    """Return the kind of the proposal for each grant, by its folded id."""
    proposals = [one for one in figures.sources.beyond if one["plane"] == plane]
    return {fold(id_): one["kind"] for one in proposals for id_ in one["replaces"]}


def activation_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return the newest activations, each with the operations used during it."""
    held = (one.assignments.select("role_definition_id", "role_name") for one in figures.sources.planes)
    directory = {fold(id_): name for frame in held for id_, name in frame.iter_rows() if id_}
    rows = sorted(figures.sources.activations, key=lambda row: row["activation_id"])
    rows.sort(key=lambda row: str(row["start_on"] or ""), reverse=True)
    return [
        dict(row)
        | {
            "principal": figures.principal_name(row["principal_id"]),
            "role": clean(
                directory.get(fold(row["role_definition_id"] or ""))
                or figures.role_name(row["role_definition_id"] or "?")
            ),
            "at": "the tenant" if row["scope"] in ("/", None) else figures.place(row["scope"]),
            "began": str(row["start_on"] or "")[:16],
            "done": [clean(name) for name in (row["done"] or ())[:_DONE]],
        }
        for row in rows[:SHOWN]
    ]


def reach_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return the subjects with the widest reach."""
    return [
        dict(row) | {"name": name_of(row["name"], row["subject"]), "layers": len(row["layers"] or ())}
        for row in figures.sources.reach[:SHOWN]
    ]


def blast_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return the blast radius of the first subjects, ready to be drawn."""
    return [shape_blast(one) for one in figures.sources.blasts]
