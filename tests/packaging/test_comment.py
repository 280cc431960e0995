"""The comment that a pipeline writes: one for a request, on each host, and nobody else's."""

from __future__ import annotations

import http.server
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.packaging.runners import HOSTS, PROJECT
from tests.serving import serving

SCRIPT = PROJECT / ".pipelines" / "comment.py"


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pipeline_comment", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


comment = _module()
HEADING = comment.HEADING
TEXT = "### 3 of 12 assignments change\n\n`$(touch pwned)` \u202e\n"
OLD = "### 1,002 of 2,000 assignments change\n\nold\n"
ME, OTHER = "me", "other"


class Host(http.server.ThreadingHTTPServer):
    """Comments of one request, as each of the three hosts keeps them."""

    kind = "github"
    status = 200
    comments: list[list[str]]
    asked: list[tuple[str, str, str]]

    def listing(self, path: str) -> Any:
        if path.endswith("/user"):
            return {"id": ME}
        if "/_apis/connectionData" in path:
            return {"authenticatedUser": {"id": ME}}
        if self.kind == "azure-devops":
            return {
                "value": [
                    {"id": number, "comments": [{"id": 1, "content": text, "author": {"id": who}}]}
                    for number, (who, text) in enumerate(self.comments)
                ]
            }
        own = {"github": "github-actions[bot]"}.get(self.kind, ME)
        rows = [
            {"id": n, "body": text, "user": {"login": own if who == ME else who}, "author": {"id": who}}
            for n, (who, text) in enumerate(self.comments)
        ]
        page = int(path.partition("&page=")[2]) - 1
        return rows[page * 100 : page * 100 + 100]


class _Handler(http.server.BaseHTTPRequestHandler):
    def _serve(self) -> None:
        server = self.server
        assert isinstance(server, Host)
        token = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        server.asked.append((self.command, self.path, token))
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if self.command != "GET" and server.status == 200:
            text = sent.get("body") or sent.get("content") or sent["comments"][0]["content"]
            if self.command == "POST":
                server.comments.append([ME, text])
            else:
                parts = self.path.partition("?")[0].split("/")
                server.comments[int(parts[-3] if server.kind == "azure-devops" else parts[-1])][1] = text
        answer = json.dumps(server.listing(self.path) if self.command == "GET" else {}).encode()
        self.send_response(server.status)
        if server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = _serve  # noqa: N815  the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Host]:
    made = Host(("127.0.0.1", 0), _Handler)
    made.comments, made.asked = [], []
    with serving(made):
        yield made


def _variables(kind: str, server: Host, folder: Path, number: int | None = 7) -> dict[str, str]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    server.kind = kind
    if kind == "github":
        event = {"pull_request": {"number": number, "head": {"ref": "$(touch pwned)"}}} if number else {"ref": "main"}
        (folder / "event.json").write_text(json.dumps(event))
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_API_URL": url,
            "GITHUB_REPOSITORY": "a/b",
            "GITHUB_TOKEN": "a-token",
        }
    if kind == "azure-devops":
        return {
            "TF_BUILD": "True",
            "SYSTEM_COLLECTIONURI": f"{url}/organization/",
            "SYSTEM_TEAMPROJECTID": "a project",
            "BUILD_REPOSITORY_ID": "a-repository",
            "SYSTEM_PULLREQUEST_PULLREQUESTID": str(number or ""),
            "SYSTEM_ACCESSTOKEN": "a-token",
        }
    merge_request = {"CI_MERGE_REQUEST_IID": str(number)} if number else {}
    return {"GITLAB_CI": "true", "CI_API_V4_URL": url, "CI_PROJECT_ID": "5", "GITLAB_TOKEN": "a-token"} | merge_request


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "comment.md"
    path.write_text(TEXT, encoding="utf-8")
    return path


def _comment(
    file: Path, variables: dict[str, str], patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    for name in ("GITHUB_ACTIONS", "TF_BUILD", "GITLAB_CI", "INPUT_LOGIN"):
        patch.delenv(name, raising=False)
    for name, value in variables.items():
        patch.setenv(name, value)
    code = comment.main(str(file))
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.parametrize("kind", HOSTS)
def test_a_request_has_one_comment_of_this_account(
    kind: str, server: Host, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first run posts, the next ones replace; a comment of somebody else stays, even if it looks like one."""
    before = [[OTHER, OLD], [ME, "another comment"], *([OTHER, "talk"] for _ in range(120))]
    server.comments = [list(one) for one in before]
    variables = _variables(kind, server, file.parent)
    assert _comment(file, variables, monkeypatch, capsys) == (0, "comment posted\n")
    assert server.comments == [*before, [ME, TEXT]]
    server.comments[-1][1] = OLD
    assert _comment(file, variables, monkeypatch, capsys) == (0, "comment replaced\n")
    assert server.comments == [*before, [ME, TEXT]]
    assert all("a-token" in token for _, _, token in server.asked)


@pytest.mark.parametrize("kind", HOSTS)
def test_without_a_request_nothing_is_asked(
    kind: str, server: Host, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = _variables(kind, server, file.parent, number=None)
    assert _comment(file, variables, monkeypatch, capsys) == (0, "no pull request, so no comment\n")
    assert server.asked == []


@pytest.mark.parametrize(("status", "code"), [(403, 4), (401, 4), (302, 7), (500, 7)])
def test_a_refusal_is_an_exit_code_and_no_redirection_is_followed(
    status: int,
    code: int,
    server: Host,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The token is sent to the host of the run and nowhere else, and stands in no message."""
    server.status = status
    got, said = _comment(file, _variables("gitlab", server, file.parent), monkeypatch, capsys)
    assert (got, len(server.asked)) == (code, 1)
    assert f"the host answered {status}" in said and "a-token" not in said


def test_a_variable_that_is_missing_is_named(
    server: Host, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Azure DevOps leaves the name of a variable that it does not know."""
    variables = _variables("azure-devops", server, file.parent) | {"SYSTEM_ACCESSTOKEN": "$(System.AccessToken)"}
    got, said = _comment(file, variables, monkeypatch, capsys)
    assert (got, said) == (2, "error: the variable SYSTEM_ACCESSTOKEN is not set\n")
    assert server.asked == []


def test_the_comment_of_a_plan_is_recognised() -> None:
    """What `plan comment` writes begins with the heading by which a later run knows it."""
    assert HEADING.match((PROJECT / "reports" / "example" / "comment.md").read_text(encoding="utf-8"))
