"""The page of the night report: whatever headers and names of files hold, it is text there."""

from __future__ import annotations

import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from toros.imaging.thumbnail import thumbnail
from toros.preprocessor.night_report import render
from toros.preprocessor.page import Choice, FrameRow, MasterCard, Page, Trouble


class Reader(HTMLParser):
    """Collects the tags of a page with their attributes, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for _tag, attrs in self.tags if (value := attrs.get(attribute))]


def page_with(text: str) -> Page:
    """Return a page on which everything that can be a text is this one."""
    choice = Choice("flat", text, text, [text], [text])
    frame = FrameRow(
        name=text, kind=text, object=text, filter=text, exptime=30.0, taken=None, state=text,
        code=106, meaning=text, error=text, product=text, preview="./x.png", sky=2.0,
        sky_noise=0.1, unit="e⁻", fwhm=2.0, choices=[choice],
    )  # fmt: skip
    master = MasterCard(
        name=text, kind=text, what_for=text, refused=text, frames=3, taken=None,
        measured=[("Median", text)], notes=[text], picture=None,
    )  # fmt: skip
    return Page(
        batch=text, generation=1, source=text, products=text, began=None, ended=None, first=None,
        last=None, instruments=[text], troubles=[Trouble(text, 1, text, True, [(text, [text])])],
        tallies=[], made=[(text, 1)], bytes_in=0, bytes_out=0, masters=[master], frames=[frame],
        versions=[("toros", text)],
    )  # fmt: skip


HARMLESS = Reader(render(page_with("harmless")))


@settings(max_examples=60)
@given(st.text(min_size=1, max_size=40))
@pytest.mark.filterwarnings("error")
def test_no_text_becomes_markup(text: str) -> None:
    page = Reader(render(page_with(text)))
    # The same tags with the same attributes as of a harmless text, but for the text in `alt`.
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in HARMLESS.tags]
    assert page.values("href") == HARMLESS.values("href")
    assert page.values("src") == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "\"><img src=x onerror='alert(1)'>",
        "</title><h1>",
        "{{ 7 * 7 }} {% raw %}",
        "&lt;b&gt; & NGC 4993 ° ′",
    ],
)
def test_hostile_names_are_shown_as_they_are(text: str) -> None:
    raw = render(page_with(text))
    page = Reader(raw)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in HARMLESS.tags]
    assert page.text.count(text) == HARMLESS.text.count("harmless")


def test_what_no_page_may_hold_is_replaced() -> None:
    page = Reader(render(page_with("a\x00b\x1b[31mc\udcffd")))
    assert "a\ufffdb\ufffd[31mc\ufffdd" in page.text


def test_a_page_may_load_nothing() -> None:
    policies = [a["content"] for tag, a in HARMLESS.tags if a.get("http-equiv")]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in HARMLESS.tags}


@pytest.mark.parametrize("shape", [(48, 64), (1, 700), (700, 1), (1003, 517)])
def test_a_thumbnail_shows_the_image_the_right_way_up(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    pixels = np.full(shape, 100.0, np.float32)
    pixels[: max(shape[0] // 2, 1)] = 10.0  # the lower half is dark
    fits.PrimaryHDU(pixels).writeto(tmp_path / "a.fits")
    picture = np.asarray(Image.open(io.BytesIO(thumbnail(tmp_path / "a.fits", side=100))))
    height, width = picture.shape
    assert max(height, width) <= 100
    if min(shape) > 1:
        assert width / height == pytest.approx(shape[1] / shape[0], rel=0.05)
    if height > 1:
        assert picture[0].mean() > 250
        assert picture[-1].mean() < 5


def test_masked_pixels_are_black_and_do_not_set_the_scale(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(100, 5, (40, 40)).astype(np.float32)
    mask = np.zeros((40, 40), np.uint8)
    values[:20, :20], mask[:20, :20] = 1e6, 1
    hdus = [fits.PrimaryHDU(values), fits.ImageHDU(mask, name="MASK")]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    picture = np.asarray(Image.open(io.BytesIO(thumbnail(tmp_path / "a.fits"))))
    assert picture[22:, 2:18].mean() < 10
    assert 100 < picture[:18].mean() < 155
