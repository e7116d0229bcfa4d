"""Catalogues of any table: their columns, the store on disk, and VizieR's bands."""

import http.server
import io
import ssl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.errors import UnusableCatalogue
from toros.lvcgcn import catalogue_sources, column_store, galaxy_table, openngc, vizier
from toros.lvcgcn.catalogue import Catalogue, CatalogueInfo, Weight
from toros.lvcgcn.catalogue_admin import catalog_build, catalog_info, catalog_list
from toros.lvcgcn.galaxy_table import Columns

COLUMNS = Columns(name="Name", ra="RAJ2000", dec="DEJ2000", distance="dL", absolute_b_mag="BMAG")


@pytest.fixture
def settings(tmp_path: Path) -> LvcgcnSettings:
    return LvcgcnSettings(folder=tmp_path / "alerts", catalog_folder=tmp_path / "catalogues")


def table() -> Table:
    rng = np.random.default_rng(3)
    count = 200
    distance = MaskedColumn(rng.uniform(1, 300, count), mask=rng.uniform(size=count) < 0.1)
    return Table(
        {
            "Name": [f"Galaxy {number}" for number in range(count)],
            "RAJ2000": rng.uniform(0, 360, count),
            "DEJ2000": np.degrees(np.arcsin(rng.uniform(-1, 1, count))),
            "dL": distance,
            "BMAG": rng.uniform(-22, -16, count),
        }
    )


@pytest.mark.parametrize("suffix", [".fits", ".csv", ".ecsv", ".vot"])
def test_a_table_becomes_a_catalogue(tmp_path: Path, settings: LvcgcnSettings, suffix: str) -> None:
    path, made = tmp_path / f"galaxies{suffix}", table()
    how = {"format": "votable"} if suffix == ".vot" else {}
    made.write(path, **how)
    document = catalog_build("Mine", settings, table=path, columns=COLUMNS, title="Mine, all mine")
    known = int(np.count_nonzero(~made["dL"].mask))
    assert (document["name"], document["galaxies"], document["with_distance"]) == (
        *("mine", 200, known),
    )
    assert document["weights"] == ["none", "luminosity"]
    found = catalogue_sources.load("mine", settings.catalog_folder)
    assert np.all(np.diff(found.pixel) >= 0)
    row = next(row for row in range(200) if found.name_of(row) == "Galaxy 17")
    assert found.ra_deg[row] == pytest.approx(made["RAJ2000"][17])
    assert found.luminosity is not None
    assert found.luminosity[row] == pytest.approx(10 ** (-0.4 * (made["BMAG"][17] - 5.48)) / 1e10)
    assert [one["name"] for one in catalog_list(settings) if one["built"]] == ["mine"]
    assert catalog_info("mine", settings, verify=True)["damaged_columns"] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ra=A,dce=B", "did you mean 'dec'"),
        ("ra", "is no pair"),
        ("ra=RAJ2000,dec=Dec,distance=dL", "has no column 'Dec'"),
        ("ra=RAJ2000,dec=DEJ2000", "neither a distance nor a redshift"),
        ("ra=Name,dec=DEJ2000,distance=dL", "holds no numbers"),
    ],
)
def test_columns_that_cannot_be_used_are_named(
    tmp_path: Path, settings: LvcgcnSettings, text: str, says: str
) -> None:
    path = tmp_path / "galaxies.csv"
    table().write(path)
    with pytest.raises(UnusableCatalogue, match=says):
        catalog_build("mine", settings, table=path, columns=Columns.parse(text))


def test_files_that_are_no_tables_are_one_sentence(
    tmp_path: Path, settings: LvcgcnSettings
) -> None:
    for name, says in (("a.txt", "tables end in"), ("a.fits", "cannot be read")):
        (tmp_path / name).write_bytes(b"hello")
        with pytest.raises(UnusableCatalogue, match=says):
            catalog_build("mine", settings, table=tmp_path / name)
    with pytest.raises(UnusableCatalogue, match="cannot name a catalogue"):
        catalog_build("../mine", settings, table=tmp_path / "a.fits")


def small(info: CatalogueInfo, distances: list[float]) -> Catalogue:
    """Galaxies in a row at given distances."""
    places = np.arange(1.0, len(distances) + 1)
    columns = {"ra": places, "dec": places, "distance": np.array(distances)}
    return galaxy_table.from_columns(info, columns)


def test_a_new_build_is_swapped_in_and_readers_keep_what_they_have(tmp_path: Path) -> None:
    info = openngc.build().info
    first = small(info, [5.0, 6.0])
    second = small(info, [9.0])
    old_home = column_store.write(tmp_path, first)
    reader = column_store.read(tmp_path, info.name)
    new_home = column_store.write(tmp_path, second)
    assert reader is not None
    assert [*reader.distance_mpc] == [5.0, 6.0]
    assert not old_home.exists()
    fresh = column_store.read(tmp_path, info.name)
    assert fresh is not None
    assert [*fresh.distance_mpc] == [9.0]
    assert (tmp_path / info.name).resolve() == new_home
    assert {path.name for path in tmp_path.iterdir()} == {info.name, new_home.name}


def test_a_build_that_dies_leaves_the_one_before(tmp_path: Path) -> None:
    catalogue = openngc.build()
    column_store.write(tmp_path, catalogue)
    broken = small(catalogue.info, [3.0])
    object.__setattr__(broken, "distance_mpc", None)  # cannot be written
    with pytest.raises(AttributeError):
        column_store.write(tmp_path, broken)
    found = column_store.read(tmp_path, "openngc")
    assert found is not None
    assert len(found) == len(catalogue)
    assert not [*tmp_path.glob(".openngc*")]


def test_damage_is_found(tmp_path: Path) -> None:
    home = column_store.write(tmp_path, openngc.build())
    content = bytearray((home / "ra_deg").read_bytes())
    content[1000] ^= 1
    (home / "ra_deg").write_bytes(content)
    assert column_store.verify(tmp_path, "openngc") == ["ra_deg"]
    (home / "pixel").write_bytes(b"12345678")
    with pytest.raises(UnusableCatalogue, match="pixel has 8 bytes"):
        column_store.read(tmp_path, "openngc")
    (home / "manifest.json").write_text('{"layout": 1}')
    with pytest.raises(UnusableCatalogue, match="another layout"):
        column_store.read(tmp_path, "openngc")


def test_redshifts_become_distances_as_in_openngc() -> None:
    known = openngc.build()
    rows = np.flatnonzero(np.isfinite(known.distance_mpc))[:3]
    made = galaxy_table.from_columns(
        known.info,
        {"ra": known.ra_deg[rows], "dec": known.dec_deg[rows], "redshift": np.full(3, 0.01)},
    )
    assert np.all((made.distance_mpc > 38) & (made.distance_mpc < 48))
    assert np.all(made.distance_error_mpc > 4)
    assert made.weights() == [Weight.NONE]
    assert made.info.completeness == ()


# --- VizieR's stand-in -------------------------------------------------------------------------
# It speaks HTTPS and VOTable as far as astroquery's own client wants it. It proves the bands, the
# names and the going on of a fetch; it cannot prove that VizieR calls its columns as we think.

BANDS = 5


def vizier_edges() -> list[float]:
    """Where two bands meet, as they are asked for."""
    return [round(high, 8) for _, high in vizier.bands(BANDS)[:-1]]


STARS = Table(
    {
        "GLADE+": np.arange(1, 41),
        "PGC": MaskedColumn(np.arange(40) + 100, mask=np.arange(40) % 3 != 0),
        "GWGC": np.where(np.arange(40) % 5 == 0, [f"NGC {n + 1}" for n in range(40)], ""),
        "HyperLEDA": np.array([""] * 40),
        "2MASS": np.array([""] * 40),
        "RAJ2000": np.linspace(0, 359, 40),
        "DEJ2000": np.sort([-90.0, *vizier_edges(), *np.linspace(-89.5, 90.0, 35)]),
        "dL": np.linspace(10, 200, 40),
        "e_dL": np.full(40, 3.0),
        "BMAG": np.linspace(-22, -17, 40),
        "M*": np.linspace(0.1, 9, 40),
    }
)


def votable(rows: Table) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        # As VizieR's own: the column's name is GLADE+, its ID GLADE_.
        warnings.simplefilter("ignore")
        rows.write(out, format="votable", table_id="VII_291_gladep")
    return out.getvalue()


#: As VizieR answers, with status 200, when its database is away; and at the end of what it cut.
NO_CONNECTION = b"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" version="1.4">
<INFO ID="Error" name="Error" value="The database is not currently reachable."/>
<INFO name="Error" value=" "/><INFO name="QUERY_STATUS" value="ERROR">
 -- no connection
</INFO><RESOURCE></RESOURCE></VOTABLE>"""
OVERFLOW = b'<INFO name="QUERY_STATUS" value="OVERFLOW">truncated result (maxtup=9)</INFO>'


class StandIn(http.server.BaseHTTPRequestHandler):
    asked: list[dict[str, str]]
    broken: set[int]
    fault = "status"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = dict(line.split("=", 1) for line in body.splitlines())
        self.asked.append(query)
        if len(self.asked) in self.broken:
            self.fail()
            return
        low, high = (float(end) for end in query["DEJ2000"].split(".."))
        dec = STARS["DEJ2000"]
        rows = STARS[(dec >= low) & (dec <= high)]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(votable(rows))

    def fail(self) -> None:
        """Fail in one of the ways in which VizieR does."""
        how = self.fault
        if how == "status":
            self.send_error(500)
            return
        whole = votable(STARS)
        body = {
            "no connection": NO_CONNECTION,
            "page": b"<html>maintenance</html>",
            "overflow": whole.replace(b"</RESOURCE>", OVERFLOW + b"</RESOURCE>"),
            "cut": whole[: len(whole) // 2],
            "no rows": votable(STARS[:0]),
        }[how]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3650))
        .not_valid_after(now + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "certificate.pem", tmp_path / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@pytest.fixture
def stand_in(
    authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[StandIn]]:
    handler = type("StandInOfOneTest", (StandIn,), {"asked": [], "broken": set()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority[0]))
    known = vizier.KNOWN["glade+"]
    here = {"bands": BANDS, "server": f"localhost:{server.server_port}", "pause_s": 0.0}
    monkeypatch.setitem(vizier.KNOWN, "glade+", replace(known, **here))
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_fetch_that_broke_off_goes_on_where_it_stopped(
    tmp_path: Path, stand_in: type[StandIn]
) -> None:
    progress: list[int] = []
    stand_in.broken.update({3, 4, 5})  # each of the attempts at the third band
    with pytest.raises(UnusableCatalogue, match="the same command goes on"):
        vizier.fetch("glade+", tmp_path, lambda _, done, total: progress.append(done))
    assert progress == [0, 1, 2]
    asked = len(stand_in.asked)
    found = vizier.fetch("glade+", tmp_path, lambda *_: None)
    assert len(stand_in.asked) - asked == BANDS - 2
    assert len(found) == len(STARS)
    assert found.weights() == [Weight.NONE, Weight.LUMINOSITY, Weight.STELLAR_MASS]
    names = {found.name_of(row) for row in range(len(found))}
    assert {"NGC 1", "NGC 6", "PGC 103", "GLADE+ 2"} <= names
    query = stand_in.asked[0]
    assert query["-source"] == "VII/291/gladep"
    assert (query["Type"], query["f_dL"]) == ("G", ">0")
    assert query["-out.max"] == "unlimited"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("no connection", "The database is not currently reachable"),
        ("page", "is no VOTable but begins with"),
        ("overflow", r"truncated result \(maxtup=9\)"),
        ("cut", "is no whole VOTable"),
        ("no rows", "has no row"),
    ],
)
def test_an_answer_that_is_not_whole_is_no_band(
    tmp_path: Path, stand_in: type[StandIn], fault: str, says: str
) -> None:
    stand_in.fault = fault
    stand_in.broken.update({2, 3, 4})  # each of the attempts at the second band
    with pytest.raises(UnusableCatalogue, match=says):
        vizier.fetch("glade+", tmp_path, lambda *_: None)
    assert len([*(tmp_path / ".glade+-bands").glob("*.npz")]) == 1
    stand_in.broken.add(6)  # and one in passing
    assert len(vizier.fetch("glade+", tmp_path, lambda *_: None)) == len(STARS)


def test_bands_that_are_damaged_or_of_another_question_are_fetched_again(
    tmp_path: Path, stand_in: type[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    vizier.fetch("glade+", tmp_path, lambda *_: None)
    band = tmp_path / ".glade+-bands" / "0002.npz"
    band.write_bytes(band.read_bytes()[:100])
    with pytest.raises(UnusableCatalogue, match="the same command fetches it again"):
        vizier.fetch("glade+", tmp_path, lambda *_: None)
    assert len(vizier.fetch("glade+", tmp_path, lambda *_: None)) == len(STARS)
    assert len(stand_in.asked) == BANDS + 1
    monkeypatch.setitem(vizier.KNOWN, "glade+", replace(vizier.KNOWN["glade+"], bands=3))
    assert len(vizier.fetch("glade+", tmp_path, lambda *_: None)) == len(STARS)
    assert len(stand_in.asked) == BANDS + 1 + 3


def test_bands_cover_the_sky_once() -> None:
    bands = vizier.bands(180)
    assert (bands[0][0], bands[-1][1]) == (-90.0, 90.0)
    assert all(one[1] == after[0] for one, after in pairwise(bands))
    areas = [np.sin(np.radians(high)) - np.sin(np.radians(low)) for low, high in bands]
    np.testing.assert_allclose(areas, 2 / 180, rtol=1e-9)


def test_what_cannot_be_fetched_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnusableCatalogue, match="did you mean 'glade\\+'"):
        vizier.fetch("glade", tmp_path, lambda *_: None)
