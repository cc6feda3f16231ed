"""Fetches the sets that torchvision knows: its addresses and checksums, with progress and no half-written files."""

from __future__ import annotations

import errno
import http.client
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

from filelock import FileLock

from kdstudio.engine.data.base import Progress
from kdstudio.project.errors import DataError, StorageError

_CHUNK = 256 * 1024
_TIMEOUT_SECONDS = 20
_AGAIN = "Replace it with a fresh copy."


class Unreachable(Exception):
    """No address of a file answered with the right contents."""


def _published(name: str) -> Any:
    import torchvision.datasets

    return getattr(torchvision.datasets, name)


def archive_name(name: str) -> str:
    """File name of a CIFAR set's archive, by torchvision's class name."""
    return str(_published(name).filename)


def fetch(name: str, target: Path, folder: str, progress: Progress | None = None) -> None:
    """Downloads a set into `target`, in torchvision's layout, so that torchvision can read it too.

    Args:
        name: torchvision's class, for example ``FashionMNIST``.
        target: Folder to download into; made if needed.
        folder: The set's folder below `target`.
        progress: Gets bytes done and in total of the file at hand.

    Raises:
        Unreachable: Offline, or the server's file is not the published one.
        StorageError: The folder cannot be written.
    """
    published = _published(name)
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Two runs that start together must not write the same files.
        with FileLock(target / ".download.lock"):
            if hasattr(published, "tgz_md5"):
                archive = target / published.filename
                _file([published.url], archive, published.tgz_md5, progress)
                unpack(archive, name, target)
                archive.unlink()
                return
            (target / folder).mkdir(parents=True, exist_ok=True)
            for file, md5 in published.resources:
                _file([mirror + file for mirror in published.mirrors], target / folder / file, md5, progress)
    except OSError as error:
        reason = "The disk is full." if error.errno == errno.ENOSPC else str(error)
        raise StorageError(
            f"{target}: the download cannot be written", reason, "Free some space, or set data.folder to a local copy.",
            kind="disk-full" if error.errno == errno.ENOSPC else "",
        ) from None  # fmt: skip


def unpack(archive: Path, name: str, target: Path) -> None:
    """Unpacks a CIFAR archive whose checksum is the published one.

    Raises:
        DataError: The archive is not the published one.
    """
    from torchvision.datasets.utils import check_integrity

    if not check_integrity(str(archive), _published(name).tgz_md5):
        raise DataError(f"{archive}: the archive is damaged or is not the published one", "", _AGAIN)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as packed:
            packed.extractall(target, filter="data")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive}: the archive cannot be unpacked", str(error), _AGAIN) from None


def _file(addresses: list[str], path: Path, md5: str, progress: Progress | None) -> None:
    from torchvision.datasets.utils import check_integrity

    if check_integrity(str(path), md5):
        return
    part = path.with_name(path.name + ".part")
    reasons: list[str] = []
    for address in addresses:
        try:
            _stream(address, part, path.name, progress)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reasons.append(str(getattr(error, "reason", error)))
            continue
        if check_integrity(str(part), md5):
            part.replace(path)
            return
        part.unlink()
        reasons.append("the server's file is not the published one")
    part.unlink(missing_ok=True)
    raise Unreachable(f"{path.name} could not be fetched ({'; '.join(dict.fromkeys(reasons))}).")


def _stream(address: str, part: Path, label: str, progress: Progress | None) -> None:
    request = urllib.request.Request(address, headers={"User-Agent": "kdstudio"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer, part.open("wb") as out:
        total = int(answer.headers.get("Content-Length") or 0)
        done = 0
        while chunk := answer.read(_CHUNK):
            out.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(f"Downloading {label}", done, total)
