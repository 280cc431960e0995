"""What exists is shown by any listing; that nothing else does only by one for which somebody vouches."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rightsize.ingest.entities.manifests import DeclaredReading
from rightsize.ingest.pipeline import StageReport, stage
from rightsize.model.errors import UsageError
from rightsize.model.times import read_instant
from rightsize.store.connection import open_store
from rightsize.store.merging.staging import create_staging
from rightsize.workflow.data.load import LoadReport, load_paths
from tests.ingest.entity_records import guid

ID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
TENANT = guid(99)
READER = guid(7)


def resource(number: int = 1, subscription: str = ID, kind: str = "Microsoft.Web/sites", **more: Any) -> dict[str, Any]:
    path = f"/subscriptions/{subscription}/resourceGroups/rg/providers/{kind}/r{number}"
    return {"id": path, "name": f"r{number}", "type": kind, "location": "westeurope", **more}


def provider(name: str, state: str = "NotRegistered", subscription: str | None = ID, **more: Any) -> dict[str, Any]:
    path = {"id": f"/subscriptions/{subscription}/providers/{name}"} if subscription else {}
    required = {"registrationState": state, "registrationPolicy": "RegistrationRequired"}
    return {**path, "namespace": name, **required, "resourceTypes": [{"resourceType": "a"}], **more}


def answer(*records: dict[str, Any], total: int | None = None, token: str | None = None) -> dict[str, Any]:
    """Return an answer of Resource Graph as the Azure CLI prints it."""
    return {"count": len(records), "data": records, "skip_token": token, "total_records": total}


RESOURCES = [resource(1), resource(2)]
LISTED = {"path": "resources.json", "kind": "resources", "query": "az resource list -o json", "rows": 2}
GRAPH = {"path": "graph.json", "kind": "resources", "query": 'az graph query -q "resources"', "rows": 2}
PROVIDERS = {"path": "providers.json", "kind": "providers", "query": "az provider list", "rows": 1}


def entry(base: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"subscriptions": [ID], "complete": True, "error": None, **base, **more}


def manifest(*files: Any, **more: Any) -> dict[str, Any]:
    return {
        "format": "rightsize-exports/1",
        "tenant_id": TENANT,
        "reader": {"id": READER, "name": "auditor"},
        "started": "2026-10-01T02:00:00Z",
        "finished": "2026-10-01T02:05:00Z",
        "files": list(files),
        **more,
    }


def write(folder: Path, **documents: Any) -> Path:
    """Write documents into a folder, each as NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        text = document if isinstance(document, str) else json.dumps(document)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return folder


class Loaded:
    """A store, its inventories and the last report."""

    def __init__(self, db: Path) -> None:
        self.db = db
        self.report: LoadReport

    def load(self, *paths: Path, **options: Any) -> Loaded:
        self.report = load_paths(self.db, paths, **options)
        return self

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with open_store(self.db, read_only=True) as store:
            return store.frame(query).rows()

    @property
    def problems(self) -> dict[str, str | None]:
        """Why each inventory of the subscription is not complete, by its kind."""
        found = self.rows(f"SELECT kind, complete, problem FROM inventories WHERE scope = '/subscriptions/{ID}'")
        assert all(complete == (problem is None) for _, complete, problem in found)
        return {kind: problem for kind, _, problem in found}

    @property
    def content(self) -> list[list[tuple[Any, ...]]]:
        tables = ("inventories", "provider_registrations", "resources", "loads", "rejects")
        return [self.rows(f"FROM {name} ORDER BY ALL") for name in tables]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    return Loaded(tmp_path / "store.duckdb")


def whole(folder: Path) -> Path:
    """Write a folder whose three listings are complete."""
    files = {"resources": RESOURCES, "graph": answer(*RESOURCES, total=2), "providers": [provider("Microsoft.Web")]}
    return write(folder, **files, manifest=manifest(entry(LISTED), entry(GRAPH), entry(PROVIDERS)))


@pytest.mark.nightly
def test_a_manifest_makes_its_listings_complete(loaded: Loaded, tmp_path: Path) -> None:
    loaded.load(whole(tmp_path / "exports"))
    assert loaded.problems == {"resource_list": None, "resource_graph": None, "providers": None}
    ((reader, read, finished, rows, by),) = loaded.rows(
        "SELECT reader_id, read_on::VARCHAR, finished_on::VARCHAR, rows, vouched_by FROM inventories "
        "WHERE kind = 'resource_list'"
    )
    assert (reader, read, finished, rows, by) == (
        READER, "2026-10-01 02:00:00", "2026-10-01 02:05:00", 2, "manifest",
    )  # fmt: skip
    assert loaded.rows(
        "SELECT namespace, state, policy, reader_id, updated_on::VARCHAR FROM provider_registrations"
    ) == [("microsoft.web", "NotRegistered", "RegistrationRequired", READER, "2026-10-01 02:00:00")]
    assert loaded.report.notes == ()


@pytest.mark.nightly
def test_files_without_a_manifest_prove_presence_only(loaded: Loaded, tmp_path: Path) -> None:
    loaded.load(write(tmp_path / "exports", resources=RESOURCES, graph=answer(*RESOURCES, total=2)))
    assert loaded.rows("FROM inventories") == []
    assert loaded.rows("SELECT count(*) FROM resources") == [(2,)]


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("more", "document", "problem"),
    [
        ({"complete": False}, RESOURCES, "the reading did not reach its end"),
        ({"error": "AuthorizationFailed"}, RESOURCES, "the reading failed: AuthorizationFailed"),
        ({"query": "az resource list --tag a=b"}, RESOURCES, "`--tag`, which may leave something out"),
        ({"query": "az vm list"}, RESOURCES, "`query` is not `az resource list` of a whole subscription"),
        ({"query": None}, RESOURCES, "`query` is not `az resource list` of a whole subscription"),
        ({"query": f"az resource list --subscription {OTHER}"}, RESOURCES, "`query` names another subscription"),
        ({"rows": 3}, RESOURCES, "the file has 2 records instead of 3"),
        ({"rows": None}, RESOURCES, "nobody says how many records there were"),
        ({"size": 7}, RESOURCES, "bytes instead of 7"),
        ({}, [*RESOURCES[:1], {"id": "rg", "name": "x", "type": "y", "location": "z"}], "1 of 2 records were rejected"),
        ({}, [*RESOURCES[:1], {**RESOURCES[1], "type": ""}], "1 of 2 records do not say what they are"),
        (
            {"subscriptions": [ID, OTHER]},
            RESOURCES,
            "`az resource list` lists one subscription, and this is of several",
        ),
        ({}, [resource(1, OTHER), resource(2, OTHER)], "`az resource list` lists one subscription"),
        ({"rows": 0}, "", "the file is blank"),
        ({}, {"value": RESOURCES, "nextLink": "https://management.azure.com/next"}, "its last page was not read"),
        ({"rows": 1}, [provider("Microsoft.Web")], "the file holds providers, not resources"),
    ],
)
def test_whatever_speaks_against_a_list_is_said(
    more: dict[str, Any], document: Any, problem: str, loaded: Loaded, tmp_path: Path
) -> None:
    loaded.load(write(tmp_path / "exports", resources=document, manifest=manifest(entry(LISTED, **more))))
    assert problem in str(loaded.problems["resource_list"])


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (answer(*RESOURCES, total=1_240), "the answer has 2 of 1,240 resources"),
        (answer(*RESOURCES), "the answer does not say how many resources the query has"),
        (answer(RESOURCES[0], RESOURCES[0], total=2), "the answer has 1 of 2 resources"),
        ([resource(1, subscriptionId=ID), resource(2, subscriptionId=ID)], "does not say how many"),
    ],
)
def test_an_answer_of_resource_graph_says_whether_it_is_whole(
    document: Any, problem: str, loaded: Loaded, tmp_path: Path
) -> None:
    loaded.load(write(tmp_path / "exports", graph=document, manifest=manifest(entry(GRAPH))))
    assert problem in str(loaded.problems["resource_graph"])


@pytest.mark.nightly
def test_pages_of_one_query_are_one_listing(loaded: Loaded, tmp_path: Path) -> None:
    """Their rows are added up; one of them alone is not whole."""
    pages = {"one": answer(resource(1), total=2, token="next"), "two": answer(resource(2), total=2)}
    entries = [entry(GRAPH, path=f"{name}.json", rows=1) for name in pages]
    loaded.load(write(tmp_path / "exports", **pages, manifest=manifest(*entries)))
    assert loaded.problems == {"resource_graph": None}
    assert loaded.rows("SELECT rows FROM inventories") == [(2,)]


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("base", "document", "kind", "problem"),
    [
        (LISTED, [], "resource_list", None),
        (LISTED, {"value": []}, "resource_list", None),
        (LISTED, {"value": [], "nextLink": "https://x"}, "resource_list", "its last page was not read"),
        (GRAPH, answer(total=0), "resource_graph", None),
        (GRAPH, answer(total=5), "resource_graph", "the answer has 0 of 5 resources"),
        (GRAPH, [], "resource_graph", "the answer does not say how many resources the query has"),
    ],
)
def test_an_empty_subscription_is_listed_too(
    base: dict[str, Any], document: Any, kind: str, problem: str | None, loaded: Loaded, tmp_path: Path
) -> None:
    name = str(base["path"]).removesuffix(".json")
    loaded.load(write(tmp_path / "exports", **{name: document}, manifest=manifest(entry(base, rows=0))))
    assert loaded.problems == {kind: problem}


@pytest.mark.nightly
def test_a_query_of_the_whole_tenant_shows_only_the_subscriptions_that_it_found(loaded: Loaded, tmp_path: Path) -> None:
    """The Azure CLI asks the subscriptions that it knows, at most 1,000, so nothing is proved of others."""
    document = answer(resource(1), resource(2, OTHER), total=2)
    loaded.load(write(tmp_path / "exports", graph=document, manifest=manifest(entry(GRAPH, subscriptions="tenant"))))
    assert loaded.rows("SELECT scope, complete FROM inventories ORDER BY scope") == [
        (f"/subscriptions/{ID}", True), (f"/subscriptions/{OTHER}", True),
    ]  # fmt: skip


@pytest.mark.nightly
def test_the_order_of_loads_does_not_matter(tmp_path: Path) -> None:
    """The manifest before, after, alone or with its files, twice, and in an archive."""
    folder = whole(tmp_path / "exports")
    listed, said = [folder / f"{name}.json" for name in ("resources", "graph", "providers")], folder / "manifest.json"
    expected = Loaded(tmp_path / "all").load(folder)
    assert Loaded(tmp_path / "twice").load(folder).load(folder).content == expected.content
    assert Loaded(tmp_path / "before").load(said).load(*listed).content == expected.content
    assert Loaded(tmp_path / "after").load(*listed).load(said).content == expected.content
    assert (
        Loaded(tmp_path / "one by one").load(said, listed[2]).load(listed[0]).load(listed[1]).content[:3]
        == (expected.content[:3])
    )
    with zipfile.ZipFile(tmp_path / "exports.zip", "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"inner/{path.name}")
    assert Loaded(tmp_path / "zip").load(tmp_path / "exports.zip").content[:3] == expected.content[:3]


@pytest.mark.nightly
def test_a_file_that_comes_later_makes_the_listing_complete(loaded: Loaded, tmp_path: Path) -> None:
    folder = write(tmp_path / "exports", manifest=manifest(entry(LISTED)))
    loaded.load(folder)
    assert loaded.problems == {"resource_list": "there is no file `resources.json`"}
    assert loaded.report.notes == (
        f"`{folder / 'manifest.json'}` names `resources.json`: there is no file `resources.json`",
    )
    loaded.load(write(folder, resources=RESOURCES))
    assert loaded.problems == {"resource_list": None}
    (folder / "resources.json").unlink()
    assert loaded.load(folder).problems == {"resource_list": None}


@pytest.mark.nightly
def test_a_newer_reading_stands_beside_the_older_one(tmp_path: Path) -> None:
    """Both inventories stay; of a registration the newest state counts, whatever is loaded first."""
    folders = [
        write(
            tmp_path / f"run{day}",
            providers=[provider("Microsoft.Web", state)],
            manifest=manifest(entry(PROVIDERS), started=f"2026-10-0{day}T00:00:00Z", finished=None),
        )
        for day, state in ((1, "Registered"), (2, "NotRegistered"))
    ]
    one, other = Loaded(tmp_path / "a").load(*folders), Loaded(tmp_path / "b").load(folders[1]).load(folders[0])
    assert one.content == other.content
    assert one.rows("SELECT state FROM provider_registrations") == [("NotRegistered",)]
    assert one.rows("SELECT count(*), any_value(problem) FROM inventories") == [(2, "the reading was not finished")]


@pytest.mark.nightly
def test_only_a_difference_from_the_manifest_is_said_of_other_files(loaded: Loaded, tmp_path: Path) -> None:
    users = {"path": "users.json", "kind": "users", "query": "az ad user list", "rows": 3, "subscriptions": "tenant"}
    user = {"id": guid(1), "displayName": "Ada", "userPrincipalName": "ada@contoso.com"}
    folder = write(tmp_path / "exports", users=[user], manifest=manifest(entry(users, subscriptions="tenant")))
    assert loaded.load(folder).report.notes == (
        f"`{folder / 'manifest.json'}` names `users.json`: the file has 1 records instead of 3",
    )
    assert loaded.rows("FROM inventories") == []


@pytest.mark.nightly
@pytest.mark.parametrize("document", [[provider("Microsoft.Web")], {"value": [provider("Microsoft.Web")]}])
def test_a_record_of_a_provider_names_its_subscription(document: Any, loaded: Loaded, tmp_path: Path) -> None:
    loaded.load(write(tmp_path / "exports", anything=document))
    assert loaded.rows("SELECT scope, namespace, state, reader_id FROM provider_registrations") == [
        (f"/subscriptions/{ID}", "microsoft.web", "NotRegistered", None)
    ]


@pytest.mark.nightly
def test_else_the_manifest_or_the_name_of_its_file_does(tmp_path: Path) -> None:
    bare = [provider("Microsoft.Web", subscription=None)]
    by_name = Loaded(tmp_path / "a").load(write(tmp_path / "one" / "providers", **{ID: bare}))
    by_manifest = Loaded(tmp_path / "b").load(
        write(tmp_path / "two", providers=bare, manifest=manifest(entry(PROVIDERS)))
    )
    unknown = Loaded(tmp_path / "c").load(write(tmp_path / "three", providers=bare))
    for found in (by_name, by_manifest):
        assert found.rows("SELECT scope FROM provider_registrations") == [(f"/subscriptions/{ID}",)]
    assert unknown.rows("FROM provider_registrations") == []
    ((reason,),) = unknown.rows("SELECT reason FROM rejects")
    assert reason.startswith("the subscription of this provider is unknown")


@pytest.mark.nightly
@pytest.mark.many(2)
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"namespace": "a/b"}, "`namespace` is not the name of a provider"),
        ({"registrationState": "Perhaps"}, "`registrationState` is not one of"),
        ({"registrationState": 5}, "`registrationState` is not a string"),
        ({"registrationPolicy": "Never"}, "`registrationPolicy` is not one of"),
    ],
)
def test_an_unusable_provider_is_rejected(more: dict[str, Any], reason: str, loaded: Loaded, tmp_path: Path) -> None:
    loaded.load(write(tmp_path / "exports", providers=[provider("Microsoft.Web", **more)]))
    ((found,),) = loaded.rows("SELECT reason FROM rejects")
    assert found.startswith(reason)


_DEEP = "[" * 3_000 + "]" * 3_000


@pytest.mark.nightly
@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (manifest(format="rightsize-exports/2"), "its `format` is not rightsize-exports/1"),
        (manifest(tenant_id=5), "`tenant_id` is not the id of a tenant"),
        (manifest(reader=None), "the `id` of its `reader` is not an object id"),
        (manifest(reader={"id": "ada@contoso.com"}), "the `id` of its `reader` is not an object id"),
        (manifest(started="yesterday"), "`started` is not a time"),
        (manifest(finished=5), "`finished` is not a time"),
        (manifest(finished="2020-01-01"), "it was finished before it was started"),
        (manifest(files={}), "`files` is not a list"),
        (manifest("x"), "an entry of `files`: it is not an object"),
        (manifest(entry(LISTED, path="/etc/passwd")), "an entry of `files`: its `path` leads out"),
        (manifest(entry(LISTED, path="../secret.json")), "an entry of `files`: its `path` leads out"),
        (manifest(entry(LISTED, path="a/../../secret.json")), "an entry of `files`: its `path` leads out"),
        (manifest(entry(LISTED, path="..\\secret.json")), "an entry of `files`: its `path` leads out"),
        (manifest(entry(LISTED, path="C:\\secret.json")), "an entry of `files`: its `path` leads out"),
        (manifest(entry(LISTED, path="s3://bucket/x")), "an entry of `files`: its `path` leads out"),
        (manifest(entry(LISTED, path="a\x00b")), "an entry of `files`: its `path` is not a path"),
        (manifest(entry(LISTED, path=["a"])), "an entry of `files`: its `path` is not a path"),
        (manifest(entry(LISTED, kind="gold")), "an entry of `files`: its `kind` is not a source"),
        (manifest(entry(LISTED, kind=["resources"])), "an entry of `files`: its `kind` is not a source"),
        (manifest(entry(LISTED, query=5)), "an entry of `files`: `query` or `error` is not text"),
        (manifest(entry(LISTED, complete="yes")), "an entry of `files`: `complete` is not true or false"),
        (manifest(entry(LISTED, rows=10**30)), "an entry of `files`: `rows` is not a number of records"),
        (manifest(entry(LISTED, rows=-1)), "an entry of `files`: `rows` is not a number of records"),
        (manifest(entry(LISTED, rows=True)), "an entry of `files`: `rows` is not a number of records"),
        (manifest(entry(LISTED, size="1")), "an entry of `files`: `size` is not a number of bytes"),
        (manifest(entry(LISTED, subscriptions=ID)), "an entry of `files`: `subscriptions` is not a list of ids"),
        (manifest(entry(LISTED, subscriptions=[5])), "an entry of `files`: `subscriptions` is not a list of ids"),
        (manifest(entry(LISTED, subscriptions=["x"])), "an entry of `files`: one of its `subscriptions` is not the id"),
        (manifest(entry(LISTED), entry(LISTED)), "an entry of `files`: one of its files is named twice"),
    ],
)
def test_a_hostile_manifest_is_a_counted_reject(
    document: dict[str, Any], reason: str, loaded: Loaded, tmp_path: Path
) -> None:
    """The store keeps nothing of the entry, and what lies outside of the folder is not read."""
    write(tmp_path, secret=RESOURCES)
    loaded.load(write(tmp_path / "exports", manifest=document, resources=RESOURCES))
    ((found,),) = loaded.rows("SELECT reason FROM rejects")
    assert found.startswith(reason)
    assert [(row.read, row.rejected) for row in loaded.report.rows if row.source == "manifest"] == [(1, 1)]
    assert not any("secret" in row.path for row in loaded.report.rows)


@pytest.mark.nightly
@pytest.mark.parametrize("text", [_DEEP, '{"a": ' * 3_000 + "1" + "}" * 3_000, "9" * 10_000])
def test_a_manifest_that_cannot_be_parsed_is_a_counted_reject(text: str, loaded: Loaded, tmp_path: Path) -> None:
    document = json.dumps(manifest())[:-1] + f', "more": {text}}}'
    loaded.load(write(tmp_path / "exports", manifest=document, resources=RESOURCES))
    assert len(loaded.rows("FROM rejects")) <= 1
    assert loaded.rows("FROM inventories") == []


@pytest.mark.nightly
def test_a_link_out_of_the_folder_is_not_followed(loaded: Loaded, tmp_path: Path) -> None:
    """A manifest that is loaded alone reads the files that it names, but only those below its folder."""
    write(tmp_path / "outside", resources=RESOURCES)
    folder = write(tmp_path / "exports", manifest=manifest(entry(LISTED), entry(LISTED, path="sub/resources.json")))
    (folder / "resources.json").symlink_to(tmp_path / "outside" / "resources.json")
    (folder / "sub").symlink_to(tmp_path / "outside")
    loaded.load(folder / "manifest.json")
    assert [row.source for row in loaded.report.rows] == ["manifest"]
    assert "there is no file" in str(loaded.problems["resource_list"])


@pytest.mark.nightly
def test_a_manifest_of_another_tenant_is_rejected(loaded: Loaded, tmp_path: Path) -> None:
    """The root management group has the id of its tenant as its name."""
    group = "/providers/Microsoft.Management/managementGroups"
    node = {"name": guid(5), "type": "Microsoft.Management/managementGroups", "displayName": "Root"}
    child = {"id": f"/subscriptions/{ID}", "type": "/subscriptions", "name": ID, "displayName": "Production"}
    tree = {"id": f"{group}/{guid(5)}", **node, "details": {"parent": None}, "children": [child]}
    loaded.load(write(whole(tmp_path / "exports"), groups=tree))
    assert loaded.problems == {}
    ((reason,),) = loaded.rows("SELECT reason FROM rejects")
    assert reason == "its `tenant_id` is not the tenant of the management groups"


@pytest.mark.nightly
def test_packed_files_are_named_as_they_are(loaded: Loaded, tmp_path: Path) -> None:
    folder = write(tmp_path / "exports", manifest=manifest(entry(LISTED, path="resources.json.gz")))
    (folder / "resources.json.gz").write_bytes(gzip.compress(json.dumps(RESOURCES).encode()))
    assert loaded.load(folder).problems == {"resource_list": None}


# What the user declares.


def declared(loaded: Loaded, *paths: Path, reader: str = READER) -> Loaded:
    return loaded.load(*paths, inventory_by=reader, inventory_on="2026-10-02T00:00:00Z")


@pytest.mark.nightly
def test_a_user_vouches_for_files_without_a_manifest(loaded: Loaded, tmp_path: Path) -> None:
    listings = {"resources": RESOURCES, "graph": answer(*RESOURCES, total=2)}
    declared(loaded, write(tmp_path / "exports", **listings, providers=[provider("Microsoft.Web")]))
    assert loaded.problems == {"resource_list": None, "resource_graph": None, "providers": None}
    assert loaded.rows("SELECT DISTINCT reader_id, read_on::VARCHAR, query, vouched_by FROM inventories") == [
        (READER, "2026-10-02 00:00:00", None, "user")
    ]
    assert loaded.rows("SELECT reader_id FROM provider_registrations") == [(READER,)]


@pytest.mark.nightly
def test_two_lists_of_one_subscription_are_not_each_whole(loaded: Loaded, tmp_path: Path) -> None:
    """`az keyvault list` prints resources as well."""
    vaults = [resource(3, kind="Microsoft.KeyVault/vaults")]
    declared(loaded, write(tmp_path / "exports", resources=RESOURCES, vaults=vaults))
    assert "several files list this subscription" in str(loaded.problems["resource_list"])


@pytest.mark.nightly
def test_a_manifest_is_believed_before_the_user(loaded: Loaded, tmp_path: Path) -> None:
    declared(loaded, whole(tmp_path / "exports"))
    assert loaded.rows("SELECT DISTINCT vouched_by FROM inventories") == [("manifest",)]


@pytest.mark.nightly
def test_a_reader_is_named_by_id_upn_or_name(loaded: Loaded, tmp_path: Path) -> None:
    users = [
        {"id": guid(1), "displayName": "Ada", "userPrincipalName": "ada@contoso.com"},
        {"id": guid(2), "displayName": "Ben", "userPrincipalName": "ben@contoso.com"},
        {"id": guid(3), "displayName": "Ben", "userPrincipalName": "ben2@contoso.com"},
    ]
    folder = write(tmp_path / "exports", users=users, resources=RESOURCES)
    for name, expected in (("ADA@contoso.com", 1), ("Ada", 1), (guid(2), 2)):
        declared(loaded, folder, reader=name)
        assert (guid(expected),) in loaded.rows("SELECT reader_id FROM inventories")
    with pytest.raises(UsageError, match="`--inventory-by Ben` names 2 principals"):
        declared(loaded, folder, reader="Ben")
    with pytest.raises(UsageError, match="names no principal"):
        declared(loaded, folder, reader="nobody")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inventory_by": READER}, "`--inventory-on TIME` is missing"),
        ({"inventory_on": "2026-10-01"}, "`--inventory-by READER` is missing"),
        ({"inventory_by": READER, "inventory_on": "soon"}, "soon"),
    ],
)
def test_a_user_says_who_and_when(options: dict[str, str], message: str, loaded: Loaded, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        loaded.load(write(tmp_path / "exports", resources=RESOURCES), **options)


@pytest.mark.nightly
def test_projected_rows_of_resource_graph_are_resources(loaded: Loaded, tmp_path: Path) -> None:
    """A query may choose the columns that say what a resource is."""
    chosen = [{key: record[key] for key in ("id", "type")} for record in RESOURCES]
    query = 'az graph query -q "resources | project id, type"'
    folder = write(tmp_path / "exports", graph=answer(*chosen, total=2), manifest=manifest(entry(GRAPH, query=query)))
    assert loaded.load(folder).problems == {"resource_graph": None}


@pytest.mark.slow
def test_staging_without_a_store_reads_manifests_too(tmp_path: Path) -> None:
    con = duckdb.connect()
    create_staging(con)
    report: StageReport = stage(con, [whole(tmp_path / "exports")])
    assert [file.source for file in report.files] == ["resources", "manifest", "providers", "resources"]
    assert DeclaredReading(READER, read_instant("2026-10-01")).read_on.year == 2026
