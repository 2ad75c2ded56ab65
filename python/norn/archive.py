"""The archives a node sends, read as they come: nothing is kept that is not asked for."""

from __future__ import annotations

import csv
import io
import os
import tarfile
from typing import IO, Any, Callable, Dict, Iterator, List, Optional, cast

from norn.errors import NotFound, ProtocolError
from norn.transport import FileAnswer

FIELD_MAX = 1 << 20
"""Characters of one cell, as the node has it."""


def _open(answer: FileAnswer) -> tarfile.TarFile:
    mode = "r|gz" if answer.content_type == "application/gzip" else "r|"
    return tarfile.open(fileobj=cast("IO[bytes]", answer), mode=cast(Any, mode))


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    try:
        yield from tar
    except tarfile.TarError as e:
        raise ProtocolError(f"the archive is damaged: {e}") from e


def extract(answer: FileAnswer, directory: str) -> List[str]:
    """Writes the files of an archive below a directory; their paths.

    Refuses whatever is no plain file or would be written elsewhere.
    """
    root = os.path.realpath(directory)
    written = []
    try:
        tar = _open(answer)
    except tarfile.TarError as e:
        raise ProtocolError(f"not an archive: {e}") from e
    with tar:
        for m in _members(tar):
            if m.isdir():
                continue
            path = os.path.realpath(os.path.join(root, m.name))
            if not m.isfile() or os.path.commonpath([root, path]) != root or path == root:
                raise ProtocolError(f"the archive holds {m.name!r}, which is no plain file below it")
            source = tar.extractfile(m)
            if source is None:
                raise ProtocolError(f"the archive holds {m.name!r} without content")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                _copy(source, out)
            written.append(path)
    return written


def _copy(source: IO[bytes], out: IO[bytes]) -> None:
    while True:
        try:
            piece = source.read(1 << 16)
        except (tarfile.TarError, EOFError) as e:
            raise ProtocolError(f"the archive is damaged: {e}") from e
        if not piece:
            return
        out.write(piece)


def rows(answer: FileAnswer, wanted: Callable[[str], bool], what: str) -> Iterator[Dict[str, str]]:
    """The rows of the first CSV file whose name is wanted, each a dict by the header."""
    try:
        with _open(answer) as tar:
            for m in _members(tar):
                if m.isfile() and m.name.endswith(".csv") and wanted(m.name):
                    yield from _csv(tar, m)
                    return
    except tarfile.TarError as e:
        raise ProtocolError(f"not an archive: {e}") from e
    raise NotFound(7001, f"{what} holds no table")


class _Forward(io.RawIOBase):
    """A member of an archive that is read once, from its start to its end; tarfile's own cannot be wrapped."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _csv(tar: tarfile.TarFile, m: tarfile.TarInfo) -> Iterator[Dict[str, str]]:
    source = tar.extractfile(m)
    if source is None:
        raise ProtocolError(f"the archive holds {m.name!r} without content")
    if csv.field_size_limit() < FIELD_MAX:
        csv.field_size_limit(FIELD_MAX)
    text = io.BufferedReader(_Forward(source), 1 << 16)
    reader = csv.reader(io.TextIOWrapper(text, encoding="utf-8", newline=""), strict=True)
    try:
        header: Optional[List[str]] = next(reader, None)
        if header is None:
            raise ProtocolError(f"{m.name} has no header line")
        for row in reader:
            if len(row) != len(header):
                raise ProtocolError(f"{m.name}: line {reader.line_num} has {len(row)} fields, the header {len(header)}")
            yield dict(zip(header, row))
    except (csv.Error, UnicodeDecodeError, tarfile.TarError, EOFError) as e:
        raise ProtocolError(f"{m.name}: {e}") from e
