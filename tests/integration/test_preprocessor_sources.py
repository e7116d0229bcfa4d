"""File batches from several folders, from archive files, and over a real HTTP server."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from tests.support.preprocessor_desk import Desk
from tests.support.web_folder import WebFolder, serve
from toros.common.work_order import OrderStatus

NIGHT = "20240309"  # of the toy camera's first frame, on Cordon Macon


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two biases and two lights, small: what is tested is how they come."""
    folder = tmp_path_factory.mktemp("frames") / "night"
    camera = Camera(folder, width=32, height=24)
    camera.bias(2)
    camera.folder = folder / "deep sky"
    camera.light("a")
    camera.light("b")
    return folder


@pytest.fixture
def web(tmp_path: Path, frames: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebFolder]:
    shutil.copytree(frames, tmp_path / "web" / "night")
    with serve(tmp_path / "web", monkeypatch) as served:
        yield served


class Remote(Desk):
    """A preprocessor that is allowed a folder and a server."""

    def __init__(
        self, folder: Path, sessions: sessionmaker[Session], url: str, **transfer: Any
    ) -> None:
        settings = {"retry_s": 0.01, "attempts": 3, **transfer}
        super().__init__(folder, sessions, url, transfer=settings)

    def hidden(self) -> list[Path]:
        """What is half-written, or waits to be."""
        return [
            path
            for path in self.raw.parent.rglob("*")
            if path.name.startswith(".") and not (path.is_dir() and not any(path.iterdir()))
        ]


@pytest.fixture
def desk(tmp_path: Path, sessions: sessionmaker[Session], web: WebFolder) -> Iterator[Remote]:
    made = Remote(tmp_path, sessions, web.url)
    yield made
    made.daemon.stop()


def same(folder: Path, frames: Path) -> None:
    """The frames came as they are, all of them and nothing else."""
    expected = {p.relative_to(frames): p.read_bytes() for p in frames.rglob("*.fits")}
    found = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert found == expected


def problems(result: dict[str, Any]) -> dict[str, int]:
    """What befell each unit of the transfer."""
    return {
        unit: problem["code"]
        for problem in result["problems"]
        if problem["step"] == "copy"
        for unit in problem["units"]
    }


# --- several folders -------------------------------------------------------------------------


def test_a_link_does_not_lead_out_of_the_allowed_folders(
    desk: Remote, frames: Path, tmp_path: Path
) -> None:
    """Who may put files into an allowed folder may not have others of the machine copied."""
    secret = tmp_path / "secret.key"
    secret.write_text("nobody's business")
    night = desk.elsewhere / "night"
    shutil.copytree(frames, night)
    (night / "out.fits").symlink_to(secret)
    (night / "in.fits").symlink_to(night / "deep sky" / "a.fits")
    shutil.copytree(frames, tmp_path / "private")
    (night / "private").symlink_to(tmp_path / "private")
    shutil.copytree(frames / "deep sky", desk.elsewhere / "disk")
    (night / "disk").symlink_to(desk.elsewhere / "disk")
    result = desk.done("calibrate_file_batch", url=str(night))
    assert problems(result) == {"out.fits": 109, "source": 109}
    assert any(str(night / "private") in row["message"] for row in result["problems"])
    brought = [path for path in desk.raw.rglob("*") if path.is_file()]
    assert not any(b"business" in path.read_bytes() for path in brought)
    assert "in.fits" in {path.name for path in brought}
    assert {path.parent.name for path in brought} == {"night", "deep sky", "disk"}


def test_several_folders_are_one_batch(desk: Remote, frames: Path) -> None:
    """One in the raw data, one elsewhere, one of the same name: masters of one serve the others."""
    camera = Camera(desk.raw / NIGHT, width=32, height=24)
    camera.bias(3)
    for number, place in enumerate((desk.elsewhere / "cam", desk.elsewhere / "other" / "cam")):
        camera.folder = place
        camera.light("a", OBJECT=f"field {number}")
    urls = [str(desk.raw / NIGHT), str(desk.elsewhere / "cam"), str(desk.elsewhere / "other/cam")]
    result = desk.done("calibrate_file_batch", url=urls)
    assert (result["name"], result["url"]) == (f"{NIGHT}+2", urls)
    ours = desk.raw / NIGHT / f"{NIGHT}+2"
    assert result["folder"] == [str(desk.raw / NIGHT), str(ours / "cam"), str(ours / "cam-2")]
    assert result["counts"]["copy"] == {"done": 2}
    products = desk.products / NIGHT / f"{NIGHT}+2"
    assert sorted(path.name for path in products.glob("calib_*")) == [
        "calib_cam-2_a.fits",
        "calib_cam_a.fits",
    ]
    for path in products.glob("calib_*"):
        assert fits.getheader(path)["BIASCOR"].startswith("master_bias_")
    again = desk.done("calibrate_file_batch", url=urls)
    assert again["file_batch"] == result["file_batch"]


def test_a_folder_of_several_that_vanished_is_said_and_the_others_go_on(desk: Remote) -> None:
    camera = Camera(desk.elsewhere, width=32, height=24)
    for name in ("one", "two"):
        camera.folder = desk.elsewhere / name
        camera.light(name)
    urls = [str(desk.elsewhere / name) for name in ("one", "two")]
    first = desk.done("calibrate_file_batch", url=urls, name="both")
    camera.folder = desk.elsewhere / "one"
    camera.light("late")
    (desk.elsewhere / "two").rename(desk.elsewhere / "away")
    second = desk.done("resume_file_batch", file_batch="both")
    assert problems(second) == {"source two": 101}
    assert second["exposures"] == {"calibrated": 3}
    (desk.elsewhere / "away").rename(desk.elsewhere / "two")
    third = desk.done("resume_file_batch", file_batch="both")
    assert problems(third) == {}
    assert len(third["products"]) == len(first["products"]) + 1


def test_a_file_whose_name_is_no_utf_8_costs_itself_alone(
    desk: Remote, frames: Path, tmp_path: Path
) -> None:
    source = desk.elsewhere / "run"
    shutil.copytree(frames, source)
    (source / "bias_0.fits").rename(source / os.fsdecode(b"bias_\xff.fits"))
    result = desk.done("calibrate_file_batch", url=str(source))
    assert problems(result) == {r"bias_\xff.fits": 110}
    assert result["exposures"] == {"failed": 1, "combined": 1, "calibrated": 2}
    in_place = desk.raw / "odd"
    shutil.copytree(source, in_place)
    result = desk.done("calibrate_file_batch", url=str(in_place))
    assert result["exposures"] == {"failed": 1, "combined": 1, "calibrated": 2}


# --- archive files ---------------------------------------------------------------------------


def packed(kind: str, frames: Path, target: Path) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
            for path in sorted(frames.rglob("*.fits")):
                made.write(path, path.relative_to(frames))
    else:
        mode: Any = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[kind]
        with tarfile.open(target, mode) as made_tar:
            made_tar.add(frames, ".")
    return target


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "kind",
    [
        "tar.gz",
        "zip",
        *(pytest.param(kind, marks=LONG) for kind in ("tar", "tar.bz2", "tar.xz")),
    ],
)
def test_an_archive_file_is_a_batch(desk: Remote, frames: Path, kind: str) -> None:
    archive = packed(kind, frames, desk.elsewhere / f"run.{kind}")
    result = desk.done("calibrate_file_batch", url=str(archive))
    assert (result["name"], result["counts"]["copy"]) == ("run", {"done": 4})
    same(desk.raw / NIGHT / "run", frames)
    assert desk.hidden() == []
    archive.unlink()  # what came of it is ours
    again = desk.done("restart_file_batch", file_batch="run")
    assert again["exposures"] == result["exposures"]
    assert problems(again) == {}


def add(tar: tarfile.TarFile, name: str, content: bytes = b"", **more: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for key, value in more.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(content))


def test_what_would_leave_its_folder_does_not(desk: Remote, frames: Path, tmp_path: Path) -> None:
    good = (frames / "bias_0.fits").read_bytes()
    secret = tmp_path / "secret.fits"
    secret.write_bytes(good)
    archive = desk.elsewhere / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        add(tar, "good.fits", good)
        add(tar, "../../escaped.fits", good)
        add(tar, "link.fits", type=tarfile.SYMTYPE, linkname=str(secret))
        add(tar, "hard.fits", type=tarfile.LNKTYPE, linkname="../../../../secret.fits")
        add(tar, "folder", type=tarfile.SYMTYPE, linkname="..")
        add(tar, "folder/through.fits", good)
        add(tar, "device.fits", type=tarfile.CHRTYPE)
        add(tar, "pipe.fits", type=tarfile.FIFOTYPE)
        add(tar, "/absolute.fits", good)
        add(tar, ".hidden.fits", good)
    result = desk.done("calibrate_file_batch", url=str(archive))
    ours = desk.raw / NIGHT / "evil"
    assert sorted(path.relative_to(ours).as_posix() for path in ours.rglob("*.fits")) == [
        "absolute.fits",
        "folder/through.fits",
        "good.fits",
    ]
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    assert not list(tmp_path.rglob("escaped.fits"))
    assert set(problems(result)) == {
        "escaped.fits",
        "link.fits",
        "hard.fits",
        "device.fits",
        "pipe.fits",
    }
    assert set(problems(result).values()) == {115}
    with zipfile.ZipFile(desk.elsewhere / "evil.zip", "w") as zipped:
        zipped.writestr("good.fits", good)
        zipped.writestr("../up.fits", good)
        link = zipfile.ZipInfo("link.fits")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, str(secret))
    result = desk.done("calibrate_file_batch", url=str(desk.elsewhere / "evil.zip"))
    assert problems(result) == {"up.fits": 115, "link.fits": 115}
    assert not list(tmp_path.rglob("up.fits"))


def test_an_archive_is_bounded_whatever_it_says(
    tmp_path: Path, sessions: sessionmaker[Session], web: WebFolder
) -> None:
    desk = Remote(tmp_path, sessions, web.url, max_gb=0.001, max_files=5)
    try:
        with zipfile.ZipFile(desk.elsewhere / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("a.fits", bytes(2_000_000))
        with tarfile.open(desk.elsewhere / "many.tar.gz", "w:gz") as tar:
            for number in range(6):
                add(tar, f"{number}.txt")
        for name, says in (("bomb.zip", "1000000 bytes"), ("many.tar.gz", "5 files")):
            reply = desk.order("calibrate_file_batch", url=str(desk.elsewhere / name))
            assert (reply.status, reply.code) == (OrderStatus.FAILED, 115)
            assert says in reply.message
        assert not list(desk.raw.rglob("*.fits"))
    finally:
        desk.daemon.stop()


@pytest.mark.parametrize("kind", [pytest.param("tar", marks=LONG), "tar.gz", "zip"])
def test_a_damaged_archive_gives_what_is_whole(desk: Remote, frames: Path, kind: str) -> None:
    archive = packed(kind, frames, desk.elsewhere / f"run.{kind}")
    content = bytearray(archive.read_bytes())
    if kind == "zip":
        content[len(content) // 3] ^= 0xFF  # inside a member
    else:
        del content[len(content) * 2 // 3 :]
    archive.write_bytes(content)
    result = desk.done("calibrate_file_batch", url=str(archive))
    assert problems(result)
    assert set(problems(result).values()) <= {110, 115}
    came = list((desk.raw / NIGHT / "run").rglob("*.fits"))
    assert 0 < len(came) < 4
    for path in came:
        assert path.read_bytes() == next(frames.rglob(path.name)).read_bytes()
    assert desk.hidden() == []
    shutil.copy(packed(kind, frames, desk.elsewhere / f"sound.{kind}"), archive)
    mended = desk.done("resume_file_batch", file_batch="run")
    assert problems(mended) == {}
    same(desk.raw / NIGHT / "run", frames)


def test_rubbish_is_no_archive(desk: Remote) -> None:
    for name, content in (("a.tar.gz", b"rubbish"), ("b.zip", b""), ("c.tar", bytes(10240))):
        (desk.elsewhere / name).write_bytes(content)
        reply = desk.order("calibrate_file_batch", url=str(desk.elsewhere / name))
        assert reply.status is OrderStatus.FAILED, name
        assert reply.code in (101, 115), reply


# --- checksums -------------------------------------------------------------------------------


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_wrong_checksum_costs_its_frame_alone(desk: Remote, frames: Path) -> None:
    source = desk.elsewhere / "run"
    shutil.copytree(frames, source)
    (source / "deep sky" / "a.fits.sha256").write_text("0" * 64)
    sums = [f"{digest_of(source / f'bias_{n}.fits')}  bias_{n}.fits" for n in (0, 1)]
    (source / "SHA256SUMS").write_text("\n".join(sums) + f"\n{'1' * 64} *deep sky/b.fits\n")
    result = desk.done("calibrate_file_batch", url=str(source))
    assert problems(result) == {"deep sky/a.fits": 114, "deep sky/b.fits": 114}
    assert result["exposures"] == {"combined": 2, "failed": 2}
    with tarfile.open(desk.elsewhere / "packed.tar", "w") as tar:
        tar.add(source, ".")
    inside = desk.done("calibrate_file_batch", url=str(desk.elsewhere / "packed.tar"))
    assert problems(inside) == problems(result)
    (source / "deep sky" / "a.fits.sha256").unlink()
    (source / "SHA256SUMS").unlink()
    mended = desk.done("resume_file_batch", file_batch="run")
    assert problems(mended) == {}
    assert mended["exposures"] == {"combined": 2, "calibrated": 2}


@pytest.mark.parametrize("where", ["beside", "in the order"])
def test_an_archive_is_what_its_checksum_says_or_is_not_unpacked(
    desk: Remote, frames: Path, web: WebFolder, where: str
) -> None:
    archive = packed("tar.gz", frames, web.folder / "run.tar.gz")
    local = shutil.copy(archive, desk.elsewhere / "local.tar.gz")
    for url, path in ((f"{web.url}/run.tar.gz", archive), (str(local), Path(local))):
        beside = path.with_name(f"{path.name}.sha256")
        for digest, good in (("0" * 64, False), (digest_of(path), True)):
            if where == "beside":
                beside.write_text(f"{digest}  {path.name}\n")
                reply = desk.order("calibrate_file_batch", url=url)
            else:
                reply = desk.order("calibrate_file_batch", url=f"{url}#sha256={digest}")
            assert (reply.code == 0) is good, reply
            if not good:
                assert reply.code == 114
                assert desk.hidden() == []


# --- the web ---------------------------------------------------------------------------------


def test_a_folder_on_the_web_is_a_batch(desk: Remote, web: WebFolder, frames: Path) -> None:
    web.break_after = {"/night/deep sky/a.fits": [3000, 1500]}
    result = desk.done("calibrate_file_batch", url=f"{web.url}/night/")
    assert (result["name"], problems(result)) == ("night", {})
    same(desk.raw / NIGHT / "night", frames)
    asked = [wanted for path, wanted in web.asked if path.endswith("/a.fits")]
    assert asked == [None, "bytes=3000-", "bytes=4500-"]
    assert desk.hidden() == []
    # Again: what is here is not fetched again, what is new is.
    web.asked.clear()
    Camera(web.folder / "night", width=32, height=24).light("late")
    again = desk.done("calibrate_file_batch", url=f"{web.url}/night/")
    assert [path for path, _ in web.asked if path.endswith(".fits")] == ["/night/late.fits"]
    assert again["exposures"]["calibrated"] == 3


def test_frames_that_do_not_come_are_recorded_and_the_rest_goes_on(
    desk: Remote, web: WebFolder
) -> None:
    digest = digest_of(web.folder / "night" / "bias_1.fits")
    (web.folder / "night" / "SHA256SUMS").write_text(
        f"{digest}  bias_0.fits\n{digest}  bias_1.fits\n"
    )
    web.gone = {"/night/deep sky/a.fits"}
    web.break_after = {"/night/deep sky/b.fits": [3000, 0, 0]}
    Camera(web.folder / "night", width=32, height=24).light("sound")
    result = desk.done("calibrate_file_batch", url=f"{web.url}/night/")
    assert problems(result) == {
        "bias_0.fits": 114,
        "deep sky/a.fits": 112,
        "deep sky/b.fits": 113,
    }
    assert result["exposures"] == {"failed": 3, "combined": 1, "calibrated": 1}
    assert desk.hidden() == []
    web.gone = set()
    (web.folder / "night" / "SHA256SUMS").unlink()
    mended = desk.done("resume_file_batch", file_batch=result["file_batch"])
    assert problems(mended) == {}
    assert mended["exposures"] == {"combined": 2, "calibrated": 3}


def test_an_archive_on_the_web_goes_on_where_it_broke_off(
    desk: Remote, web: WebFolder, frames: Path
) -> None:
    archive = packed("tar.gz", frames, web.folder / "run.tar.gz")
    half = archive.stat().st_size // 2
    web.break_after = {"/run.tar.gz": [half, 0, 0]}
    url = f"{web.url}/run.tar.gz"
    reply = desk.order("calibrate_file_batch", url=url)
    assert (reply.status, reply.code) == (OrderStatus.FAILED, 113)
    assert not list(desk.raw.rglob("*.fits"))
    web.asked.clear()
    result = desk.done("resume_file_batch", file_batch="run")
    assert [wanted for path, wanted in web.asked if path == "/run.tar.gz"] == [f"bytes={half}-"]
    same(desk.raw / NIGHT / "run", frames)
    assert result["problems"] == [] or problems(result) == {}
    assert desk.hidden() == []


def test_a_list_of_addresses_is_a_batch(desk: Remote, web: WebFolder, frames: Path) -> None:
    lines = [
        "# of two folders",
        f"{digest_of(frames / 'bias_0.fits')}  night/bias_0.fits",
        f"{web.url}/night/deep%20sky/a.fits",
        f"{'0' * 64}  night/bias_1.fits",
        "http://example.org/elsewhere.fits",
        "notes.txt",
    ]
    (web.folder / "list").write_text("\n".join(lines))
    web.types["/list"] = "text/plain"
    result = desk.done("calibrate_file_batch", url=f"{web.url}/list", name="listed")
    assert problems(result) == {"night/bias_1.fits": 114, "example.org/elsewhere.fits": 109}
    ours = desk.raw / NIGHT / "listed"
    assert (ours / "night/bias_0.fits").is_file()
    assert (ours / "night/deep sky/a.fits").is_file()
    (desk.elsewhere / "list.txt").write_text(f"{web.url}/night/deep%20sky/b.fits\n/etc/x.fits\n")
    local = desk.done("calibrate_file_batch", url=str(desk.elsewhere / "list.txt"))
    assert local["exposures"] == {"calibrated": 1, "failed": 1}


Sabotage = Callable[[WebFolder], None]


@pytest.mark.parametrize(
    ("path", "code", "sabotage"),
    [
        ("/nowhere/", 112, lambda web: None),
        ("/moved/", 109, lambda web: web.redirect.update({"/moved/": "http://example.org/"})),
        ("/tofile", 109, lambda web: web.redirect.update({"/tofile": "file:///etc/"})),
        ("/empty/", 101, lambda web: (web.folder / "empty").mkdir()),
        ("/../etc/", 109, lambda web: None),
    ],
)
def test_an_address_that_cannot_be_a_batch(
    desk: Remote, web: WebFolder, path: str, code: int, sabotage: Sabotage
) -> None:
    sabotage(web)
    reply = desk.order("calibrate_file_batch", url=f"{web.url}{path}")
    assert (reply.status, reply.code) == (OrderStatus.FAILED, code), reply
    assert not list(desk.raw.rglob("*.fits"))


def test_a_server_that_is_gone_does_not_stop_a_restart(desk: Remote, web: WebFolder) -> None:
    first = desk.done("calibrate_file_batch", url=f"{web.url}/night/")
    web.gone = {"/night/"}
    again = desk.done("restart_file_batch", file_batch=first["file_batch"])
    assert (again["exposures"], problems(again)) == (first["exposures"], {})
    resumed = desk.done("resume_file_batch", file_batch=first["file_batch"])
    assert problems(resumed) == {"source": 112}
    assert resumed["exposures"] == first["exposures"]


def test_a_link_that_leads_to_no_frame_is_a_problem(desk: Remote, frames: Path) -> None:
    night = desk.elsewhere / "night"
    shutil.copytree(frames, night)
    (night / "gone.fits").symlink_to("moved.fits")
    (night / "circle.fits").symlink_to("circle.fits")
    result = desk.done("calibrate_file_batch", url=str(night))
    assert problems(result) == {"gone.fits": 112, "circle.fits": 100}
    assert result["exposures"] == {"calibrated": 2, "combined": 2, "failed": 2}


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read(desk: Remote) -> None:
    (desk.elsewhere / "closed").mkdir(mode=0o000)
    reply = desk.order("calibrate_file_batch", url=str(desk.elsewhere / "closed"))
    assert reply.status is OrderStatus.FAILED


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_subfolder_that_may_not_be_read_is_a_problem(desk: Remote, frames: Path) -> None:
    shutil.copytree(frames, desk.elsewhere / "night")
    (desk.elsewhere / "night" / "closed").mkdir(mode=0o000)
    result = desk.done("calibrate_file_batch", url=str(desk.elsewhere / "night"))
    assert problems(result) == {"source": 102}
    assert result["exposures"] == {"calibrated": 2, "combined": 2}
