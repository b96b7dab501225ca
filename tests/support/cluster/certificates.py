"""The cluster's own certificate authority, what it signs, and kubeconfigs.

ECDSA on P-256: keys are made in a millisecond. Certificates are valid for a year from yesterday.
"""

import datetime
import ipaddress
import json
import pathlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

_CLUSTER = "cluster"
_DAY = datetime.timedelta(days=1)
_VALID = datetime.timedelta(days=365)


class Authority:
    """Signs; everything is written to *directory* as PEM, keys with mode 0600.

    NAME.crt and NAME.key for each name; the authority itself is `ca`.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("kubernetes", ())
        signed = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self._write("ca", self._key, signed)

    @property
    def certificate(self) -> pathlib.Path:
        """Of the authority."""
        return self._directory / "ca.crt"

    def server(
        self, name: str, common_name: str, alternatives: Sequence[str | ipaddress.IPv4Address]
    ) -> None:
        """A certificate for a server that is reached by *alternatives*."""
        names = [
            x509.DNSName(each) if isinstance(each, str) else x509.IPAddress(each)
            for each in alternatives
        ]
        self._issue(name, _name(common_name, ()), oid.ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, name: str, common_name: str, groups: Sequence[str] = ()) -> None:
        """A certificate that makes its owner the user *common_name* in *groups*."""
        self._issue(name, _name(common_name, groups), oid.ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def key_pair(self, name: str) -> None:
        """NAME.key and NAME.pub, without a certificate: for service account tokens."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._write_key(name, key)
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self._directory / f"{name}.pub").write_bytes(public)

    def _issue(
        self,
        name: str,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        alternatives: Sequence[x509.GeneralName],
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            self._builder(subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        self._write(name, key, builder.sign(self._key, hashes.SHA256()))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        yesterday = datetime.datetime.now(datetime.UTC) - _DAY
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(yesterday)
            .not_valid_after(yesterday + _VALID)
        )

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        self._write_key(name, key)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (self._directory / f"{name}.crt").write_bytes(pem)

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        path = self._directory / f"{name}.key"
        path.touch(mode=0o600)
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def write_kubeconfig(
    path: pathlib.Path, server: str, authority: pathlib.Path, user: dict[str, str]
) -> None:
    """A kubeconfig (JSON is YAML). user: keys of a kubeconfig's user, such as `tokenFile`."""
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": _CLUSTER,
                        "cluster": {"server": server, "certificate-authority": str(authority)},
                    }
                ],
                "users": [{"name": "user", "user": user}],
                "contexts": [{"name": _CLUSTER, "context": {"cluster": _CLUSTER, "user": "user"}}],
                "current-context": _CLUSTER,
            },
            indent=1,
        )
    )


def _name(common_name: str, groups: Sequence[str]) -> x509.Name:
    words = [x509.NameAttribute(oid.NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*words, x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name)])


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
