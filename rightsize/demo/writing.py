"""Write the files of an export folder, and count the records of each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rightsize.demo.templates import json_text


@dataclass(slots=True)
class Folder:
    """Writes files below one folder and counts records; names of files are given here, never taken from data."""

    root: Path
    records: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)

    def write(self, path: str, content: bytes | Iterable[bytes], *, records: int, rejected: int = 0) -> None:
        """Write a file, and count its records and the rejected ones among them."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            stream.writelines([content] if isinstance(content, bytes) else content)
        self.records[path] = records
        if rejected:
            self.rejected[path] = rejected

    def append(self, path: str, content: bytes, *, records: int) -> None:
        """Write a file, or append to it where this folder has already written it."""
        known = self.records.get(path, 0)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab" if known else "wb") as stream:
            stream.write(content)
        self.records[path] = known + records

    def write_graph(self, name: str, context: str, records: Sequence[object]) -> None:
        """Write a page of Microsoft Graph below `directory/`, whose context is `context` of the metadata."""
        document = {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{context}", "value": records}
        self.write(f"directory/{name}.json", json_text(document).encode(), records=len(records))

    def write_json(self, path: str, document: object, *, records: int) -> None:
        """Write a JSON document as the Azure CLI prints it, indented by two."""
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        self.write(path, text.encode(), records=records)
