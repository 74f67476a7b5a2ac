"""Certificates for tests, made when they are needed: nothing that is checked in expires."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_KEYS = {
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "ecdsa256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ecdsa384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ecdsa521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
_DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "espgate"),
                      x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Certificate:
    """A certificate, its key, and those above it."""

    def __init__(self, name, kind="ecdsa256", issuer=None, authority=False):
        self.name = name
        self.key = _KEYS[kind]()
        self.issuer = issuer
        now = datetime.datetime.utcnow()
        signer = issuer or self
        builder = (x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(signer.name))
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - _DAY).not_valid_after(now + 2 * _DAY)
                   .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()),
                                  critical=False)
                   .add_extension(_usage(authority), critical=True))
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.IPSEC_IKE]), critical=False)
        self.certificate = builder.sign(signer.key, signer.hash())

    def hash(self):
        return None if isinstance(self.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()

    def issue(self, name, kind="ecdsa256", authority=False):
        return Certificate(name, kind, self, authority)

    def above(self):
        """Those between this one and the root, which every peer has."""
        chain = []
        issuer = self.issuer
        while issuer is not None and issuer.issuer is not None:
            chain.append(issuer)
            issuer = issuer.issuer
        return chain

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def revocation_list(self, *revoked):
        """A CRL in PEM of this CA's certificates."""
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(_name(self.name))
                   .last_update(now - _DAY).next_update(now + 2 * _DAY)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                                  critical=False)
                   .add_extension(x509.CRLNumber(1), critical=False))
        for certificate in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(certificate.certificate.serial_number)
                .revocation_date(now - _DAY).build())
        return builder.sign(self.key, self.hash()).public_bytes(serialization.Encoding.PEM)


def _usage(authority):
    return x509.KeyUsage(digital_signature=not authority, content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
                         encipher_only=False, decipher_only=False)
