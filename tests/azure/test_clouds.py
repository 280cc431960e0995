"""Clouds are known by name, or described in a file that cannot make a token travel unencrypted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rightsize.azure.hosts import CLOUDS, read_cloud
from rightsize.model.errors import InputError, UsageError

OWN = {
    "name": "stack",
    "authority": "https://login.stack.example/",
    "arm": "https://arm.stack.example",
    "arm_audience": "https://arm.stack.example/app",
    "graph": "https://graph.stack.example",
    "graph_audience": "https://graph.stack.example",
    "logs": "https://logs.stack.example",
    "logs_audience": "https://logs.stack.example",
    "storage": "stack.example",
}


def written(folder: Path, **changes: Any) -> str:
    path = folder / "cloud.json"
    path.write_text(json.dumps({**OWN, **changes}))
    return str(path)


@pytest.mark.parametrize("name", sorted(CLOUDS))
def test_each_cloud_of_microsoft_has_its_own_hosts(name: str) -> None:
    cloud = read_cloud(name)
    others = [other for other in CLOUDS.values() if other is not cloud]
    for endpoint in (cloud.authority, cloud.arm, cloud.graph, cloud.logs):
        parts = urlsplit(endpoint)
        assert parts.scheme == "https"
        assert not parts.path
        assert all(endpoint not in (other.authority, other.arm, other.graph, other.logs) for other in others)
    assert cloud.blob_endpoint("acct") == f"https://acct.blob.{cloud.storage}"


def test_a_file_describes_another_cloud(tmp_path: Path) -> None:
    cloud = read_cloud(written(tmp_path, budgets={"reports": [100, 1]}, instance_discovery=False))
    assert cloud.authority == "https://login.stack.example"
    assert cloud.budgets == {"reports": (100.0, 1.0)}
    assert not cloud.instance_discovery


def test_accounts_may_be_paths_of_one_host(tmp_path: Path) -> None:
    cloud = read_cloud(written(tmp_path, storage="https://127.0.0.1:10000"))
    assert cloud.blob_endpoint("devstoreaccount1") == "https://127.0.0.1:10000/devstoreaccount1"


@pytest.mark.parametrize(
    "changes",
    [
        {"arm": "http://arm.stack.example"},
        {"graph": "graph.stack.example"},
        {"logs": 7},
        {"unknown": "x"},
        {"budgets": {"reports": 5}},
        {"budgets": ["reports"]},
    ],
)
def test_a_file_that_describes_no_cloud_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_cloud(written(tmp_path, **changes))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cloud.json"
    path.write_text(json.dumps({"name": "x"}))
    with pytest.raises(InputError, match="lacks arm, arm_audience, authority"):
        read_cloud(str(path))
    path.write_text("[]")
    with pytest.raises(InputError, match="not a JSON object"):
        read_cloud(str(path))
    path.write_text("{")
    with pytest.raises(InputError, match="no valid JSON"):
        read_cloud(str(path))


def test_a_name_that_is_none_is_told_the_names() -> None:
    with pytest.raises(UsageError) as caught:
        read_cloud("mooncake")
    assert "china" in str(caught.value.hint)
