"""Archive files, lists and checksums from elsewhere, without a daemon."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.errors import UnusableArchive
from toros.preprocessor.archives import Bounds, unpack
from toros.preprocessor.checksums import Entry, read_sums, split_digest
from toros.preprocessor.listing import links_below, name_of, read_list
from toros.preprocessor.places import batch_name, labels, pack, unpack_texts

BOUNDS = Bounds(10**6, 100)
DIGEST = "ab" * 32


def tar_of(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{name}.fits")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def zip_of(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in members.items():
            made.writestr(f"{name}.fits", content)
    return out.getvalue()


@pytest.mark.parametrize("end", [1024, 1024 + 100, 1536])
def test_a_tar_file_without_its_end_is_not_taken_for_whole(tmp_path: Path, end: int) -> None:
    """`tarfile` itself takes a file that is cut between two members for a whole one."""
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar_of(one=bytes(512), two=bytes(512))[:end])
    found = unpack(archive, tmp_path / "out", BOUNDS).members
    assert found["one.fits"].error is None
    assert "a.tar" in found
    assert found["a.tar"].error is not None


def test_rubbish_between_members_is_no_end(tmp_path: Path) -> None:
    content = bytearray(tar_of(one=bytes(512), two=bytes(512)))
    content[1024:1536] = b"x" * 512
    (tmp_path / "a.tar").write_bytes(content)
    found = unpack(tmp_path / "a.tar", tmp_path / "out", BOUNDS).members
    assert {name for name, member in found.items() if member.error} == {"a.tar"}


@pytest.mark.parametrize("far", [2**20, 10])
def test_a_zip_file_that_points_before_its_beginning_is_damaged(far: int, tmp_path: Path) -> None:
    content = bytearray(zip_of(one=b"1" * 700, two=b"2" * 9))
    at = content.index(b"PK\x05\x06") + 16  # where it says how far in its list of members begins
    content[at : at + 4] = (content.index(b"PK\x01\x02") + far).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    found = unpack(tmp_path / "a.zip", tmp_path / "out", BOUNDS).members
    error = found["one.fits"].error
    assert error is not None
    assert "begins before the archive does" in error.message
    assert not (tmp_path / "out/one.fits").exists()


@settings(max_examples=150)
@given(
    st.sampled_from([tar_of(one=b"1" * 700, two=b"2" * 9), zip_of(one=b"1" * 700, two=b"2" * 9)]),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=8),
    st.integers(0, 4000),
)
def test_no_archive_writes_outside_or_fails_in_an_unknown_way(
    content: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    damaged = bytearray(content)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    with TemporaryDirectory() as folder:
        root = Path(folder)
        archive = root / "a.archive"
        archive.write_bytes(damaged[: max(length, 1)])
        try:
            found = unpack(archive, root / "in" / "out", BOUNDS)
        except UnusableArchive:
            found = None
        written = {path for path in root.rglob("*") if not path.is_dir()} - {archive}
        assert all(path.is_relative_to(root / "in" / "out") for path in written)
        if found is not None:
            whole = {root / "in/out" / n for n, m in found.members.items() if m.error is None}
            assert written == whole


def test_checksums_are_read_as_they_are_written() -> None:
    text = f"{DIGEST}  a.fits\n{DIGEST.upper()} *./b c.fits\nSHA256 (d.fits) = {DIGEST}\nno line\n"
    assert read_sums(text, PurePosixPath("deep/SHA256SUMS")) == {
        "deep/a.fits": DIGEST,
        "deep/b c.fits": DIGEST,
        "deep/d.fits": DIGEST,
    }
    assert read_sums(DIGEST, PurePosixPath("x.fits.sha256")) == {"x.fits": DIGEST}
    assert read_sums(DIGEST, PurePosixPath("SHA256SUMS")) == {}
    assert split_digest(f"/a#b.tar#sha256={DIGEST}") == Entry("/a#b.tar", DIGEST)
    assert split_digest("/a.tar#sha256=12") == Entry("/a.tar#sha256=12")
    assert read_list(f"# list\n\n{DIGEST}  a b.fits\nhttp://x/c.fits\n") == [
        Entry("a b.fits", DIGEST),
        Entry("http://x/c.fits"),
    ]


def test_links_are_followed_downwards_only() -> None:
    page = """<a href="?C=M">M</a> <a href="../">up</a> <a href="/other/a.fits">o</a>
    <a href="a.fits">a</a> <a href="deep/">d</a> <a href="http://evil.org/x.fits">x</a>
    <a href="/night/b%20c.fits">b</a> <a href="a.fits">twice</a> <a href="http://[">bad</a>"""
    assert list(links_below(page, "http://h/night/")) == [
        "http://h/night/a.fits",
        "http://h/night/deep/",
        "http://h/night/b%20c.fits",
    ]


@given(st.text(max_size=60))
def test_no_address_names_a_file_outside(path: str) -> None:
    for address in (f"http://h/night/{path}", f"http://g/{path}"):
        try:
            name = PurePosixPath(name_of(address, "http://h/night/"))
        except ValueError:
            continue  # no address
        assert not name.is_absolute()
        assert not any(part.startswith(".") or "\0" in part for part in name.parts)


def test_sources_are_called_by_what_sets_them_apart() -> None:
    sources = ["/data/n1", "https://h/n1.tar.gz", "/data/x/n1", f"/b.zip#sha256={DIGEST}"]
    assert labels(sources) == ["n1", "n1-2", "n1-3", "b"]
    assert labels(["/data/n1"]) == [""]
    assert batch_name(sources) == "n1+3"
    assert batch_name(["https://h/"]) == "h"
    for packed in (sources, ["/one"], ["/[one]"]):
        assert list(unpack_texts(pack(packed))) == packed
