"""Files are written whole or not at all; the one literal checksum is FIPS 180-2's for "abc"."""

from pathlib import Path

import pytest

from attacks.errors import DataError
from bench.files import require_writable, sha256_of, write_atomically, write_text


def test_checksum(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_is_written_with_its_folders_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text"
    write_atomically(path, lambda temporary: write_text(temporary, "κ\n"))
    assert path.read_bytes() == "κ\n".encode()
    assert [item.name for item in path.parent.iterdir()] == ["text"]
    assert path.stat().st_mode & 0o777 == open_mode(tmp_path)


def open_mode(folder: Path) -> int:
    """The permissions that an ordinarily written file gets."""
    (folder / "ordinary").write_text("")
    return (folder / "ordinary").stat().st_mode & 0o777


@pytest.mark.parametrize("error", [RuntimeError("half way"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_the_old_file_alone(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "text"
    path.write_text("old")

    def write(temporary: Path) -> None:
        temporary.write_text("new, but only ha")
        assert path.read_text() == "old"
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["text"]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    def write(_temporary: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"cannot write .*text: No space left on device"):
        write_atomically(tmp_path / "text", write)
    assert not list(tmp_path.iterdir())


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="Choose another folder with --results-dir"):
        require_writable(tmp_path / "file" / "results")
    require_writable(tmp_path / "new" / "results")
    assert not list((tmp_path / "new" / "results").iterdir())
