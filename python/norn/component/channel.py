"""Messages between the parties of a task, through their own nodes; and the HTTP they and the metrics go by.

Only the standard library, so that a component needs nothing else.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
import time
from typing import Any, Dict, Mapping, Optional, Tuple
from urllib.parse import urlencode, urlsplit

from norn.component.errors import MessageError, TaskConfigurationError

FRAME_MAX = 4 << 20
"""Bytes that go in one request; longer messages are several frames."""
ANSWER_MAX = 64 << 20
POP_S = 20.0
SLACK_S = 30.0
TAG_MAX = 64
_TASK_NOT_FOUND = 2000
_LIMIT = 9005


class NodeHttp:
    """One connection to the node of the task, opened again when it broke."""

    def __init__(self, url: str, token: Optional[str]) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise TaskConfigurationError(f"'{url[:200]}' is not an http:// address of the node")
        self._host = parts.hostname
        self._port = parts.port or 80
        self.path = parts.path + ("?" + parts.query if parts.query else "")
        self._token = token
        self._connection: Optional[http.client.HTTPConnection] = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self, method: str, target: str, body: Optional[bytes], content_type: Optional[str], timeout_s: float
    ) -> Tuple[int, Mapping[str, str], bytes]:
        """Status, headers (names in lower case) and body. OSError or HTTPException when there is no answer.

        Repeated once when a connection that was open from before turns out closed, as the node never saw the request.
        """
        headers = {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if content_type:
            headers["Content-Type"] = content_type
        reused = self._connection is not None
        try:
            return self._once(method, target, body, headers, timeout_s)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if not reused:
                raise
            return self._once(method, target, body, headers, timeout_s)
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def _once(
        self, method: str, target: str, body: Optional[bytes], headers: Mapping[str, str], timeout_s: float
    ) -> Tuple[int, Mapping[str, str], bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port)
        self._connection.timeout = timeout_s
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_s)
        self._connection.request(method, target, body=body, headers=dict(headers))
        answer = self._connection.getresponse()
        data = answer.read(ANSWER_MAX + 1)
        if len(data) > ANSWER_MAX:
            self.close()
            raise http.client.HTTPException("the answer is too long")
        if answer.will_close:
            self.close()
        return answer.status, {k.lower(): v for k, v in answer.headers.items()}, data


class Channel:
    """What send() and receive() of a task go through."""

    def send(self, role: str, party_id: str, tag: str, data: bytes) -> None:
        raise NotImplementedError

    def receive(self, role: str, party_id: str, tag: str, max_bytes: int) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing more will be sent or received."""

    def __enter__(self) -> "Channel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def envelope(data: bytes) -> Tuple[int, str]:
    """Code and message of an answer; -1 when it is none of a node."""
    try:
        v = json.loads(data)
        return int(v.get("code", -1)), str(v.get("message", ""))
    except (ValueError, AttributeError, TypeError):
        return -1, ""


class NodeChannel(Channel):
    """Through the node that runs the task."""

    def __init__(self, url: str, execution_id: str, token: Optional[str], timeout_s: float) -> None:
        self._http = NodeHttp(url, token)
        self._execution_id = execution_id
        self._timeout_s = timeout_s
        self._next_out: Dict[Tuple[str, str], int] = {}
        self._next_in: Dict[Tuple[str, str], int] = {}

    def close(self) -> None:
        self._http.close()

    def send(self, role: str, party_id: str, tag: str, data: bytes) -> None:
        peer = (role, party_id)
        end = time.monotonic() + self._timeout_s
        at = 0
        while True:
            seq = self._next_out.get(peer, 0)
            piece = data[at : at + FRAME_MAX]
            at += len(piece)
            q = {
                "execution_id": self._execution_id,
                "to_role": role,
                "to_party": party_id,
                "tag": tag,
                "seq": seq,
                "more": int(at < len(data)),
            }
            self._push("/v2/worker/channel/push?" + urlencode(q), piece, end, f"message '{tag}' to {role} {party_id}")
            self._next_out[peer] = seq + 1
            if at >= len(data):
                return

    def _push(self, target: str, piece: bytes, end: float, what: str) -> None:
        pause = 0.02
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise MessageError(f"{what}: the peer did not take it in time")
            status, _, answer = self._request("POST", target, piece, "application/octet-stream", left + SLACK_S, what)
            code, message = envelope(answer) if answer else (0, "")
            if status // 100 == 2 and code == 0:
                return
            if code not in (_LIMIT, _TASK_NOT_FOUND):
                raise MessageError(f"{what}: {message or f'the node answered with status {status}'}")
            time.sleep(min(pause, max(0.0, left)))  # the peer is not there yet, or its mailbox is full: both pass
            pause = min(1.0, pause * 2)

    def _request(
        self, method: str, target: str, body: Optional[bytes], kind: Optional[str], timeout_s: float, what: str
    ) -> Tuple[int, Mapping[str, str], bytes]:
        try:
            return self._http.request(method, target, body, kind, timeout_s)
        except (OSError, http.client.HTTPException) as e:
            raise MessageError(f"{what}: the node does not answer: {e or type(e).__name__}") from e

    def receive(self, role: str, party_id: str, tag: str, max_bytes: int) -> bytes:
        peer = (role, party_id)
        what = f"message '{tag}' from {role} {party_id}"
        end = time.monotonic() + self._timeout_s
        parts = []
        size = 0
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise MessageError(f"{what}: nothing came in {self._timeout_s:g} s")
            seq = self._next_in.get(peer, 0)
            wait = min(POP_S, left)
            q = {
                "execution_id": self._execution_id,
                "from_role": role,
                "from_party": party_id,
                "seq": seq,
                "timeout_ms": int(wait * 1000),
            }
            status, headers, data = self._request(
                "GET", "/v2/worker/channel/pop?" + urlencode(q), None, None, wait + SLACK_S, what
            )
            if status == 204:
                continue
            came = headers.get("x-norn-tag")
            if status != 200 or came is None:
                raise MessageError(f"{what}: {envelope(data)[1] or f'the node answered with status {status}'}")
            if came != tag:
                raise MessageError(f"{what}: the peer sent {came[:TAG_MAX]!r} instead")
            if headers.get("x-norn-seq", str(seq)) != str(seq):
                raise MessageError(f"{what}: the node gave frame {headers.get('x-norn-seq')!r:.30} instead of {seq}")
            size += len(data)
            if size > max_bytes:
                raise MessageError(f"{what} is longer than {max_bytes} bytes")
            parts.append(data)
            self._next_in[peer] = seq + 1
            if headers.get("x-norn-more") != "1":
                return b"".join(parts)
            end = time.monotonic() + self._timeout_s


class MemoryHub:
    """Mailboxes of parties that run in threads of one process, for tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boxes: Dict[Any, "queue.Queue[Optional[Tuple[str, bytes]]]"] = {}
        self._ended: Dict[Tuple[str, str], bool] = {}

    def box(self, source: Tuple[str, str], target: Tuple[str, str]) -> "queue.Queue[Optional[Tuple[str, bytes]]]":
        with self._lock:
            if (source, target) not in self._boxes:
                self._boxes[(source, target)] = queue.Queue()
                if self._ended.get(source):
                    self._boxes[(source, target)].put(None)
            return self._boxes[(source, target)]

    def end(self, party: Tuple[str, str]) -> None:
        """The party sends nothing more: whoever waits for it learns so."""
        with self._lock:
            self._ended[party] = True
            for (source, _), box in self._boxes.items():
                if source == party:
                    box.put(None)


class MemoryChannel(Channel):
    """One party's end of a MemoryHub."""

    def __init__(self, hub: MemoryHub, role: str, party_id: str, timeout_s: float) -> None:
        self._hub = hub
        self._me = (role, party_id)
        self._timeout_s = timeout_s

    def send(self, role: str, party_id: str, tag: str, data: bytes) -> None:
        self._hub.box(self._me, (role, party_id)).put((tag, bytes(data)))

    def receive(self, role: str, party_id: str, tag: str, max_bytes: int) -> bytes:
        what = f"message '{tag}' from {role} {party_id}"
        box = self._hub.box((role, party_id), self._me)
        try:
            got = box.get(timeout=self._timeout_s)
        except queue.Empty:
            raise MessageError(f"{what}: nothing came in {self._timeout_s:g} s") from None
        if got is None:
            box.put(None)
            raise MessageError(f"{what}: the peer has ended without sending it")
        if got[0] != tag:
            raise MessageError(f"{what}: the peer sent {got[0]!r} instead")
        if len(got[1]) > max_bytes:
            raise MessageError(f"{what} is longer than {max_bytes} bytes")
        return got[1]

    def close(self) -> None:
        self._hub.end(self._me)
