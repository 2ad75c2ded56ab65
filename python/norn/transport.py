"""One HTTP exchange with a node: signature, time limits, retries, envelopes, files in pieces."""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import string
import tempfile
import time
from contextlib import contextmanager
from typing import IO, Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union
from urllib.parse import urlsplit

import requests

from norn import __version__
from norn.errors import (
    ApiError,
    ConfigurationError,
    ConnectionFailed,
    ConnectionTimedOut,
    ProtocolError,
    ServerUnavailable,
    from_envelope,
)

JsonObject = Dict[str, Any]
TransferCallback = Callable[[int, Optional[int]], None]
"""Called with the bytes moved so far and, where known, the bytes there are."""

ANSWER_MAX = 256 << 20
"""Bytes of a JSON answer that are taken; files have no limit."""
PIECE = 64 << 10
RETRY_STATUSES = (502, 503, 504)
_PAUSE_FIRST_S = 0.1
_PAUSE_MAX_S = 3.0
_NONCE = string.ascii_letters + string.digits

Scalar = Union[str, int, float, bool]
Value = Union[Scalar, Sequence[str], None]


def signature(app_id: str, app_token: str, user: str, nonce: str, timestamp_ms: str) -> str:
    """FATE's signature of a request: it covers the caller and the time, neither path nor body."""
    key = hashlib.md5((app_id + user + nonce + timestamp_ms).encode(), usedforsecurity=False).hexdigest()
    return hashlib.md5((key + app_token).encode(), usedforsecurity=False).hexdigest()


def check_url(url: str) -> str:
    """The node's address without a slash at its end."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"'{url}' is not the address of a node, like http://127.0.0.1:9380")
    if parts.query or parts.fragment:
        raise ConfigurationError(f"'{url}': the address of a node has no query and no fragment")
    return url.rstrip("/")


def query_values(values: Mapping[str, Value]) -> List[Tuple[str, str]]:
    """Pairs for a query string: None is left out, booleans as FATE's clients send them, lists repeated."""
    pairs: List[Tuple[str, str]] = []
    for key, value in values.items():
        if value is None:
            continue
        if isinstance(value, (str, int, float)):
            pairs.append((key, str(value)))
        else:
            pairs.extend((key, str(v)) for v in value)
    return pairs


def without_none(values: Mapping[str, Any]) -> JsonObject:
    return {k: v for k, v in values.items() if v is not None}


class FormBody:
    """A multipart form with one file, read piece by piece; requests sends it with its length."""

    def __init__(
        self,
        fields: Mapping[str, str],
        file_name: str,
        file: IO[bytes],
        progress: Optional[TransferCallback] = None,
    ) -> None:
        self.boundary = "norn-" + secrets.token_hex(16)
        head = b"".join(self._field(k, v) for k, v in fields.items())
        quoted = "".join(c for c in os.path.basename(file_name) if c.isprintable()).replace("\\", "_").replace('"', "_")
        head += (
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        self._head = head
        self._file = file
        self._start = file.tell()
        file.seek(0, os.SEEK_END)
        self.file_size = file.tell() - self._start
        file.seek(self._start)
        self._tail = f"\r\n--{self.boundary}--\r\n".encode()
        self._progress = progress
        self._at = 0

    def _field(self, name: str, value: str) -> bytes:
        return (f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n').encode()

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    def __len__(self) -> int:
        return len(self._head) + self.file_size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self.read(PIECE)
            if not piece:
                return
            yield piece

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from where the last call ended; b"" at the end."""
        size = PIECE if size is None or size < 0 else min(size, PIECE)
        head, tail_at = len(self._head), len(self._head) + self.file_size
        if self._at < head:
            piece = self._head[self._at : self._at + size]
        elif self._at < tail_at:
            piece = self._file.read(min(size, tail_at - self._at))
            if not piece:
                raise OSError("the file became shorter while it was sent")
        else:
            piece = self._tail[self._at - tail_at : self._at - tail_at + size]
        self._at += len(piece)
        if self._progress is not None and piece:
            self._progress(max(0, min(self._at - head, self.file_size)), self.file_size)
        return piece


class Transport:
    """Requests to one node. Not to be shared by threads; make a client for each."""

    def __init__(
        self,
        url: str,
        *,
        app_id: Optional[str] = None,
        app_token: Optional[str] = None,
        user: str = "",
        ca: Optional[str] = None,
        connect_timeout: float = 5.0,
        timeout: float = 60.0,
        retries: int = 3,
    ) -> None:
        if (app_id is None) != (app_token is None):
            raise ConfigurationError("app_id and app_token belong together: give both or none")
        if connect_timeout <= 0 or timeout <= 0 or retries < 0:
            raise ConfigurationError("time limits must be above 0, retries not below 0")
        if ca is not None and not os.path.exists(ca):
            raise ConfigurationError(f"there is no file or directory {ca} with certificate authorities")
        for what, text in (("app_id", app_id), ("app_token", app_token), ("user", user)):
            if text is not None and not text.isprintable():
                raise ConfigurationError(f"{what} holds characters that cannot be sent")
        self.url = check_url(url)
        self.user = user
        self.retries = retries
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self._app_id = app_id
        self._app_token = app_token
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy or ~/.netrc must not come between
        if ca is not None:
            self._session.verify = ca
        self._session.headers["User-Agent"] = f"norn-python/{__version__}"

    def close(self) -> None:
        self._session.close()

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    # ---- one exchange

    def _signed(self) -> Dict[str, Union[str, bytes]]:
        user = self.user.encode()
        if self._app_id is None or self._app_token is None:
            return {"userName": user} if user else {}
        nonce = "".join(secrets.choice(_NONCE) for _ in range(4))
        now = str(int(time.time() * 1000))
        return {
            "appId": self._app_id,
            "userName": user,
            "Nonce": nonce,
            "Timestamp": now,
            "Signature": signature(self._app_id, self._app_token, self.user, nonce, now),
        }

    def _send(
        self,
        method: str,
        path: str,
        pairs: Sequence[Tuple[str, str]],
        body: Any,
        content_type: Optional[str],
        timeout: float,
    ) -> requests.Response:
        headers = self._signed()
        if content_type is not None:
            headers["Content-Type"] = content_type
        try:
            return self._session.request(
                method,
                self.url + path,
                params=list(pairs),
                data=body,
                headers=headers,
                timeout=(self.connect_timeout, timeout),
                stream=True,
                allow_redirects=False,
            )
        except requests.exceptions.Timeout as e:
            raise ConnectionTimedOut(f"{self.url} did not answer in time ({method} {path})") from e
        except requests.exceptions.SSLError as e:
            raise ConnectionFailed(f"no trusted connection to {self.url}: {e}") from e
        except (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError) as e:
            raise ConnectionFailed(f"no connection to {self.url} ({method} {path}): {_reason(e)}") from e
        except requests.exceptions.RequestException as e:
            raise ConnectionFailed(f"{method} {self.url}{path}: {e}") from e

    def _again(self, attempt: int) -> bool:
        """Waits before another attempt; False when there have been enough."""
        if attempt >= self.retries:
            return False
        pause = min(_PAUSE_MAX_S, _PAUSE_FIRST_S * (2**attempt))
        time.sleep(pause * (0.5 + random.random() / 2))
        return True

    def envelope(
        self,
        method: str,
        path: str,
        *,
        query: Optional[Mapping[str, Value]] = None,
        body: Optional[Mapping[str, Any]] = None,
        idempotent: Optional[bool] = None,
        timeout: Optional[float] = None,
        bare: bool = False,
    ) -> JsonObject:
        """The whole answer, whose code is 0; anything else is raised. bare: only an error has a code.

        Only what may be done twice is tried again: GET, and what the caller calls idempotent.
        """
        may_repeat = method == "GET" if idempotent is None else idempotent
        data = None if body is None else json.dumps(body).encode()
        pairs = query_values(query or {})
        attempt = 0
        while True:
            try:
                with self._send(
                    method, path, pairs, data, None if data is None else "application/json", timeout or self.timeout
                ) as r:
                    return self._envelope_of(r, method, path, bare)
            except (ConnectionFailed, ServerUnavailable):
                if not may_repeat or not self._again(attempt):
                    raise
            attempt += 1

    def _envelope_of(self, r: requests.Response, method: str, path: str, bare: bool = False) -> JsonObject:
        text = self._read(r, method, path)
        if r.status_code in RETRY_STATUSES:
            raise ConnectionFailed(f"{self.url} is not available: status {r.status_code}")
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        code = value.get("code") if isinstance(value, dict) else None
        if bare and r.status_code == 200 and isinstance(value, dict) and not isinstance(code, int):
            return value
        if not isinstance(value, dict) or not isinstance(code, int):
            shown = text[:120].decode(errors="replace")
            raise ProtocolError(
                f"{method} {self.url}{path}: status {r.status_code}, not an answer of a node: {shown!r}"
            )
        if code != 0:
            raise from_envelope(value)
        return value

    def _read(self, r: requests.Response, method: str, path: str) -> bytes:
        parts = []
        size = 0
        for piece in self._pieces(r, method, path):
            size += len(piece)
            if size > ANSWER_MAX:
                raise ProtocolError(f"{method} {self.url}{path}: the answer is larger than {ANSWER_MAX >> 20} MiB")
            parts.append(piece)
        return b"".join(parts)

    def _pieces(self, r: requests.Response, method: str, path: str) -> Iterator[bytes]:
        try:
            yield from r.iter_content(PIECE)
        except requests.exceptions.Timeout as e:
            raise ConnectionTimedOut(f"{self.url} stopped sending ({method} {path})") from e
        except requests.exceptions.RequestException as e:
            if "timed out" in str(e).lower():
                raise ConnectionTimedOut(f"{self.url} stopped sending ({method} {path})") from e
            raise ConnectionFailed(f"the connection to {self.url} broke ({method} {path}): {_reason(e)}") from e

    # ---- the usual calls

    def get(self, path: str, /, timeout: Optional[float] = None, **query: Value) -> Any:
        """The data of the answer, None when there is none."""
        return self.envelope("GET", path, query=query, timeout=timeout).get("data")

    def get_bare(self, path: str, /, **query: Value) -> JsonObject:
        """For the two routes whose answer stands in no envelope."""
        return self.envelope("GET", path, query=query, bare=True)

    def post(self, path: str, /, *, idempotent: bool = False, timeout: Optional[float] = None, **body: Any) -> Any:
        """The data of the answer; arguments that are None are not sent."""
        return self.envelope("POST", path, body=without_none(body), idempotent=idempotent, timeout=timeout).get("data")

    def text(self, path: str) -> Tuple[int, str]:
        """Status and text of a plain page (health, figures)."""
        attempt = 0
        while True:
            try:
                with self._send("GET", path, [], None, None, self.timeout) as r:
                    return r.status_code, self._read(r, "GET", path).decode(errors="replace")
            except ConnectionFailed:
                if not self._again(attempt):
                    raise
            attempt += 1

    def send_file(
        self,
        path: str,
        fields: Mapping[str, str],
        file_name: str,
        file: IO[bytes],
        progress: Optional[TransferCallback] = None,
    ) -> JsonObject:
        """Sends a form with a file, in pieces; the whole answer."""
        form = FormBody(fields, file_name, file, progress)
        with self._send("POST", path, [], form, form.content_type, self.timeout) as r:
            return self._envelope_of(r, "POST", path)

    @contextmanager
    def open_file(
        self,
        path: str,
        *,
        query: Optional[Mapping[str, Value]] = None,
        body: Optional[Mapping[str, Any]] = None,
        progress: Optional[TransferCallback] = None,
    ) -> Iterator["FileAnswer"]:
        """A file the node sends, to be read in pieces. An answer in JSON is an error and raised."""
        method = "GET" if body is None else "POST"
        data = None if body is None else json.dumps(without_none(body)).encode()
        attempt = 0
        while True:
            try:
                r = self._send(
                    method,
                    path,
                    query_values(query or {}),
                    data,
                    None if data is None else "application/json",
                    self.timeout,
                )
                break
            except ConnectionFailed:
                if method != "GET" or not self._again(attempt):
                    raise
            attempt += 1
        with r:
            kind = r.headers.get("Content-Type", "")
            if kind == "application/json" or r.status_code != 200:
                self._envelope_of(r, method, path)
                raise ProtocolError(f"{method} {self.url}{path}: the node answered without a file")
            yield FileAnswer(self._pieces(r, method, path), r.headers.get("Content-Length"), kind, progress)


def _reason(e: BaseException) -> str:
    """The innermost words of a chain of wrapped errors."""
    seen: BaseException = e
    while True:
        inner = seen.__cause__ or seen.__context__
        reason = getattr(seen.args[0], "reason", None) if seen.args else None
        if isinstance(reason, BaseException):
            inner = reason
        if inner is None or inner is seen:
            break
        seen = inner
    return str(seen) or type(seen).__name__


class FileAnswer:
    """A file on its way: readable once, in pieces."""

    def __init__(
        self,
        pieces: Iterator[bytes],
        length: Optional[str],
        content_type: str,
        progress: Optional[TransferCallback] = None,
    ) -> None:
        self._pieces = pieces
        self.size: Optional[int] = int(length) if length and length.isdigit() else None
        self.content_type = content_type
        self.received = 0
        self._progress = progress
        self._left = b""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            piece = self.read(PIECE)
            if not piece:
                return
            yield piece

    def read(self, size: int = -1) -> bytes:
        """Like a file's; without a size everything that is left."""
        parts = []
        have = 0
        while size < 0 or have < size:
            if not self._left:
                self._left = next(self._pieces, b"")
                if not self._left:
                    self._check_end()
                    break
                self.received += len(self._left)
                if self._progress is not None:
                    self._progress(self.received, self.size)
            take = self._left if size < 0 else self._left[: size - have]
            self._left = self._left[len(take) :]
            parts.append(take)
            have += len(take)
        return b"".join(parts)

    def _check_end(self) -> None:
        if self.size is not None and self.received < self.size:
            raise ConnectionFailed(f"the connection broke after {self.received} of {self.size} bytes")

    def save(self, path: str) -> int:
        """Writes the file, whole or not at all; how many bytes it has."""
        directory = os.path.dirname(os.path.abspath(path))
        fd, part = tempfile.mkstemp(prefix=".norn-", dir=directory)
        try:
            with os.fdopen(fd, "wb") as out:
                for piece in self:
                    out.write(piece)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(part, 0o666 & ~umask)
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
        return self.received


__all__ = [
    "ANSWER_MAX",
    "ApiError",
    "FileAnswer",
    "FormBody",
    "JsonObject",
    "Transport",
    "TransferCallback",
    "Value",
    "check_url",
    "query_values",
    "signature",
    "without_none",
]
