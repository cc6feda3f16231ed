"""MNIST-likes and CIFAR: local copies in every layout, downloads from a server of our own, and being offline."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import pickle
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets

from kdstudio.engine.data import load_data
from kdstudio.engine.data.idx import STEMS
from kdstudio.project.errors import DataError
from kdstudio.project.spec import KnownImages

NOWHERE = "http://127.0.0.1:9/"


def write_idx(folder: Path, packed: bool = True, train: int = 60, test: int = 20) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for images, labels, count in ((*STEMS[:2], train), (*STEMS[2:], test)):
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        numbers = (np.arange(count) % 10).astype(np.uint8)
        for stem, array in ((images, pixels), (labels, numbers)):
            data = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
            path = folder / (f"{stem}.gz" if packed else stem)
            path.write_bytes(gzip.compress(data, mtime=0) if packed else data)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small cifar-10-batches-py whose checksums torchvision is told to be the published ones."""
    base = tmp_path / "made"
    folder = base / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    published = torchvision.datasets.CIFAR10
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        data = random.integers(0, 256, (20, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [i % 10 for i in range(20)]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"kind {i}" for i in range(10)]}))
    with tarfile.open(base / published.filename, "w:gz") as archive:
        archive.add(folder, folder.name)
    monkeypatch.setattr(published, "train_list", [[name, md5(folder / name)] for name, _ in published.train_list])
    monkeypatch.setattr(published, "test_list", [["test_batch", md5(folder / "test_batch")]])
    monkeypatch.setattr(published, "meta", {**published.meta, "md5": md5(folder / "batches.meta")})
    monkeypatch.setattr(published, "tgz_md5", md5(base / published.filename))
    monkeypatch.setattr(published, "url", NOWHERE)
    return base


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("below", ["", "raw", "MNIST/raw"])
def test_idx_files_in_every_layout(tmp_path: Path, packed: bool, below: str) -> None:
    write_idx(tmp_path / "mine" / below, packed)
    bundle = load_data(KnownImages(source="mnist", folder="mine"), tmp_path)
    assert bundle.input_shape == (1, 28, 28)
    assert [len(split) for split in bundle.splits.values()] == [50, 10, 20]
    assert bundle.classes == [str(digit) for digit in range(10)]


def test_places_are_searched_in_order(tmp_path: Path, no_outside_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = KnownImages(source="fashion-mnist", download=False)
    shared = tmp_path / "shared"
    # From the last place to the first: each one hides those after it.
    for number, folder in enumerate(
        [
            tmp_path / "system/fashion-mnist",
            no_outside_data / "data/fashion-mnist",
            shared / "fashion-mnist",
            tmp_path / "data/fashion-mnist",
        ]
    ):
        write_idx(folder, test=20 + number)
        if folder.is_relative_to(shared):
            monkeypatch.setenv("KDSTUDIO_DATA", str(shared))
        bundle = load_data(spec, tmp_path)
        assert len(bundle.test) == 20 + number
    assert bundle.classes[0] == "T-shirt/top"


def test_a_given_folder_must_have_the_files(tmp_path: Path) -> None:
    write_idx(tmp_path / "data/mnist")
    (tmp_path / "data/mnist" / f"{STEMS[3]}.gz").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"(?s)data\.folder: no mnist files in .*train-images-idx3-ubyte\.gz"):
        load_data(KnownImages(source="mnist", folder="data/mnist"), tmp_path)


def spoil_header(data: bytes) -> bytes:
    return gzip.compress(b"\1" + gzip.decompress(data)[1:])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[: len(data) // 2], "cannot be read"),
        (lambda data: b"hello", "cannot be read"),
        (lambda data: gzip.compress(gzip.decompress(data)[:-9]), "its header promises"),
        (spoil_header, "not an idx file"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path: Path, spoil: Any, message: str) -> None:
    write_idx(tmp_path / "mine")
    path = tmp_path / "mine" / f"{STEMS[0]}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        load_data(KnownImages(source="mnist", folder="mine"), tmp_path)
    assert path.name in caught.value.what


def test_idx_files_of_different_lengths(tmp_path: Path) -> None:
    write_idx(tmp_path / "mine")
    write_idx(tmp_path / "other", train=50)
    name = f"{STEMS[1]}.gz"
    (tmp_path / "mine" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(DataError, match="50 labels for the 60 images"):
        load_data(KnownImages(source="mnist", folder="mine"), tmp_path)


@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
def test_cifar_folder(tmp_path: Path, cifar: Path, below: str) -> None:
    bundle = load_data(KnownImages(source="cifar10", folder=str(cifar / below)), tmp_path)
    assert bundle.input_shape == (3, 32, 32)
    assert [len(split) for split in bundle.splits.values()] == [90, 10, 20]
    assert bundle.classes[3] == "kind 3"
    raw = pickle.loads((cifar / "cifar-10-batches-py/test_batch").read_bytes())["data"]
    assert bundle.test.images.flatten(1).numpy().tolist() == raw.tolist()


def test_cifar_archive_is_unpacked(tmp_path: Path, cifar: Path) -> None:
    target = tmp_path / "data/cifar10"
    target.mkdir(parents=True)
    name = torchvision.datasets.CIFAR10.filename
    (target / name).write_bytes((cifar / name).read_bytes())
    assert len(load_data(KnownImages(source="cifar10", download=False), tmp_path).test) == 20
    assert (target / "cifar-10-batches-py").is_dir()


def test_cifar_pickles_that_are_not_the_published_ones_never_run(tmp_path: Path, cifar: Path) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "it-ran",)

    (cifar / "cifar-10-batches-py/data_batch_3").write_bytes(pickle.dumps(Malice()))
    with pytest.raises(DataError, match="is not the published cifar10"):
        load_data(KnownImages(source="cifar10", folder=str(cifar)), tmp_path)
    assert not (tmp_path / "it-ran").exists()


def test_a_foreign_cifar_archive_is_refused(tmp_path: Path, cifar: Path) -> None:
    folder = tmp_path / "data/cifar10"
    folder.mkdir(parents=True)
    (folder / torchvision.datasets.CIFAR10.filename).write_bytes(b"something else")
    with pytest.raises(DataError, match="damaged or is not the published one"):
        load_data(KnownImages(source="cifar10", download=False), tmp_path)


def test_offline_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [NOWHERE])
    with pytest.raises(DataError, match="the download failed") as caught:
        load_data(KnownImages(source="mnist"), tmp_path)
    error = caught.value
    assert error.kind == "offline"
    assert str(tmp_path / "data/mnist") in error.fix
    assert "t10k-labels-idx1-ubyte.gz" in error.fix
    assert "KDSTUDIO_DATA" in error.fix


def test_no_download_when_it_is_off(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.download is off") as caught:
        load_data(KnownImages(source="cifar100", download=False), tmp_path)
    assert "cifar-100-python" in caught.value.fix


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine: its address and the folder that it serves."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *parts: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/", folder
    running.shutdown()
    thread.join()
    running.server_close()


def test_download_of_idx_files(
    tmp_path: Path, no_outside_data: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    write_idx(folder)
    files = [(f"{stem}.gz", md5(folder / f"{stem}.gz")) for stem in STEMS]
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [NOWHERE, address])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", files)
    calls: list[tuple[str, int, int]] = []
    bundle = load_data(KnownImages(source="mnist"), tmp_path, lambda *call: calls.append(call))
    assert len(bundle.test) == 20
    assert calls[-1][0] == f"Downloading {files[-1][0]}"
    assert calls[-1][1] == calls[-1][2] > 0
    kept = no_outside_data / "data/mnist/MNIST/raw"
    assert sorted(path.name for path in kept.iterdir()) == sorted(name for name, _ in files)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [NOWHERE])
    assert load_data(KnownImages(source="mnist"), tmp_path).fingerprint() == bundle.fingerprint()


def test_download_of_another_file_than_the_published_one(
    tmp_path: Path, no_outside_data: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    write_idx(folder)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
    with pytest.raises(DataError, match="not the published one"):
        load_data(KnownImages(source="mnist"), tmp_path)
    assert not list(no_outside_data.rglob("*.part"))
    assert not list(no_outside_data.rglob("*.gz"))


def test_download_of_cifar(
    tmp_path: Path, cifar: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, folder = server
    name = torchvision.datasets.CIFAR10.filename
    (folder / name).write_bytes((cifar / name).read_bytes())
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", address + name)
    assert len(load_data(KnownImages(source="cifar10"), tmp_path).test) == 20
