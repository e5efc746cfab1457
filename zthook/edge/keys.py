"""The edge's own CA and certificate: made once, 0600, below the state folder.

The certificate names the edge's id, never an address (see ``zthook.wire.tls``). Hosts pin
the CA; the certificate below it is made anew when its end comes near.
"""

import datetime as dt
import os
import secrets
import shutil
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zthook.errors import NotEnrolled, Refused, StoreError
from zthook.wire.tls import fingerprint, server_name

_CA_DAYS = 365 * 30
_CERTIFICATE_DAYS = 365 * 10
_RENEW_DAYS = 365
_CLOCK_SKEW = dt.timedelta(days=2)
"""A host without a battery clock may start in the past."""


@dataclass(frozen=True, slots=True)
class EdgeKeys:
    """Who this edge is. ``ca_sha256`` is over the DER, hex; the files are PEM."""

    edge_id: str
    ca_pem: str
    ca_sha256: str
    certificate: Path
    key: Path

    @property
    def certificate_sha256(self) -> str:
        """Over the certificate's DER, hex: what a browser shows as its fingerprint."""
        return fingerprint(self.certificate.read_text())

    def server_context(self) -> ssl.SSLContext:
        """TLS 1.2 or newer under this certificate; clients show none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_keys(folder: Path, now: dt.datetime) -> EdgeKeys:
    """Make CA and certificate for a new edge in ``folder``, all of it or nothing.

    Raises Refused where the folder is there already: a new CA would lock every host out.
    """
    if folder.exists():
        raise Refused(f"{folder} holds this edge's keys already", hint="they are kept as they are")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half_made = Path(tempfile.mkdtemp(prefix=".keys-", dir=folder.parent))
    try:
        key, ca = _make_ca(secrets.token_hex(8), now)
        write_private(half_made / "ca.key", _pem_key(key))
        write_private(half_made / "ca.pem", ca.public_bytes(serialization.Encoding.PEM))
        _certify(half_made, key, ca, now)
        half_made.rename(folder)
    except BaseException:
        shutil.rmtree(half_made)
        raise
    return load_keys(folder, now)


def load_keys(folder: Path, now: dt.datetime) -> EdgeKeys:
    """Read them back; a certificate that ends within a year is made anew.

    Raises NotEnrolled where there are none, StoreError where they can not be read.
    """
    if not (folder / "ca.pem").exists():
        raise NotEnrolled(f"this machine is no edge: {folder} has no keys", hint="zthook edge init")
    try:
        ca_pem = (folder / "ca.pem").read_text()
        ca = x509.load_pem_x509_certificate(ca_pem.encode())
        _renew(folder, ca, now)
        edge_id = str(ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except (ValueError, IndexError) as error:
        raise StoreError(
            f"the keys in {folder} can not be read: {error}",
            hint="restore them from a backup; with new ones every host has to enrol again",
        ) from error
    return EdgeKeys(edge_id, ca_pem, fingerprint(ca_pem), folder / "edge.pem", folder / "edge.key")


def _renew(folder: Path, ca: x509.Certificate, now: dt.datetime) -> None:
    path = folder / "edge.pem"
    if path.exists():
        left = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc - now
        if left.days > _RENEW_DAYS:
            return
    key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("ca.key is no elliptic curve key")  # noqa: TRY004
    _certify(folder, key, ca, now)


def _make_ca(edge_id: str, now: dt.datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(edge_id)
    unsigned = (
        _builder(name, name, key.public_key(), now, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return key, unsigned.sign(key, hashes.SHA256())


def _certify(
    folder: Path, ca_key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, now: dt.datetime
) -> None:
    edge_id = str(ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    key = ec.generate_private_key(ec.SECP256R1())
    named = x509.SubjectAlternativeName([x509.DNSName(server_name(edge_id))])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    unsigned = (
        _builder(_name(server_name(edge_id)), ca.subject, key.public_key(), now, _CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer, critical=False)
        .add_extension(named, critical=False)
    )
    # The certificate last: a crash in between leaves one that does not fit its key, or none,
    # and none is made anew at the next start.
    (folder / "edge.pem").unlink(missing_ok=True)
    write_private(folder / "edge.key", _pem_key(key))
    certificate = unsigned.sign(ca_key, hashes.SHA256())
    write_private(folder / "edge.pem", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_private(path: Path, content: bytes) -> None:
    """Write all of it, readable by its owner alone from the first byte, durable."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
