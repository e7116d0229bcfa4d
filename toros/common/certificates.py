"""A private certificate authority for the nodes of one observatory, and their certificates."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from toros.common.atomic import atomic_path, write_bytes
from toros.common.errors import ConfigurationError

AUTHORITY_YEARS, NODE_YEARS = 20, 2
YEAR = timedelta(days=365.25)
# Clocks of nodes differ a little.
EARLY = timedelta(hours=1)

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Issued:
    """The files of a certificate, and those of the authority that it is of."""

    certificate: Path
    key: Path
    authority: Path


def issue(folder: Path, names: Sequence[str], now: datetime) -> Issued:
    """Make a certificate for a node, and the authority first if `folder` holds none.

    Parameters
    ----------
    folder : pathlib.Path
        Holds ``ca.pem`` and ``ca.key``; the certificate becomes ``NAME.pem`` and ``NAME.key``.
    names : sequence of str
        Host names and addresses of the node; the first names the files.
    now : datetime.datetime
        From when it is valid, for two years.

    Raises
    ------
    ConfigurationError
        When the authority's files cannot be read.
    """
    authority_path, authority_key_path = folder / "ca.pem", folder / "ca.key"
    if not authority_path.exists():
        _make_authority(authority_path, authority_key_path, now)
    try:
        authority = x509.load_pem_x509_certificate(authority_path.read_bytes())
        signer = serialization.load_pem_private_key(authority_key_path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The authority in {folder} cannot be read: {error}.") from error
    if not isinstance(signer, Key):
        raise ConfigurationError(f"{authority_key_path} is not a key that we made.")
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(names[0], authority.subject, key, now, NODE_YEARS)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
    ).add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    issued = Issued(folder / f"{names[0]}.pem", folder / f"{names[0]}.key", authority_path)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(identifier, critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    write_bytes(issued.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(issued.key, key)
    return issued


def _make_authority(path: Path, key_path: Path, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("TOROS private authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder("TOROS private authority", name, key, now, AUTHORITY_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(key_path, key)
    write_bytes(path, certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: str, issuer: x509.Name, key: Key, now: datetime, years: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + years * YEAR)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(path: Path, key: Key) -> None:
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with atomic_path(path, mode=0o600) as temporary:
        temporary.write_bytes(content)
