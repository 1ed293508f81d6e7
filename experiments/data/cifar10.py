"""CIFAR-10 (Krizhevsky, 2009) from its official binary files.

Each file is 10,000 records of 3,073 bytes: a label, then 1,024 red, 1,024 green and 1,024 blue pixels in row order.
A file's content is used only if both its hashes are those of the published file.
"""

import hashlib
import os
import tempfile
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.data.cifar10_sources import ARCHIVE_URL, SOURCES, Source
from experiments.data.images import DataUnavailable, ImageData

FOLDER = "cifar-10-batches-bin"
RECORD = 1 + 3 * 32 * 32
TEST = "test_batch.bin"
MISSING = "missing"

SHA1 = {
    "data_batch_1.bin": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2.bin": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3.bin": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4.bin": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5.bin": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch.bin": "67eb016db431130d61cd03c7ad570b013799c88c",
}
SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}


@dataclass(frozen=True)
class BatchFile:
    """The name of one binary file and what identifies its content."""

    name: str
    records: int
    sha1: str
    sha256: str

    def fault(self, content: bytes) -> str | None:
        """What is wrong with the content, or None."""
        if len(content) != self.records * RECORD:
            return f"{len(content)} bytes, expected {self.records * RECORD}"
        for algorithm, expected in (("sha1", self.sha1), ("sha256", self.sha256)):
            found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
            if found != expected:
                return f"{algorithm} {found}, expected {expected}"
        return None


OFFICIAL = tuple(BatchFile(name, 10_000, SHA1[name], SHA256[name]) for name in SHA1)


def load(
    *,
    download: bool = True,
    root: Path | None = None,
    files: Sequence[BatchFile] = OFFICIAL,
    sources: Mapping[str, Source] = SOURCES,
) -> ImageData:
    """Loads CIFAR-10, after fetching what is missing or damaged.

    Args:
        download: Whether files may be fetched.
        root: The data folder, which holds (or will hold) the folder `cifar-10-batches-bin`, or the files themselves;
            without it, the folder named by the environment variable `KERNELDEP_DATA`, else the user's cache.
        files: What the data set is made of, in the order of its images.
        sources: Where to fetch from, tried in order until every file is there.

    Returns:
        50,000 training and 10,000 test images, in the order of the files.

    Raises:
        DataUnavailable: If a file is missing or damaged and cannot be fetched.
    """
    root = data_folder() if root is None else root
    folder = root if any((root / file.name).is_file() for file in files) else root / FOLDER
    contents, faults = _read(folder, files)
    reports: list[str] = []
    if faults and download:
        for file, fault in faults.items():
            if fault != MISSING:
                warnings.warn(f"Fetching the damaged {folder / file.name} again: {fault}", stacklevel=2)
        reports = _fetch(folder, faults, sources)
        fetched, faults = _read(folder, faults)
        contents |= fetched
    if faults:
        raise DataUnavailable(_advice(folder, faults, reports))
    train = _decode([contents[file.name] for file in files if file.name != TEST])
    return ImageData("cifar10", *train, *_decode([contents[TEST]]))


def data_folder() -> Path:
    """The folder named by the environment variable `KERNELDEP_DATA`, else the user's cache."""
    if named := os.environ.get("KERNELDEP_DATA"):
        return Path(named).expanduser()
    try:
        import pooch
    except ImportError:  # as on a machine that only trains: where pooch puts it on Linux
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kerneldep")
    return Path(pooch.os_cache("kerneldep"))


def _read(folder: Path, files: Iterable[BatchFile]) -> tuple[dict[str, bytes], dict[BatchFile, str]]:
    """The contents of the sound files by name, and what is wrong with each of the others."""
    contents: dict[str, bytes] = {}
    faults: dict[BatchFile, str] = {}
    for file in files:
        try:
            content = (folder / file.name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            faults[file] = MISSING
        except OSError as error:
            faults[file] = str(error)
        else:
            # What is hashed is what is used: the file is not opened a second time.
            fault = file.fault(content)
            if fault is None:
                contents[file.name] = content
            else:
                faults[file] = fault
    return contents, faults


def _fetch(folder: Path, files: Iterable[BatchFile], sources: Mapping[str, Source]) -> list[str]:
    """Puts the files into the folder as far as the sources have them; returns how each source fell short."""
    wanted = {file.name: file for file in files}
    reports: list[str] = []
    for title, source in sources.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Inside the folder, so that `os.replace` never crosses file systems: a file appears whole or not at all.
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
                for name, content in source(tuple(wanted), Path(scratch)):
                    if (fault := wanted[name].fault(content)) is not None:
                        reports.append(f"{title}: its {name} is not the published file: {fault}")
                        continue
                    whole = Path(scratch, name)
                    whole.write_bytes(content)
                    os.replace(whole, folder / name)
                    del wanted[name]
        except Exception as error:  # whatever stops one source, the next may still work, and the report tells
            reports.append(f"{title}: {type(error).__name__}: {textwrap.shorten(str(error), 160)}")
        if not wanted:
            break
    return reports


def _advice(folder: Path, faults: Mapping[BatchFile, str], reports: Iterable[str]) -> str:
    """The text of the error: what is wrong, what was tried, what to do."""
    missing = [file.name for file, fault in faults.items() if fault == MISSING]
    return "\n".join(
        [
            f"CIFAR-10 is not available in {folder}:",
            *([f"- missing: {', '.join(missing)}"] if missing else []),
            *(f"- damaged: {file.name}: {fault}" for file, fault in faults.items() if fault != MISSING),
            *(f"- tried the {report}" for report in reports),
            f"Set KERNELDEP_DATA to a folder that contains {FOLDER}/data_batch_1.bin ... data_batch_5.bin and "
            f"{FOLDER}/{TEST}, or download {ARCHIVE_URL} and unpack it in {folder.parent}.",
        ]
    )


def _decode(contents: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Images [n, 32, 32, 3] and labels [n] of the records in the contents."""
    records = [np.frombuffer(content, np.uint8).reshape(-1, RECORD) for content in contents]
    channel_last = [batch[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1) for batch in records]
    # Into an array of its own: `concatenate` would otherwise keep the records' order of axes in memory.
    images = np.empty((sum(map(len, records)), 32, 32, 3), np.uint8)
    np.concatenate(channel_last, out=images)
    return images, np.concatenate([batch[:, 0] for batch in records]).astype(np.int32)
