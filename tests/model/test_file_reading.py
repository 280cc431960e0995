"""Files of a folder are regular files without links, up to a size; what a person types may be a link or a pipe."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from rightsize.model.errors import InputError
from rightsize.model.file_reading import (
    folder_in,
    hash_of_found,
    is_found,
    open_found,
    read_found,
    read_given,
    replace_found,
    stands_in,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, a file in a folder, and links, a pipe and a device."""
    made = tmp_path / "folder"
    (made / "below").mkdir(parents=True)
    (made / "file").write_bytes(b"content")
    (made / "below" / "file").write_bytes(b"below")
    (made / "link").symlink_to(made / "file")
    (made / "linked").symlink_to(made / "below")
    (made / "nowhere").symlink_to(made / "none")
    (made / "zero").symlink_to("/dev/zero")
    os.mkfifo(made / "pipe")
    return made


def test_a_regular_file_is_read(folder: Path) -> None:
    assert read_found(folder, "file") == b"content"
    assert read_found(folder, "below/file") == b"below"
    assert hash_of_found(folder, "file").startswith("ed7002b4")


@pytest.mark.parametrize("name", ["link", "linked/file", "nowhere", "zero"])
def test_nothing_is_read_through_a_link(folder: Path, name: str) -> None:
    """Neither at the end of the path nor on the way."""
    with pytest.raises(InputError, match="reached by a link"):
        read_found(folder, name)
    assert not is_found(folder, name)


def test_a_pipe_and_a_folder_are_refused_at_once(folder: Path) -> None:
    for name in ("pipe", "below"):
        with pytest.raises(InputError, match="not a regular file"):
            read_found(folder, name)


@pytest.mark.parametrize("name", ["../folder/file", "/etc/passwd", "", "below/../file", "a\0b"])
def test_a_name_that_leads_out_is_none(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match="not the name of a file in a folder"):
        read_found(folder, name)


def test_a_missing_file_is_said_and_a_broken_link_stands_there(folder: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*: No such file"):
        read_found(folder, "none")
    assert (stands_in(folder, "none"), stands_in(folder, "nowhere")) == (False, True)


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="more than 67,108,864 bytes"):
        read_found(folder, "sparse")
    assert read_found(folder, "file", most=7) == b"content"
    with pytest.raises(InputError, match="more than 6 bytes"):
        read_found(folder, "file", most=6)


def test_a_file_is_opened_for_writing_without_a_link(folder: Path) -> None:
    handle = open_found(folder, "new", os.O_RDWR | os.O_CREAT)
    os.write(handle, b"x")
    os.close(handle)
    assert read_found(folder, "new") == b"x"
    with pytest.raises(InputError, match="reached by a link"):
        open_found(folder, "nowhere", os.O_RDWR | os.O_CREAT)


def test_a_link_is_replaced_and_not_written_through(folder: Path) -> None:
    (folder / ".link.part").symlink_to(folder / "file")
    replace_found(folder, "link", b"new")
    assert ((folder / "link").read_bytes(), (folder / "file").read_bytes()) == (b"new", b"content")
    assert not (folder / "link").is_symlink()


def test_a_folder_in_a_folder_is_no_link(folder: Path) -> None:
    assert folder_in(folder, "below") == folder / "below"
    with pytest.raises(InputError, match="reached by a link"):
        folder_in(folder, "linked")
    with pytest.raises(InputError, match="not a regular file"):
        folder_in(folder, "file")


def test_what_is_typed_may_be_a_link_or_a_pipe(folder: Path) -> None:
    assert read_given(folder / "link") == b"content"
    writer = threading.Thread(target=(folder / "pipe").write_bytes, args=(b"through a pipe",))
    writer.start()
    assert read_given(folder / "pipe") == b"through a pipe"
    writer.join()


def test_what_is_typed_is_read_within_a_size_and_a_time(folder: Path) -> None:
    with pytest.raises(InputError, match="more than 1,000,000 bytes"):
        read_given(folder / "zero", most=1_000_000)
    with pytest.raises(InputError, match="nothing came from"):
        read_given(folder / "pipe", patience=0.05)
    with pytest.raises(InputError, match="it is a folder"):
        read_given(folder)
