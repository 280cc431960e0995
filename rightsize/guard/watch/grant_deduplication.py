"""Match grants that a log and a listing both show, so that one grant counts once.

A role assignment has the same id in both. An assignment made by Privileged Identity Management has not: the log names
the request, and the listing names the instance that came of it. They are one where holder, role and scope agree and the
instance is not older than the request. Where the log does not name the holder, they are one where the scope agrees and
only minutes lie between them.

A listing of directory roles does not say when an assignment was made. Such an assignment is the one that the log shows
for its holder and role in the month before the listing, or in the two days after it, since a log may be late. The same
holds for consents, which are one where the application, the permissions and the users that they cover agree.
"""

from __future__ import annotations

import datetime as dt

import polars as pl

from rightsize.analyze.inputs import folded, place_of

MARKS: dict[str, pl.DataType] = {
    "asks": pl.String(),
    "place": pl.String(),
    "holder": pl.String(),
    "role": pl.String(),
    "grant_id": pl.String(),
    "time": pl.Datetime("us"),
}
"""The marks by which a grant is recognised; texts are folded, and empty where unknown."""

REMOVALS = ("adminremove", "selfdeactivate", "selfremove", "systemremove")
"""Folded requests that remove access. Source: REST reference of roleAssignmentScheduleRequests, RequestType."""

_ASKED_BY = {
    "microsoft.authorization/roleassignments/write": "assignment",
    "microsoft.authorization/roleassignmentschedulerequests/write": "pim_assignment",
    "microsoft.authorization/roleeligibilityschedulerequests/write": "eligibility",
    "microsoft.directory/roleassignments/allproperties/alltasks": "directory",
    "microsoft.directory/serviceprincipals/approleassignedto/update": "app_role",
    "microsoft.directory/oauth2permissiongrants/create": "consent",
    "microsoft.directory/oauth2permissiongrants/basic/update": "consent",
}
_WITHIN, _SOON, _LATEST = pl.duration(hours=1), pl.duration(minutes=10), pl.duration(days=30)
# A listing proves that a grant was made before the end of its day; a log may be two days late.
_UNTIMED, _CONSENT, _LATE = "directory_untimed", "consent", pl.duration(days=2)
_APART = "|"


def consent(consent_type: pl.Expr, permissions: pl.Expr) -> pl.Expr:
    """Return a delegated grant as one folded text: the consent type, then the sorted permissions."""
    each = permissions.list.eval(folded(pl.element())).list.unique().list.sort().list.join(" ")
    return pl.concat_str([folded(consent_type).fill_null(""), each], separator=" ")


def read_consent(granted: str | None) -> tuple[str, list[str]] | None:
    """Return the consent type and the permissions, folded, of a text from `consent`; None for the id of a role."""
    whom, space, permissions = (granted or "").partition(" ")
    return (whom, permissions.split(" ")) if space else None


def marks_of_events(events: pl.DataFrame) -> pl.DataFrame:
    """Return MARKS of the events of a log that give access, with their `event_key`.

    Args:
        events: As `store.watching.watched_events`.
    """
    marks = (
        events.filter(~pl.col("request_type").fill_null("").is_in(REMOVALS))
        .with_columns(asks=pl.col("operation").replace_strict(_ASKED_BY, default=None, return_dtype=pl.String))
        .drop_nulls("asks")
        .select(
            "event_key",
            "asks",
            place=_place(pl.col("asks"), pl.col("scope")),
            holder=folded(pl.col("holder")).fill_null(""),
            role=folded(pl.col("role")).fill_null(""),
            grant_id=place_of(pl.col("scope")).str.split("/").list.last().fill_null(""),
            time=pl.col("time").cast(pl.Datetime("us")),
        )
    )
    known = (pl.col("asks") == "directory") & (pl.col("holder") != "") & (pl.col("role") != "")
    return pl.concat([marks, marks.filter(known).with_columns(asks=pl.lit(_UNTIMED))])


def marks_of_listed(listed: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """Return MARKS of listed grants, with `kind` and `name`; an assignment also gets those of one made by PIM.

    Args:
        listed: As `guard.watch.state.STANDING`.
        day: The day of the listings, for grants without a time.
    """
    untimed = pl.col("time").is_null()
    marks = listed.select(
        "kind",
        "name",
        asks=pl.when(pl.col("kind") == "app_role_assignment")
        .then(pl.lit("app_role"))
        .when(pl.col("kind") == "directory_role_assignment")
        .then(pl.when(untimed).then(pl.lit(_UNTIMED)).otherwise(pl.lit("directory")))
        .when(pl.col("kind") == "permission_grant")
        .then(pl.lit(_CONSENT))
        .when(pl.col("what") == "eligible")
        .then(pl.lit("eligibility"))
        .when(pl.col("kind") == "role_assignment")
        .then(pl.lit("assignment")),
        scope="scope",
        holder=pl.col("principal_id").fill_null(""),
        role=pl.col("role").fill_null(""),
        grant_id=pl.col("name").str.split(_APART).list.first(),
        time=pl.when(untimed & pl.col("kind").is_in(["directory_role_assignment", "permission_grant"]))
        .then(pl.lit(day).cast(pl.Datetime("us")) + _LATE)
        .otherwise("time"),
    ).drop_nulls("asks")
    marks = pl.concat([marks, marks.filter(pl.col("asks") == "assignment").with_columns(asks=pl.lit("pim_assignment"))])
    return marks.select(
        "kind", "name", "asks", _place(pl.col("asks"), pl.col("scope")).alias("place"), *list(MARKS)[2:]
    )


def _place(asks: pl.Expr, scope: pl.Expr) -> pl.Expr:
    """Return the folded scope at which access is given; the directory is one place."""
    place = place_of(scope).str.replace(r"/providers/microsoft\.authorization/.*$", "")
    place = pl.when(place == "").then(pl.lit("/")).otherwise(place)
    return pl.when(asks.is_in(["directory", _UNTIMED, "app_role", _CONSENT])).then(pl.lit("/")).otherwise(place)


def said_before(made: pl.DataFrame, asked: pl.DataFrame, keep: list[str], *, by_place: bool = True) -> pl.DataFrame:
    """Return the distinct `keep` columns of rows that have a partner on the other side.

    Args:
        made: MARKS of the grants that exist.
        asked: MARKS of the grants that were asked for; one of the two has the columns of `keep`.
        keep: The columns that name a row of the side in question.
        by_place: Whether scope and minutes are enough where one side does not know the holder or role.
    """
    pairs = made.join(asked, on=["asks", "place"], suffix="_asked")
    since = pl.col("time") - pl.col("time_asked")
    same_id = (pl.col("grant_id") == pl.col("grant_id_asked")) & (since.abs() <= _WITHIN).fill_null(True)
    whom = pl.all_horizontal(pl.col(name) != "" for name in ("holder", "role", "holder_asked", "role_asked"))
    same = (pl.col("holder") == pl.col("holder_asked")) & (pl.col("role") == pl.col("role_asked")) & whom
    after = ((since >= -_SOON) & (since <= _LATEST)).fill_null(False)
    near = ~whom & ~pl.col("asks").is_in([_UNTIMED, _CONSENT]) & (since.abs() <= _SOON).fill_null(False)
    by_pim = pl.col("asks") != "assignment"
    return pairs.filter(same_id | (by_pim & ((same & after) | (near if by_place else False)))).select(keep).unique()


def named(marks: pl.DataFrame) -> pl.Series:
    """Return marks as texts that can be stored."""
    texts = (
        pl.col(name) if name != "time" else pl.col(name).dt.to_string("iso:strict").fill_null("") for name in MARKS
    )
    return marks.select(pl.concat_str(list(texts), separator=_APART))["asks"]


def read_named(names: pl.Series) -> pl.DataFrame:
    """Return MARKS from names that `named` made."""
    parts = pl.col("name").str.split_exact(_APART, len(MARKS) - 1).struct.rename_fields(list(MARKS))
    found = pl.DataFrame({"name": names.cast(pl.String)}).select(parts).unnest("name")
    return found.with_columns(pl.col("time").replace("", None).str.to_datetime(time_unit="us", strict=False))
