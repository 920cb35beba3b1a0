"""pki.py - certificates for tests, made with openssl(1) when they are needed.

    pki = Pki(tmp_path)
    pki.server, pki.client     Pair of files, signed by pki.ca
    pki.other                  another authority, with a client of its own: other.client
"""
import subprocess
from collections import namedtuple

Pair = namedtuple("Pair", "cert key")


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, timeout=60)


class Authority:
    def __init__(self, folder, name):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.ca = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
            "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.ca,
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip

    def issue(self, name, usage, names="DNS:localhost,IP:127.0.0.1"):
        """A certificate for `serverAuth` or `clientAuth`."""
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        request = self.folder / f"{name}.csr"
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n")
        openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request,
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial",
            "-days", 1, "-extfile", extensions, "-out", pair.cert,
        )  # fmt: skip
        return pair


class Pki:
    def __init__(self, folder):
        ours = Authority(folder / "pki", "ours")
        self.authority = ours
        self.ca = ours.ca
        self.server = ours.issue("server", "serverAuth")
        self.client = ours.issue("client", "clientAuth")
        self.other = Authority(folder / "other-pki", "other")
        self.other.client = self.other.issue("stranger", "clientAuth")
