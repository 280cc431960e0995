"""Write the demo's Activity Log as overlapping exports of several shapes, one file or tree for each.

One file is as a broken pipe leaves it: some records whole, some damaged.

Write sign-in logs as Graph pages and as records of diagnostic settings.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import polars as pl

from rightsize.demo import calls, writing
from rightsize.demo.activity_shapes import RowTexts, Shapes, activity_rows, homes
from rightsize.demo.activity_texts import write_texts
from rightsize.demo.directory_files import pipeline_of, used_credentials, write_runs
from rightsize.demo.people import record_form
from rightsize.demo.tenant import WINDOW_DAYS, Principal, SampleTenant

Shape = Literal["blobs", "zip", "cli", "rest", "portal", "event_hub", "lines"]
_OTHERS: tuple[Shape, ...] = ("event_hub", "portal", "lines")
_SLICE = 20_000
_PAGE = 200
_PORTAL_LIMIT = 30_000


@dataclass(frozen=True, slots=True)
class Route:
    """One export: some days of the log of a scope, in one shape."""

    home: str
    name: str
    shape: Shape
    first_day: int
    last_day: int


def write_activity(tenant: SampleTenant, folder: writing.Folder) -> pl.DataFrame:
    """Write all exports of the Activity Log; return the rows in at least one of them, as `activity_rows`."""
    texts = write_texts(tenant)
    rows = outside_silence(tenant, activity_rows(tenant, texts), homes(texts))
    writer = _Writer(tenant, folder, RowTexts(tenant, texts), homes(texts))
    for route in routes(tenant):
        writer.write(route, rows)
    return rows


def routes(tenant: SampleTenant) -> list[Route]:
    """Return the exports; together they hold every existing day of every log, some days twice.

    Azure keeps the log for 90 days, so exports of REST and the Azure CLI have 90 days.
    """
    last = tenant.spec.days - 1
    recent = last - WINDOW_DAYS + 1
    subscriptions = [scope for scope in tenant.scopes if scope.kind == "subscription"]
    by_name = [(scope.scope, f"subscription-{order:02d}") for order, scope in enumerate(subscriptions, start=1)]
    portal, records, imaging, hub, ops, sandbox = by_name[:6]
    found = [
        Route(*portal, "portal", 0, recent + 29),
        Route(*portal, "cli", recent, last),
        Route(*records, "zip", 0, last - 30),
        Route(*records, "blobs", last - 45, last),
        Route(*imaging, "portal", 0, last),
        Route(*hub, "event_hub", 0, last),
        Route(*ops, "rest", 0, recent + 9),
        Route(*ops, "cli", recent, last),
        Route(*sandbox, "portal", 0, last),
    ]
    found += [
        Route(scope, name, _OTHERS[index % len(_OTHERS)], 0, last) for index, (scope, name) in enumerate(by_name[6:])
    ]
    groups = [
        (scope.scope, scope.scope.rsplit("/", 1)[1]) for scope in tenant.scopes if scope.kind == "management_group"
    ]
    # The root group sends no log.
    return [*found, *(Route(scope, f"management-group-{name}", "rest", 0, last) for scope, name in groups[1:])]


def outside_silence(tenant: SampleTenant, rows: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    """Return the rows without those from days on which a subscription had no log."""
    for scope, (first, last) in tenant.missing.items():
        if scope in names:
            days = ((first - tenant.spec.first_day).days, (last - tenant.spec.first_day).days)
            rows = rows.filter((pl.col("home") != names.index(scope)) | ~pl.col("day").is_between(*days))
    return rows


class _Writer:
    def __init__(self, tenant: SampleTenant, folder: writing.Folder, row_texts: RowTexts, names: list[str]) -> None:
        self._tenant, self._folder, self._row_texts, self._names = tenant, folder, row_texts, names
        self._shapes = Shapes(tenant)
        self._methods: dict[Shape, Callable[[Route, pl.DataFrame], None]] = {
            "blobs": self._blobs,
            "zip": self._zip,
            "cli": self._cli,
            "rest": self._rest,
            "portal": self._portal,
            "event_hub": self._event_hub,
            "lines": self._lines,
        }

    def write(self, route: Route, rows: pl.DataFrame) -> None:
        """Write one export."""
        if route.home in self._names:
            home = self._names.index(route.home)
            held = rows.filter((pl.col("home") == home) & pl.col("day").is_between(route.first_day, route.last_day))
            self._methods[route.shape](route, held)

    def _slices(self, rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
        for part in rows.iter_slices(_SLICE):
            yield self._row_texts.of(part)

    def _path(self, route: Route, ending: str) -> str:
        return f"activity/{route.name}-{route.shape.replace('_', '-')}{ending}"

    def _cli(self, route: Route, rows: pl.DataFrame) -> None:
        parts = [writing.joined(self._shapes.cli(part), ",\n  ") for part in self._slices(rows)]
        self._folder.write(self._path(route, ".json"), [b"[\n  ", b",\n  ".join(parts), b"\n]\n"], records=rows.height)

    def _rest(self, route: Route, rows: pl.DataFrame) -> None:
        for page_number, page in enumerate(rows.iter_slices(_PAGE), start=1):
            records = writing.joined(self._shapes.rest(self._row_texts.of(page)), ",")
            more = page_number * _PAGE < rows.height
            link = f"https://management.azure.com{route.home}/providers/Microsoft.Insights/eventtypes/management/values"
            tail = f',"nextLink":"{link}?api-version=2015-04-01&$skiptoken={page_number}"'.encode() if more else b""
            path = self._path(route, f"-page-{page_number:03d}.json")
            self._folder.write(path, [b'{"value":[', records, b"]", tail, b"}"], records=page.height)

    def _portal(self, route: Route, rows: pl.DataFrame) -> None:
        # The portal exports at most 30,000 rows at once, the newest first.
        head = self._shapes.portal_header().encode() + b"\r\n"
        for page_number, page in enumerate(rows.reverse().iter_slices(_PORTAL_LIMIT), start=1):
            lines = (writing.joined(self._shapes.portal_csv(part), "\r\n") + b"\r\n" for part in self._slices(page))
            path = self._path(route, f"-query_data-{page_number}.csv")
            self._folder.write(path, chain([head], lines), records=page.height)

    def _event_hub(self, route: Route, rows: pl.DataFrame) -> None:
        self._folder.write(self._path(route, ".json.gz"), writing.gzip_chunks(self._batches(rows)), records=rows.height)

    def _batches(self, rows: pl.DataFrame) -> Iterator[bytes]:
        """Yield the batches of a day, one after the other, as the capture of an Event Hub has them."""
        for part in self._slices(rows):
            texts = part.select("day", self._shapes.diagnostic(part).alias("text"))
            days = texts.group_by("day", maintain_order=True).agg(pl.col("text").str.join(","))
            for text in days["text"]:
                yield b'{"records":[' + text.encode() + b"]}\n"

    def _lines(self, route: Route, rows: pl.DataFrame) -> None:
        chunks = (writing.joined(self._shapes.diagnostic(part), "\n") + b"\n" for part in self._slices(rows))
        self._folder.write(self._path(route, ".jsonl.gz"), writing.gzip_chunks(chunks), records=rows.height)

    def _zip(self, route: Route, rows: pl.DataFrame) -> None:
        members: dict[str, bytes] = {}
        month = rows["time"].dt.strftime("%Y-%m")
        for name in month.unique().sort():
            parts = self._slices(rows.filter(month == name))
            chunks = (writing.joined(self._shapes.diagnostic(part), "\n") + b"\n" for part in parts)
            members[f"{route.name}/{name}.jsonl"] = b"".join(chunks)
        self._folder.write(self._path(route, ".zip"), writing.zip_bytes(members), records=rows.height)

    def _blobs(self, route: Route, rows: pl.DataFrame) -> None:
        """Write diagnostic settings' folder tree in a storage account; a blob is named after the hour received."""
        hour = pl.col("row_time").dt.truncate("1h") + pl.duration(hours="lag")
        received_rows = rows.with_columns(hour.alias("hour")).sort("hour", "row_time", maintain_order=True)
        for part in self._slices(received_rows):
            texts = part.select("hour", self._shapes.diagnostic(part).alias("text"))
            for received, text, count in _by_hour(texts):
                path = (
                    f"activity/insights-activity-logs/resourceId={route.home.upper()}/"
                    f"{received:y=%Y/m=%m/d=%d/h=%H}/m=00/PT1H.json"
                )
                self._folder.append(path, text.encode() + b"\n", records=count)


def _by_hour(texts: pl.DataFrame) -> Iterator[tuple[dt.datetime, str, int]]:
    hours = texts.group_by("hour", maintain_order=True).agg(pl.col("text").str.join("\n"), pl.len().alias("count"))
    yield from hours.iter_rows()


PATH = "activity/damaged.jsonl"
DAMAGED_CALLS = 1
"""Number of calls in the good records that no habit made."""


def write_damaged(tenant: SampleTenant, folder: writing.Folder) -> None:
    """Write three good records of one call of the nightly tagger, and four that must be rejected."""
    good = [_record(tenant, phase) for phase in ("Start", "Accept", "Success")]
    no_time = {key: value for key, value in good[0].items() if key != "time"}
    lines = [
        writing.json_text(good[0]),
        writing.json_text(good[1])[:-40],
        writing.json_text(no_time),
        writing.json_text(good[1]),
        writing.json_text(good[0] | {"time": "yesterday evening"}),
        '"a string is no record"',
        writing.json_text(good[2]),
    ]
    folder.write(PATH, "\n".join(lines).encode() + b"\n", records=len(lines), rejected=4)


def _record(tenant: SampleTenant, result: str) -> dict[str, object]:
    # The log of this subscription has no gap, so that the record adds no day.
    scope = [scope.scope for scope in tenant.scopes if scope.kind == "subscription"][3]
    action = "Microsoft.Resources/tags/write"
    tagger = next(principal for principal in tenant.principals if "tagger" in principal.options)
    second = {"Start": "05", "Accept": "06", "Success": "09"}[result]
    return {
        "time": f"{tenant.spec.day_ago(20).isoformat()}T04:40:{second}.1200340Z",
        "resourceId": scope.upper(),
        "operationName": action.upper(),
        "category": "Administrative",
        "resultType": result,
        "resultSignature": f"{result}.",
        "durationMs": "0",
        "callerIpAddress": "198.51.100.9",
        "correlationId": writing.guid(tenant.spec.seed, "damaged"),
        "identity": {
            "authorization": {"action": action, "scope": scope},
            "claims": {
                "http://schemas.microsoft.com/identity/claims/objectidentifier": tagger.principal_id,
                "appid": tagger.app_id,
            },
        },
        "level": "Information",
        "properties": {"eventCategory": "Administrative", "entity": scope, "message": action},
    }


_SIGN_INS_A_PAGE = 1000
_OUTLOOK = ("9199bf20-a13f-4107-85dc-02114787ef48", "One Outlook Web")
_CLIENT_NAMES = {calls.AZURE_PORTAL: "Azure Portal", calls.AZURE_CLI: "Microsoft Azure CLI"}
_MAIL = 1
CATEGORIES = {
    calls.INTERACTIVE: "SignInLogs",
    calls.NON_INTERACTIVE: "NonInteractiveUserSignInLogs",
    calls.SERVICE_PRINCIPAL: "ServicePrincipalSignInLogs",
    calls.MANAGED_IDENTITY: "ManagedIdentitySignInLogs",
}


def write_sign_ins(tenant: SampleTenant, folder: writing.Folder, rows: pl.DataFrame) -> None:
    """Write interactive sign-ins as Graph pages, the other three kinds as diagnostic records."""
    federated = used_credentials(tenant)
    texts = pl.DataFrame(
        [_principal_texts(tenant, one, federated.get(one.principal_id, "")) for one in tenant.principals]
    )
    _write_graph(tenant, folder, texts, rows.filter(pl.col("kind") == calls.INTERACTIVE).reverse())
    for kind, category in CATEGORIES.items():
        if kind == calls.INTERACTIVE:
            continue
        template = sign_in_record(tenant.tenant_id, kind)
        held = rows.filter(pl.col("kind") == kind)
        parts = (_frame(tenant, texts, part) for part in held.iter_slices(_SLICE))
        lines = (writing.joined(template.fill(part), "\n") + b"\n" for part in parts)
        if kind == calls.SERVICE_PRINCIPAL:
            runs = held.filter(pl.col("principal") == tenant.principals.index(pipeline_of(tenant)))
            write_runs(tenant, folder, _frame(tenant, texts, runs)["instant"])
        name = f"sign-ins/insights-logs-{category.lower()}.jsonl"
        if kind == calls.MANAGED_IDENTITY:
            folder.write(f"{name}.gz", writing.gzip_chunks(lines), records=held.height)
        else:
            folder.write(name, lines, records=held.height)


def _write_graph(tenant: SampleTenant, folder: writing.Folder, texts: pl.DataFrame, rows: pl.DataFrame) -> None:
    template = writing.Template(record_form("sign_in_graph"))
    for page_number, page in enumerate(rows.iter_slices(_SIGN_INS_A_PAGE), start=1):
        records = writing.joined(template.fill(_frame(tenant, texts, page)), ",")
        head = '{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#auditLogs/signIns",'
        if page_number * _SIGN_INS_A_PAGE < rows.height:
            link = f"https://graph.microsoft.com/v1.0/auditLogs/signIns?$top={_SIGN_INS_A_PAGE}&$skiptoken={page_number:04d}"
            head += f'"@odata.nextLink":"{link}",'
        path = f"sign-ins/signIns-page-{page_number:03d}.json"
        folder.write(path, head.encode() + b'"value":[' + records + b"]}", records=page.height)


def _frame(tenant: SampleTenant, texts: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    seed = tenant.spec.seed
    services = pl.DataFrame(
        [{"resource_id": service, "resource_name": writing.json_text(name)} for service, name in calls.SERVICES]
    )[rows["service"]]
    mail = (pl.col("service") == _MAIL) & (pl.col("kind") < calls.SERVICE_PRINCIPAL)
    failed = pl.col("error") != 0
    return rows.hstack(texts[rows["principal"]]).hstack(services).with_columns(
        writing.guids(writing.number(seed, "sign-in-id"), rows["chance"], rows["kind"], rows["error"]).alias("id"),
        writing.guids(writing.number(seed, "sign-in-request"), rows["chance"]).alias("correlation"),
        (pl.col("chance") % 10).cast(pl.String).alias("digit"),
        pl.when(mail).then(pl.lit(_OUTLOOK[0])).otherwise("client").alias("client"),
        pl.when(mail).then(pl.lit(writing.json_text(_OUTLOOK[1]))).otherwise("client_name").alias("client_name"),
        pl.col("error").cast(pl.String).alias("error_code"),
        pl.when(failed).then(pl.lit("Invalid username or password.")).otherwise(pl.lit("Other.")).alias("reason"),
        pl.when(failed).then(pl.lit("FAILURE")).otherwise(pl.lit("SUCCESS")).alias("signature"),
    ).with_columns(
        writing.instant("time", "digit").alias("instant"),
        # The claims in the Activity Log have the id of a token for Azure Resource Manager.
        pl.when((pl.col("service") == calls.SERVICES.index(calls.ARM)) & ~failed).then("uti")
        .otherwise(pl.col("id").str.replace_all("-", "").str.slice(0, 22)).alias("token"),
    )  # fmt: skip


def _principal_texts(tenant: SampleTenant, principal: Principal, federated: str) -> dict[str, str]:
    client = calls.client_of(tenant, principal)
    return {
        "principal_id": principal.principal_id,
        "name": writing.json_text(principal.name),
        "upn": writing.json_text(principal.user_principal_name),
        "client": client,
        "client_name": writing.json_text(_CLIENT_NAMES.get(client, principal.name)),
        "address": calls.address_of(tenant, principal),
        "uti": calls.claims_of(tenant, principal)["uti"],
        "user_type": writing.json_text("guest" if principal.kind == "guest" else "member"),
        "credential": writing.json_text(
            "" if federated else writing.guid(tenant.spec.seed, "credential", principal.principal_id)
        ),
        "federated": writing.json_text(federated),
    }


_USER: dict[str, Any] = {
    "userDisplayName": "@{name}",
    "userPrincipalName": "@{upn}",
    "userId": "#{principal_id}",
    "userType": "@{user_type}",
    "isInteractive": False,
    "signInEventTypes": ["nonInteractiveUser"],
    "clientAppUsed": "Browser",
}
_APPLICATION: dict[str, Any] = {
    "servicePrincipalId": "#{principal_id}",
    "servicePrincipalName": "@{name}",
    "servicePrincipalCredentialKeyId": "@{credential}",
    "federatedCredentialId": "@{federated}",
    "isInteractive": False,
}
_STATUS = {"errorCode": "@{error_code}", "failureReason": "#{reason}", "additionalDetails": None}


def sign_in_record(tenant_id: str, kind: int) -> writing.Template:
    """Return the record of a sign-in of one kind, as diagnostic settings send it."""
    if kind == calls.INTERACTIVE:
        who = _USER | {"isInteractive": True, "signInEventTypes": ["interactiveUser"]}
    else:
        who = _USER if kind == calls.NON_INTERACTIVE else _APPLICATION
    return writing.Template(_diagnostic(tenant_id, CATEGORIES[kind], who))


def _diagnostic(tenant_id: str, category: str, who: dict[str, Any]) -> dict[str, Any]:
    return {
        "time": "#{instant}",
        "resourceId": f"/tenants/{tenant_id}/providers/Microsoft.aadiam",
        "operationName": "Sign-in activity",
        "operationVersion": "1.0",
        "category": category,
        "tenantId": tenant_id,
        "resultType": "#{error_code}",
        "resultSignature": "#{signature}",
        "durationMs": 0,
        "callerIpAddress": "#{address}",
        "correlationId": "#{correlation}",
        "identity": "@{name}",
        "Level": 4,
        "location": "GB",
        "properties": {
            "id": "#{id}",
            "createdDateTime": "#{instant}",
            **who,
            "appId": "#{client}",
            "appDisplayName": "@{client_name}",
            "ipAddress": "#{address}",
            "status": _STATUS,
            "correlationId": "#{correlation}",
            "resourceDisplayName": "@{resource_name}",
            "resourceId": "#{resource_id}",
            "authenticationProtocol": "none",
            "riskLevelDuringSignIn": "none",
            "uniqueTokenIdentifier": "#{token}",
        },
    }
