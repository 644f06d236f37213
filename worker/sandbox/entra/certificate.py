"""
The certificates of the simulated Entra ID: azure-identity speaks TLS only.

A private authority is made at each start and signs one certificate for this machine's loopback
names. The authority's key is never written; what is written stays in one private folder.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SLACK: Final = timedelta(hours=1)
"""Clocks that disagree: in containers and virtual machines they do."""
_LIFETIME: Final = timedelta(days=30)
_ADDRESSES: Final = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's TLS settings, and the file that a client must trust (`SSL_CERT_FILE`)."""

    server: ssl.SSLContext
    ca_file: Path


def make_certificate(folder: Path) -> Certificate:
    """
    Make authority and certificate, and write what must be read from files into `folder`.

    The file to trust also holds the authorities that are trusted by default, so that other
    connections of the same process go on working.
    """
    ca_key, leaf_key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    ca = _authority(ca_key)
    leaf = _leaf(leaf_key, ca, ca_key)
    ca_file = folder / "authorities.pem"
    ca_file.write_bytes(_pem(ca) + _default_authorities())
    return Certificate(_server_context(folder / "server.pem", leaf, leaf_key), ca_file)


def _authority(key: EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("bulkrsvp sandbox authority")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        _builder(key, name, issuer=name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _leaf(
    key: EllipticCurvePrivateKey, ca: x509.Certificate, ca_key: EllipticCurvePrivateKey
) -> x509.Certificate:
    addresses = [x509.IPAddress(ip_address(text)) for text in _ADDRESSES]
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    builder = (
        _builder(key, _name("localhost"), issuer=ca.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(issuer, critical=False)
    )
    return builder.sign(ca_key, hashes.SHA256())


def _builder(
    key: EllipticCurvePrivateKey, subject: x509.Name, *, issuer: x509.Name
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _SLACK,
        not_valid_after=now + _LIFETIME,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _server_context(
    file: Path, leaf: x509.Certificate, key: EllipticCurvePrivateKey
) -> ssl.SSLContext:
    """Load the chain by way of a file: Python's ssl reads keys from nowhere else."""
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    file.touch(mode=0o600)
    try:
        file.write_bytes(_pem(leaf) + secret)
        context.load_cert_chain(file)
    finally:
        file.unlink()
    return context


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _default_authorities() -> bytes:
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else b""
