"""Bytes of objects and parts: one file each, named at random, never by a key.

A file appears under its name when it is whole. It is not flushed to the disk: as with the store, a
killed process loses nothing, a power loss may.
"""

import hashlib
import os
import pathlib
import secrets
from collections.abc import Sequence
from typing import BinaryIO

import fastcrc

CHUNK_BYTES = 256 * 1024
_TEMPORARY = ".new"


class Blobs:
    """The files below *directory*, which is made when it is needed."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory

    def new(self) -> "Writer":
        """A blob to be written."""
        self._directory.mkdir(parents=True, exist_ok=True)
        return Writer(self._directory, _name())

    def open(self, blob: str) -> BinaryIO:
        """The blob, for reading; it can still be read after it was removed."""
        return (self._directory / blob).open("rb")

    def link(self, blob: str) -> str:
        """Another name for the bytes of *blob*, which never change."""
        name = _name()
        os.link(self._directory / blob, self._directory / name)
        return name

    def copy(self, blob: str, start: int, length: int) -> "Writer":
        """A part of *blob* as a new one, not finished yet."""
        writer = self.new()
        with self.open(blob) as file:
            file.seek(start)
            left = length
            while left and (chunk := file.read(min(left, CHUNK_BYTES))):
                writer.write(chunk)
                left -= len(chunk)
        return writer

    def join(self, blobs: Sequence[str]) -> "Writer":
        """All of *blobs*, one after the other, as a new one, not finished yet."""
        writer = self.new()
        for blob in blobs:
            with self.open(blob) as file:
                while chunk := file.read(CHUNK_BYTES):
                    writer.write(chunk)
        return writer

    def remove(self, blob: str) -> None:
        """Remove the blob; absent is fine."""
        (self._directory / blob).unlink(missing_ok=True)

    def sweep(self, known: set[str], *, unfinished: bool) -> int:
        """Remove what *known* lacks; also what is being written, if *unfinished*. How many."""
        if not self._directory.is_dir():
            return 0
        gone = [
            path
            for path in self._directory.iterdir()
            if path.name not in known and (unfinished or path.suffix != _TEMPORARY)
        ]
        for path in gone:
            path.unlink()
        return len(gone)


class Writer:
    """One blob that is being written, with its digests."""

    def __init__(self, directory: pathlib.Path, blob: str) -> None:
        self.blob = blob
        self.size_bytes = 0
        self._path = directory / blob
        self._new = directory / f"{blob}{_TEMPORARY}"
        self._file = self._new.open("xb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._crc64 = 0

    def write(self, chunk: bytes) -> None:
        """Add *chunk*."""
        self._file.write(chunk)
        self._md5.update(chunk)
        self._sha256.update(chunk)
        self._crc64 = fastcrc.crc64.xz(chunk, self._crc64)
        self.size_bytes += len(chunk)

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def etag(self) -> str:
        """As OSS writes it: the MD5 in upper case."""
        return self._md5.hexdigest().upper()

    @property
    def crc64(self) -> str:
        """CRC-64 of ECMA-182 as decimal text, as x-oss-hash-crc64ecma tells it."""
        return str(self._crc64)

    def finish(self) -> None:
        """The blob is whole."""
        self._file.close()
        os.rename(self._new, self._path)  # noqa: PTH104 - the atomic step, by its own name

    def discard(self) -> None:
        """Leave nothing, also after `finish`."""
        self._file.close()
        self._new.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)


def of(state_dir: pathlib.Path) -> Blobs:
    """Those of a cloud."""
    return Blobs(state_dir / "oss")


def _name() -> str:
    return secrets.token_hex(16)
