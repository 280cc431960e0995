"""Define the endpoints of each Azure cloud; no other module has endpoints.

Source: Microsoft Learn, "Azure Government developer guide", "Microsoft Graph national cloud deployments", and the
endpoints that `az cloud show` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import SMALL, read_given
from rightsize.model.json_schemas import load_object


@dataclass(frozen=True, slots=True)
class Cloud:
    """The endpoints of one cloud, each without a slash at its end.

    Attributes:
        name: The name of the cloud in the manifest of a run.
        authority: The host that issues tokens.
        arm: Azure Resource Manager; `arm_audience` is the audience of its tokens.
        graph: Microsoft Graph; `graph_audience` is the audience of its tokens.
        logs: Log Analytics; `logs_audience` is the audience of its tokens.
        storage: The suffix of the host of a storage account, after `ACCOUNT.blob.`; a whole URL where accounts are
            paths of one host.
        storage_audience: The audience of tokens for storage.
        instance_discovery: Whether azure-identity asks Microsoft first whether the authority is one of its own.
        budgets: Requests and seconds by budget name, for each service whose limits differ from Azure's.
    """

    name: str
    authority: str
    arm: str
    arm_audience: str
    graph: str
    graph_audience: str
    logs: str
    logs_audience: str
    storage: str
    storage_audience: str = "https://storage.azure.com"
    instance_discovery: bool = True
    budgets: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def blob_endpoint(self, account: str) -> str:
        """Return the blob endpoint of a storage account."""
        if "://" in self.storage:
            return f"{self.storage}/{account}"
        return f"https://{account}.blob.{self.storage}"


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            name="public",
            authority="https://login.microsoftonline.com",
            arm="https://management.azure.com",
            arm_audience="https://management.azure.com",
            graph="https://graph.microsoft.com",
            graph_audience="https://graph.microsoft.com",
            logs="https://api.loganalytics.io",
            logs_audience="https://api.loganalytics.io",
            storage="core.windows.net",
        ),
        Cloud(
            name="usgov",
            authority="https://login.microsoftonline.us",
            arm="https://management.usgovcloudapi.net",
            arm_audience="https://management.usgovcloudapi.net",
            graph="https://graph.microsoft.us",
            graph_audience="https://graph.microsoft.us",
            logs="https://api.loganalytics.us",
            logs_audience="https://api.loganalytics.us",
            storage="core.usgovcloudapi.net",
        ),
        Cloud(
            name="china",
            authority="https://login.chinacloudapi.cn",
            arm="https://management.chinacloudapi.cn",
            arm_audience="https://management.chinacloudapi.cn",
            graph="https://microsoftgraph.chinacloudapi.cn",
            graph_audience="https://microsoftgraph.chinacloudapi.cn",
            logs="https://api.loganalytics.azure.cn",
            logs_audience="https://api.loganalytics.azure.cn",
            storage="core.chinacloudapi.cn",
        ),
    )
}
"""The clouds of Microsoft."""

_OPTIONAL = ("storage_audience", "instance_discovery", "budgets")
_URLS = ("authority", "arm", "arm_audience", "graph", "graph_audience", "logs", "logs_audience")


def read_cloud(text: str) -> Cloud:
    """Return the cloud with this name, or the cloud that a JSON file describes with the attributes of `Cloud`.

    Raises:
        UsageError: The text is neither the name of a cloud nor a file.
        InputError: The file does not describe a cloud.
    """
    if text in CLOUDS:
        return CLOUDS[text]
    path = Path(text)
    if not path.is_file():
        raise UsageError(
            f"`{text}` is not a known cloud", hint=f"one of {', '.join(CLOUDS)}, or a JSON file with its endpoints"
        )
    document = load_object(read_given(path, most=SMALL), f"`{text}`")
    return _described(document, text)


def _described(document: Mapping[str, Any], text: str) -> Cloud:
    names = {attribute.name for attribute in fields(Cloud)}
    missing = sorted(names - document.keys() - set(_OPTIONAL))
    unknown = sorted(document.keys() - names)
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has the unknown keys {', '.join(unknown)}"
        raise InputError(f"`{text}` does not describe a cloud: it {what}")
    values = dict(document)
    for name in (*_URLS, "storage"):
        if not isinstance(values[name], str):
            raise InputError(f"`{name}` in `{text}` is not a string")
        values[name] = values[name].rstrip("/")
    for name in _URLS:
        # A token must never travel unencrypted, in any cloud.
        if urlsplit(values[name]).scheme != "https" or not urlsplit(values[name]).netloc:
            raise InputError(f"`{name}` in `{text}` is not an https URL")
    try:
        values["budgets"] = {
            str(name): (float(requests), float(seconds))
            for name, (requests, seconds) in dict(values.get("budgets", {})).items()
        }
    except (TypeError, ValueError) as error:
        raise InputError(f"`budgets` in `{text}` has a value that is not a pair of requests and seconds") from error
    return Cloud(**values)
