"""Changes that a watch reports once: grants from two sources, gone grants, behaviour, grants unused on a plane."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.guard.watch import detect
from rightsize.guard.watch.conclude import WatchSettings, conclude
from rightsize.store import watching
from rightsize.store.connection import open_store
from rightsize.store.merging.listings import Listing
from rightsize.store.watching import pending_changes, watched_until
from rightsize.workflow.analysis.behaviour import behaviour_of_days
from rightsize.workflow.analysis.behaviour_inputs import Reader
from tests.store.staged import GROUP, SUBSCRIPTION, File, at, calls, guid, load, record

pytestmark = pytest.mark.slow

ROLE, HOLDER, ADMIN = guid(50), guid(100), guid(101)
HOLDERS = (HOLDER, guid(102))
KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
PIM = "01fc33a7-78ba-4d2f-a4b7-768e336e890e"
AUTHORIZATION = f"{GROUP}/providers/Microsoft.Authorization"
ASSIGN = "Microsoft.Authorization/roleAssignments/write"
REQUEST = "Microsoft.Authorization/roleEligibilityScheduleRequests/write"
ACTIVATE = "Microsoft.Authorization/roleAssignmentScheduleRequests/write"


class Watch:
    """A store, with a pass after each load."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.told = 0

    def passes(
        self, *files: File, listings: tuple[Listing, ...] = (), now: dt.datetime | None = None
    ) -> list[dict[str, Any]]:
        """Load, make a pass, and return what it tells."""
        with open_store(self.db, read_only=False) as store:
            load(store, *files, listings=listings)
        with open_store(self.db, read_only=False) as store:
            conclude(store, WatchSettings(sinks=("stdout",)), now=now)
        with open_store(self.db, read_only=True) as store:
            every = pending_changes(store, "stdout")
        fresh, self.told = every[self.told :], len(every)
        return fresh


BEGIN = calls(record(time="2026-01-01T08:00:00", correlation_id="begin"))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that a first pass has seen. Copied, never opened again."""
    first = Watch(tmp_path_factory.mktemp("begun") / "begun.duckdb")
    assert first.passes(BEGIN) == []
    return first.db


@pytest.fixture
def watch(begun: Path, tmp_path: Path) -> Watch:
    """A store that a first pass has seen."""
    return Watch(Path(shutil.copy(begun, tmp_path / "w.duckdb")))


def asked(operation: str = REQUEST, time: str = "2026-01-02T10:00:00", name: int = 7, **more: Any) -> File:
    kind = operation.split("/")[1]
    return calls(
        record(time=time, operation=operation, scope=f"{AUTHORIZATION}/{kind}/{guid(name)}", principal_id=ADMIN,
               correlation_id=f"{operation}{name}", **more)
    )  # fmt: skip


def listed(state: str = "eligible", number: int = 9, time: str = "2026-01-02T10:00:20", **more: Any) -> File:
    row = {"role_assignment_id": guid(number), "state": state, "principal_id": HOLDER, "role_definition_id": ROLE}
    return {"role_assignments": [row | {"scope": GROUP, "created_on": at(time)} | more]}


def request(name: int = 7, **more: Any) -> File:
    row = {"request_id": guid(name), "plane": "control", "asks_for": "eligibility", "request_type": "adminassign"}
    return {
        "schedule_requests": [
            row | {"principal_id": HOLDER, "role_definition_id": ROLE, "scope": GROUP} | more,
        ]
    }


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [row["kind"] for row in told]


@pytest.mark.nightly
@pytest.mark.parametrize("bodies", [(), (request(),)], ids=["log alone", "with the listing of requests"])
def test_an_eligibility_is_told_once_whichever_source_comes_first(
    bodies: tuple[File, ...], begun: Path, tmp_path: Path
) -> None:
    for number, (first, second) in enumerate([(asked(), listed()), (listed(), asked())]):
        watch = Watch(Path(shutil.copy(begun, tmp_path / f"{number}.duckdb")))
        assert kinds(watch.passes(*bodies, first)) in (["grant"], ["grant_outside"])
        assert watch.passes(second) == []


@pytest.mark.nightly
def test_the_request_says_for_whom_where_its_listing_is_loaded(watch: Watch) -> None:
    told = watch.passes(request(), asked())
    assert [(row["kind"], row["principal_id"]) for row in told] == [("grant", HOLDER)]


@pytest.mark.nightly
def test_a_second_eligibility_is_told_though_a_request_was_near(watch: Watch) -> None:
    """Where the request is known by holder and role, nothing else passes for what came of it."""
    watch.passes(request(), asked())
    told = watch.passes(listed(number=10, principal_id=guid(200)))
    assert [row["principal_id"] for row in told] == [guid(200)]


def test_an_end_of_access_through_pim_is_no_grant(watch: Watch) -> None:
    told = watch.passes(request(request_type="adminremove"), asked())
    assert [(row["kind"], row["severity"]) for row in told] == [("revocation", "low")]
    assert "ended a role through PIM" in told[0]["text"]


@pytest.mark.nightly
def test_the_assignment_that_pim_writes_for_an_activation_is_not_told_beside_it(watch: Watch) -> None:
    echo = asked(ASSIGN, "2026-01-02T10:00:30", name=8, app_id=PIM)
    assert kinds(watch.passes(asked(ACTIVATE), echo)) == ["grant"]
    assert watch.passes(listed("active", number=8, time="2026-01-02T10:00:30")) == []


DIRECTORY = "microsoft.directory/roleAssignments/allProperties/allTasks"


def directory_log(name: str, time: str, holder: str = HOLDER, role: str = ROLE) -> File:
    """Somebody gives a directory role, as the audit log has it."""
    row = record(time=time, operation=DIRECTORY, plane="directory", source="entra_audit_log", category="AuditLogs",
                 scope="/", principal_id=ADMIN, correlation_id=name)  # fmt: skip
    keys = {key: row[key] for key in ("key_correlation", "key_operation", "key_scope")}
    asked_for = keys | {"assigned_role_id": role, "assigned_principal_id": holder}
    return {"event_rows": [row], "request_rows": [asked_for]}


def directory_listing(number: int = 9, holder: str = HOLDER, role: str = ROLE) -> File:
    """The listing of directory roles, which does not say when."""
    row = {"role_assignment_id": f"id-{number}", "state": "active", "principal_id": holder, "scope": "/"}
    return {"directory_role_assignments": [row | {"directory_role_id": role}]}


@pytest.mark.nightly
def test_a_directory_role_of_two_sources_is_told_once_whichever_comes_first(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one holder the log comes first, of the other the listing; also where a pass between them dies."""
    logs = [directory_log(f"g{number}", "2026-01-02T10:00:00", holder) for number, holder in enumerate(HOLDERS)]
    shown = [directory_listing(number, holder) for number, holder in enumerate(HOLDERS)]
    told = watch.passes(logs[0], shown[1], day("2026-01-02"))
    assert sorted((row["kind"], row["principal_id"]) for row in told) == [("grant_outside", one) for one in HOLDERS]
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(watching, "commit_pass", lambda *_: 1 / 0)
        watch.passes(shown[0], logs[1])
    assert watch.passes(shown[0], logs[1]) == []
    assert watch.passes(day("2026-01-03")) == []


@pytest.mark.nightly
def test_another_directory_role_or_holder_or_a_later_grant_is_told(watch: Watch) -> None:
    watch.passes(directory_log("g1", "2026-01-02T10:00:00"), day("2026-01-02"))
    assert kinds(watch.passes(directory_listing(10, role=guid(51)))) == ["grant_outside"]
    assert kinds(watch.passes(directory_listing(11, holder=guid(200)))) == ["grant_outside"]
    watch.passes(day("2026-01-09"))
    later = directory_log("g2", "2026-01-09T10:00:00", role=guid(51))
    assert [row["actor_id"] for row in watch.passes(later)] == [ADMIN]


CONSENT = "microsoft.directory/oAuth2PermissionGrants/"


def consent_log(name: str, time: str, granted: str, step: str = "create", holder: str = HOLDER) -> File:
    """Somebody consents to an application, as the audit log has it."""
    row = record(time=time, operation=f"{CONSENT}{step}", plane="directory", source="entra_audit_log",
                 category="AuditLogs", scope="/", principal_id=ADMIN, correlation_id=name)  # fmt: skip
    keys = {key: row[key] for key in ("key_correlation", "key_operation", "key_scope")}
    return {
        "event_rows": [row],
        "request_rows": [keys | {"assigned_role_id": granted, "assigned_principal_id": holder}],
    }


def consent_listing(*permissions: str, whom: str = "AllPrincipals", number: int = 1, holder: str = HOLDER) -> File:
    """The listing of delegated grants, which says neither when nor by whom."""
    row = {"permission_grant_id": f"consent-{number}", "client_id": holder, "resource_id": guid(77)}
    return {"permission_grants": [row | {"consent_type": whom, "permissions": list(permissions)}]}


@pytest.mark.nightly
def test_a_consent_of_two_sources_is_told_once_whichever_comes_first(watch: Watch) -> None:
    """Also where it grows; of one application the log comes first, of the other the listing."""
    scopes = ("User.Read",), ("User.Read", "Mail.Read")
    steps = (
        ("2026-01-02T10:00:00", "user.read", "create"),
        ("2026-01-03T10:00:00", "mail.read user.read", "basic/update"),
    )
    for shown, (time, granted, step) in zip(scopes, steps, strict=True):
        logs = [consent_log(f"{step} {one}", time, f"allprincipals {granted}", step, one) for one in HOLDERS]
        listings = [consent_listing(*shown, number=number, holder=one) for number, one in enumerate(HOLDERS)]
        told = watch.passes(logs[0], listings[1], day("2026-01-03"))
        assert sorted(row["principal_id"] for row in told) == list(HOLDERS)
        assert watch.passes(listings[0], logs[1]) == []
    assert watch.passes(day("2026-01-04")) == []


@pytest.mark.nightly
def test_a_consent_to_more_or_for_everybody_is_told_though_a_log_told_of_another(watch: Watch) -> None:
    told = watch.passes(consent_log("c1", "2026-01-02T10:00:00", "principal user.read"), day("2026-01-02"))
    assert "user.read for one user" in told[0]["text"]
    assert len(watch.passes(consent_listing("User.Read", number=2))) == 1
    assert len(watch.passes(consent_listing("User.Read", "Mail.Read", whom="Principal"))) == 1


@pytest.mark.nightly
def test_two_assignments_by_hand_in_one_minute_are_two(watch: Watch) -> None:
    """Nearness joins what PIM made, and nothing that somebody assigned."""
    told = watch.passes(asked(ASSIGN, name=8), asked(ASSIGN, "2026-01-02T10:00:30", name=9))
    assert kinds(told) == ["grant_outside", "grant_outside"]


@pytest.mark.nightly
def test_an_assignment_that_a_listing_told_is_not_told_by_the_log_again(watch: Watch) -> None:
    assert kinds(watch.passes(listed("active", number=8))) == ["grant_outside"]
    assert watch.passes(asked(ASSIGN, name=8)) == []
    changed = asked(ASSIGN, "2026-01-09T10:00:00", name=8, key_correlation="another")
    assert kinds(watch.passes(changed)) == ["grant_outside"]


def listing(when: str) -> tuple[Listing, ...]:
    return (Listing("role_assignments", SUBSCRIPTION, at(when), ("file0",), True),)


def day(text: str) -> File:
    return calls(record(time=f"{text}T09:00:00", correlation_id=text))


@pytest.mark.nightly
def test_an_assignment_that_no_listing_has_any_more_is_told_as_gone_once(watch: Watch) -> None:
    """At the end of the day, when the log had its time to say who took it."""
    watch.passes(listed("active", time="2025-01-01T00:00:00"), day("2026-01-02"), listings=listing("2026-01-02T10:00"))
    assert watch.passes({}, day("2026-01-03"), listings=listing("2026-01-03T10:00")) == []
    told = watch.passes(day("2026-01-04"))
    assert [(row["kind"], row["principal_id"]) for row in told] == [("revocation", HOLDER)]
    assert "last listed on 2026-01-02 10:00, and no log shows who removed it" in told[0]["text"]
    assert watch.passes(day("2026-01-05")) == []


@pytest.mark.nightly
def test_a_removal_that_the_log_shows_is_told_by_the_log_alone(watch: Watch) -> None:
    watch.passes(listed("active", time="2025-01-01T00:00:00"), day("2026-01-02"), listings=listing("2026-01-02T10:00"))
    removal = asked("Microsoft.Authorization/roleAssignments/delete", "2026-01-03T09:30:00", name=9)
    told = watch.passes({}, removal, listings=listing("2026-01-03T10:00"))
    told += watch.passes(day("2026-01-04")) + watch.passes(day("2026-01-05"))
    assert [(row["kind"], row["actor_id"]) for row in told] == [("revocation", ADMIN)]


@pytest.mark.nightly
def test_what_a_store_knows_of_no_complete_listing_stays(watch: Watch) -> None:
    watch.passes(listed("active", time="2025-01-01T00:00:00"), day("2026-01-02"))
    watch.passes(day("2026-01-03"), listings=())
    assert watch.passes(day("2026-01-04")) == []


def working_days(first: dt.date, count: int) -> list[dict[str, Any]]:
    days = [first + dt.timedelta(days=number) for number in range(count)]
    return [record(time=f"{day}T10:00:00", correlation_id=f"work {day}", ip="198.51.100.7") for day in days]


def odd_day(text: str) -> File:
    operations = (KEYS, "Microsoft.Web/sites/config/list/action",
                  "Microsoft.Sql/servers/firewallRules/write", "Microsoft.KeyVault/vaults/delete")  # fmt: skip
    return calls(
        *(
            record(time=f"{text}T22:{number}5:00", operation=operation, correlation_id=f"odd{number}", ip="192.0.2.66")
            for number, operation in enumerate(operations)
        )
    )


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store whose first pass has seen forty days of work. Copied, never opened again."""
    first = Watch(tmp_path_factory.mktemp("worked") / "worked.duckdb")
    assert first.passes(calls(*working_days(dt.date(2026, 1, 2), 40))) == []
    return first.db


@pytest.fixture
def used_to_work(worked: Path, tmp_path: Path) -> Watch:
    """The first pass has seen forty days of work."""
    return Watch(Path(shutil.copy(worked, tmp_path / "w.duckdb")))


@pytest.mark.nightly
def test_behaviour_is_told_once_as_it_comes(used_to_work: Watch) -> None:
    """With its sentence and how often that happens; neither the end of the day nor late records tell it again."""
    watch = used_to_work
    told = watch.passes(odd_day("2026-02-11"))
    assert [(row["kind"], row["principal_id"], str(row["day"])) for row in told] == [
        ("behaviour", HOLDER, "2026-02-11")
    ]
    assert "4 things for the first time" in told[0]["text"]
    assert told[0]["text"].endswith("days judged before, 0 scored at least as high; the day is not over")
    assert watch.passes(calls(record(time="2026-02-12T10:00:00", correlation_id="next"))) == []
    late = calls(record(time="2026-02-11T22:50:00", correlation_id="late"))
    assert watch.passes(late) == []


@pytest.mark.nightly
def test_behaviour_that_becomes_severer_is_told_as_an_update_once(used_to_work: Watch) -> None:
    told = used_to_work.passes(odd_day("2026-02-11"))
    more = calls(record(time="2026-02-11T22:50:00", operation="Microsoft.Web/sites/delete", correlation_id="more"))
    update = used_to_work.passes(more)
    assert [row["severity"] for row in (*told, *update)] == ["medium", "high"]
    assert update[0]["text"].startswith("update, now high: ")
    assert used_to_work.passes(day("2026-02-12")) == []


@pytest.mark.nightly
def test_a_day_is_judged_again_for_new_news_and_for_new_listings(
    used_to_work: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of what the last pass has seen is no reason to judge the newest day again."""
    judged: list[int] = []

    def counting(reader: Reader, days: Collection[dt.date], *more: Any) -> pl.DataFrame:
        judged.append(len(days))
        return behaviour_of_days(reader, days, *more)

    monkeypatch.setattr(detect, "behaviour_of_days", counting)
    first = record(time="2026-02-11T22:05:00", operation=KEYS, correlation_id="first", ip="192.0.2.66")
    again = record(time="2026-02-11T22:25:00", operation=KEYS, correlation_id="again", ip="192.0.2.66")
    other = record(time="2026-02-11T22:35:00", operation="Microsoft.Web/sites/delete", correlation_id="other")
    for loaded in (first, again, other):
        used_to_work.passes(calls(loaded))
    assert judged == [1, 1]
    used_to_work.passes(listed("active", time="2025-01-01T00:00:00"), calls(record(time="2026-02-11T22:45:00")))
    assert judged[2:] == [2]


@pytest.mark.nightly
def test_behaviour_of_a_day_that_came_late_is_told(used_to_work: Watch) -> None:
    used_to_work.passes(calls(*working_days(dt.date(2026, 2, 11), 5)))
    assert kinds(used_to_work.passes(odd_day("2026-02-11"))) == ["behaviour"]


@pytest.mark.nightly
def test_what_was_odd_before_the_first_pass_is_known_and_not_told(tmp_path: Path) -> None:
    with open_store(tmp_path / "w.duckdb", read_only=False) as store:
        load(store, calls(*working_days(dt.date(2026, 1, 2), 45)), odd_day("2026-02-11"))
    watch = Watch(tmp_path / "w.duckdb")
    watch.passes(BEGIN)
    more = record(time="2026-02-11T22:50:00", operation="Microsoft.Web/sites/delete", correlation_id="late")
    assert watch.passes(calls(more)) == []


@pytest.mark.nightly
def test_a_record_of_the_future_is_told_and_moves_no_clock(watch: Watch) -> None:
    """It waits for its time; until then passes go on as if it was not there, and what it says is told when it comes."""
    bogus = asked(ASSIGN, "2026-01-06T10:00:00", name=8)
    told = watch.passes(bogus, day("2026-01-02"), now=at("2026-01-02T12:00"))
    assert [row["kind"] for row in told] == ["record_ahead"]
    assert "1 records of the activity log are dated in the future, up to 2026-01-06 10:00" in told[0]["text"]
    assert watch.passes(day("2026-01-03"), now=at("2026-01-03T12:00")) == []
    with open_store(watch.db, read_only=True) as store:
        assert watched_until(store) == dt.date(2026, 1, 3)
    assert kinds(watch.passes(now=at("2026-01-07T12:00"))) == ["grant_outside"]


@pytest.mark.nightly
def test_a_clock_that_a_record_of_the_future_pushed_ahead_comes_back(watch: Watch) -> None:
    watch.passes(asked(ASSIGN, "2026-01-06T10:00:00", name=8))
    watch.passes(day("2026-01-02"), now=at("2026-01-02T12:00"))
    with open_store(watch.db, read_only=True) as store:
        assert watched_until(store) == dt.date(2026, 1, 2)


@pytest.mark.nightly
def test_a_clock_that_is_a_little_ahead_is_believed(watch: Watch) -> None:
    assert kinds(watch.passes(asked(ASSIGN, "2026-01-02T10:30:00", name=8), now=at("2026-01-02T10:00"))) == [
        "grant_outside"
    ]


@pytest.mark.nightly
def test_new_agents_and_wider_inheritance_are_told(watch: Watch) -> None:
    """A grant to the principal of a blueprint says how many agents may inherit it; a narrower list is no alarm."""
    app, blueprint, agent, api = guid(60), guid(61), guid(62), guid(63)
    made = {"principal_type": "ServicePrincipal"}
    people = [
        made | {"principal_id": blueprint, "app_id": app, "display_name": "Helpers"}
        | {"object_type": "agentIdentityBlueprintPrincipal"},
        made | {"principal_id": guid(64), "app_id": api, "display_name": "Graph"},
    ]  # fmt: skip

    def inherits(mode: str, *permissions: str) -> File:
        return {"inheritable_permissions": [{"blueprint_id": app, "resource_app_id": api, "access": "delegated",
                                             "mode": mode, "permissions": list(permissions)}]}  # fmt: skip

    helper = made | {"principal_id": agent, "display_name": "helper", "object_type": "agentIdentity",
                     "blueprint_app_id": app}  # fmt: skip
    granted = {"permission_grant_id": "g", "client_id": blueprint, "consent_type": "AllPrincipals",
               "resource_id": guid(64), "permissions": ["Mail.Read"]}  # fmt: skip
    told = watch.passes({"principals": people}, inherits("enumerated", "mail.read"))
    assert [(one["kind"], one["text"]) for one in told] == [
        ("blueprint", "Helpers is a new blueprint of agents"),
        ("inheritance", "the agents of the blueprint Helpers inherit mail.read of the delegated permissions of Graph"),
    ]
    told = watch.passes({"principals": [helper], "permission_grants": [granted]})
    assert {one["kind"]: one["text"] for one in told} == {
        "agent": "helper is a new agent of the blueprint Helpers",
        "grant_outside": "Helpers holds the delegated permissions Mail.Read at the root, granted, outside PIM, which 1 "
        "agent of that blueprint may inherit; a listing shows it",
        "escalation": "Helpers gets tokens as every agent identity of the blueprint, from the root",
    }
