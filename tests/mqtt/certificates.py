"""Authorities of our own and what they certify, by the openssl program: brokers' and clients', valid and not."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.rig import need_program

_CONFIG = """\
[ca]
default_ca = ours
[ours]
database = {folder}/index
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
"""
EVER = ("20200101000000Z", "20480101000000Z")
PAST = ("20200101000000Z", "20210101000000Z")
FUTURE = ("20470101000000Z", "20480101000000Z")
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, each a PEM file."""

    file: Path
    key: Path


class Authority:
    """Certifies whoever asks; `file` is what makes it trusted."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._program = need_program("openssl", "openssl")
        self._folder = folder / name
        self._folder.mkdir()
        self.file, self._key = self._folder / "ca.pem", self._folder / "ca.key"
        self._config = self._folder / "ca.cnf"
        self._config.write_text(_CONFIG.format(folder=self._folder))
        (self._folder / "index").touch()
        subject = ("-subj", f"/CN={name}", "-days", "30", "-addext", "keyUsage=keyCertSign")
        self._run("req", "-x509", *_KEY, "-nodes", "-keyout", self._key, "-out", self.file, *subject)

    def certify(
        self, name: str, *, where: str = "IP:127.0.0.1", when: tuple[str, str] = EVER, lock: str = ""
    ) -> Certificate:
        """Return a new certificate for an address or DNS name (`where`), its key locked by a password if given."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        asked = self._folder / f"{name}.csr"
        locked = ("-passout", f"pass:{lock}") if lock else ("-nodes",)
        subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={where}")
        self._run("req", "-new", *_KEY, *locked, "-keyout", made.key, "-out", asked, *subject)
        signed = ("-cert", self.file, "-keyfile", self._key, "-startdate", when[0], "-enddate", when[1])
        self._run("ca", "-batch", "-notext", "-config", self._config, *signed, "-in", asked, "-out", made.file)
        return made

    def _run(self, *words: str | Path) -> None:
        done = subprocess.run([self._program, *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
