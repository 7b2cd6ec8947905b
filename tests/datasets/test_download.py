"""Downloads are whole and checked, or leave nothing."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_server import LocalServer

from attacks.errors import DataError
from bench.datasets.contract import LoadRequest
from bench.datasets.download import fetch

CONTENT = bytes(range(256)) * 10240  # 2.5 MB


class Recorded:
    """Progress that is remembered, or interrupts at the first step."""

    def __init__(self, *, interrupts: bool = False) -> None:
        self.announced: list[tuple[str, int]] = []
        self.steps = 0
        self._interrupts = interrupts

    @contextmanager
    def task(self, title: str, total: int, *, slow: bool = False) -> Iterator["Recorded"]:
        self.announced.append((title, total))
        yield self

    def advance(self, note: str = "") -> None:
        if self._interrupts:
            raise KeyboardInterrupt
        self.steps += 1


def test_a_good_file_arrives_whole_with_progress(
    server: LocalServer, tmp_path: Path, md5_of: Callable[[bytes], str]
) -> None:
    (server.folder / "data.bin").write_bytes(CONTENT)
    progress = Recorded()
    request = LoadRequest(data_dir=tmp_path, progress=progress)
    fetch([f"{server.url}data.bin"], tmp_path / "sub" / "data.bin", md5_of(CONTENT), request)
    assert (tmp_path / "sub" / "data.bin").read_bytes() == CONTENT
    assert progress.announced == [("downloading data.bin, MB", 3)]  # 2.5 MB, counted up
    assert progress.steps == 3
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["data.bin"]


def test_the_second_address_serves_when_the_first_does_not(
    server: LocalServer, dead_url: str, tmp_path: Path, md5_of: Callable[[bytes], str]
) -> None:
    (server.folder / "data.bin").write_bytes(CONTENT)
    urls = [f"{dead_url}data.bin", f"{server.url}absent.bin", f"{server.url}data.bin"]
    fetch(urls, tmp_path / "data.bin", md5_of(CONTENT), LoadRequest(data_dir=tmp_path))
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: LocalServer, tmp_path: Path) -> None:
    (server.folder / "data.bin").write_bytes(CONTENT)
    with pytest.raises(DataError, match=r"wrong checksum.*nothing was kept") as raised:
        fetch([f"{server.url}data.bin"], tmp_path / "data.bin", "0" * 32, LoadRequest(data_dir=tmp_path))
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_error_says_so(dead_url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"could not download data\.bin .*Connection refused.*check the network"):
        fetch([f"{dead_url}data.bin"], tmp_path / "data.bin", "0" * 32, LoadRequest(data_dir=tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_connection_that_breaks_off_leaves_nothing(tmp_path: Path, md5_of: Callable[[bytes], str]) -> None:
    class HalfAnswer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            header = f"HTTP/1.0 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
            self.request.sendall(header.encode() + CONTENT[: len(CONTENT) // 2])

    with socketserver.TCPServer(("127.0.0.1", 0), HalfAnswer) as half:
        thread = threading.Thread(target=half.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{half.server_address[1]}/data.bin"
        with pytest.raises(DataError, match="could not download"):
            fetch([url], tmp_path / "data.bin", md5_of(CONTENT), LoadRequest(data_dir=tmp_path))
        thread.join()
    assert not list(tmp_path.iterdir())


def test_an_interrupted_download_leaves_nothing(
    server: LocalServer, tmp_path: Path, md5_of: Callable[[bytes], str]
) -> None:
    (server.folder / "data.bin").write_bytes(CONTENT)
    request = LoadRequest(data_dir=tmp_path, progress=Recorded(interrupts=True))
    with pytest.raises(KeyboardInterrupt):
        fetch([f"{server.url}data.bin"], tmp_path / "data.bin", md5_of(CONTENT), request)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    request = LoadRequest(data_dir=tmp_path / "file")
    with pytest.raises(DataError, match=r"cannot write to .*file.*--data-dir"):
        fetch(["http://127.0.0.1/"], tmp_path / "file" / "data.bin", "0" * 32, request)
