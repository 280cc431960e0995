"""Write a file as the comment of the pull request that a pipeline runs for: `comment.py FILE`.

GitHub, Azure DevOps and GitLab are told apart by the variables that their runners set. These name the pull request, and
the token is `GITHUB_TOKEN`, `SYSTEM_ACCESSTOKEN` or `GITLAB_TOKEN`. A request has one such comment: later runs replace
the text that the same account wrote before, and no comment of anybody else. Without a pull request nothing is done.
Exit codes: 2 where a variable is missing, 4 where the token may not comment, 7 where the host fails.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

HEADING = re.compile(r"### [\d,]+ of [\d,]+ assignments change\n")
"""How the comment of a plan begins."""
_PAGE = 100
_MOST_PAGES = 50


class MissingError(Exception):
    """A variable that the runner or the pipeline has to set is not there."""


@dataclass(frozen=True)
class Host:
    """Where the comments of one pull request are.

    Args:
        headers: How requests say who asks.
        comments: Address of the list of comments, to which a new one is posted.
        body: What is sent for a text.
        own: The bodies and addresses of the comments that this account wrote.
        replace: The method that replaces a comment.
    """

    headers: dict[str, str]
    comments: str
    body: Callable[[str, bool], dict[str, Any]]
    own: Callable[[httpx.Client], Iterator[tuple[str, str]]]
    replace: str = "PATCH"


def host_of_run() -> Host | None:
    """Return the host that this run belongs to, or None where there is no pull request.

    Raises:
        MissingError: A variable is missing.
    """
    if os.environ.get("GITHUB_ACTIONS"):
        event = json.loads(Path(_variable("GITHUB_EVENT_PATH")).read_text(encoding="utf-8"))
        number = (event.get("pull_request") or {}).get("number")
        return _github(int(number)) if number is not None else None
    if os.environ.get("TF_BUILD"):
        number = os.environ.get("SYSTEM_PULLREQUEST_PULLREQUESTID")
        return _azure_devops(int(number)) if number else None
    if os.environ.get("GITLAB_CI"):
        number = os.environ.get("CI_MERGE_REQUEST_IID")
        return _gitlab(int(number)) if number else None
    return None


def _github(number: int) -> Host:
    base = f"{_variable('GITHUB_API_URL')}/repos/{_variable('GITHUB_REPOSITORY')}/issues"
    comments = f"{base}/{number}/comments"
    login = os.environ.get("INPUT_LOGIN") or "github-actions[bot]"

    def own(client: httpx.Client) -> Iterator[tuple[str, str]]:
        for one in _pages(client, comments):
            if one["user"]["login"] == login:
                yield one["body"], f"{base}/comments/{one['id']}"

    headers = {"Authorization": f"Bearer {_variable('GITHUB_TOKEN')}", "Accept": "application/vnd.github+json"}
    return Host(headers, comments, lambda text, _: {"body": text}, own)


def _gitlab(number: int) -> Host:
    api = _variable("CI_API_V4_URL")
    notes = f"{api}/projects/{int(_variable('CI_PROJECT_ID'))}/merge_requests/{number}/notes"

    def own(client: httpx.Client) -> Iterator[tuple[str, str]]:
        me = _read(client, f"{api}/user")["id"]
        for one in _pages(client, notes):
            if one["author"]["id"] == me:
                yield one["body"], f"{notes}/{int(one['id'])}"

    return Host({"PRIVATE-TOKEN": _variable("GITLAB_TOKEN")}, notes, lambda text, _: {"body": text}, own, "PUT")


def _azure_devops(number: int) -> Host:
    organization = _variable("SYSTEM_COLLECTIONURI").rstrip("/")
    repository = f"{quote(_variable('SYSTEM_TEAMPROJECTID'), safe='')}/_apis/git/repositories/"
    repository += quote(_variable("BUILD_REPOSITORY_ID"), safe="")
    threads = f"{organization}/{repository}/pullRequests/{number}/threads"
    version = "?api-version=7.1"

    def own(client: httpx.Client) -> Iterator[tuple[str, str]]:
        me = _read(client, f"{organization}/_apis/connectionData?api-version=7.1-preview")["authenticatedUser"]["id"]
        for thread in _read(client, threads + version)["value"]:
            for one in thread["comments"][:1]:
                if one["author"]["id"] == me and not one.get("isDeleted"):
                    yield one.get("content") or "", f"{threads}/{int(thread['id'])}/comments/{int(one['id'])}{version}"

    def body(text: str, is_new: bool) -> dict[str, Any]:
        comment = {"parentCommentId": 0, "content": text, "commentType": "text"}
        return {"comments": [comment], "status": "active"} if is_new else {"content": text}

    headers = {"Authorization": f"Bearer {_variable('SYSTEM_ACCESSTOKEN')}"}
    return Host(headers, threads + version, body, own)


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    # Where Azure DevOps does not know a variable, it leaves its name.
    if not value or value.startswith("$("):
        raise MissingError(f"the variable {name} is not set")
    return value


def _pages(client: httpx.Client, address: str) -> Iterator[dict[str, Any]]:
    for page in range(1, _MOST_PAGES + 1):
        found = _read(client, f"{address}?per_page={_PAGE}&page={page}")
        yield from found
        if len(found) < _PAGE:
            return


def _read(client: httpx.Client, address: str) -> Any:
    return client.get(address).raise_for_status().json()


def write_comment(text: str, host: Host) -> str:
    """Post a comment, or replace the one that was posted before; return which of both was done.

    Raises:
        httpx.HTTPError: The host refuses or fails.
    """
    # A redirection could lead the token to another host, so none is followed.
    with httpx.Client(headers=host.headers, timeout=30, follow_redirects=False) as client:
        for old, address in host.own(client):
            if HEADING.match(old):
                client.request(host.replace, address, json=host.body(text, False)).raise_for_status()
                return "replaced"
        client.post(host.comments, json=host.body(text, True)).raise_for_status()
        return "posted"


def main(file: str) -> int:
    """Comment with the text of a file, and return the exit code."""
    try:
        host = host_of_run()
        if host is None:
            print("no pull request, so no comment")
            return 0
        print(f"comment {write_comment(Path(file).read_text(encoding='utf-8'), host)}")
    except MissingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        print(f"error: the comment was not accepted: the host answered {status}", file=sys.stderr)
        return 4 if status in {401, 403} else 7
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        print(f"error: the comment was not accepted: {type(error).__name__}", file=sys.stderr)
        return 7
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
