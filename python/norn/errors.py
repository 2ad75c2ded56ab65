"""What can go wrong. Everything raised on purpose by this package is a NornError."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple, Type


class NornError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(NornError):
    """The client was set up with something that cannot work: a wrong URL, key store, option."""


class MissingPackage(NornError, ImportError):
    """An optional package (pandas, PyYAML) is needed for this call and is not installed."""


class ConnectionFailed(NornError):
    """The node could not be reached, or the connection broke. Whether a change was made is unknown."""


class ConnectionTimedOut(ConnectionFailed):
    """The node did not answer in time."""


class ProtocolError(NornError):
    """The answer is not one of Norn's: another service listens there, or a proxy answered."""


class ApiError(NornError):
    """The node answered, and refused.

    code: the stable number of the error (doc/api.md, FATE-Flow's codes below 9000).
    message: the node's words. hint: what to do about it, where the node says so.
    request_id: finds the request in the node's log. data: whatever else the answer held.
    """

    def __init__(
        self,
        code: int,
        message: str,
        request_id: Optional[str] = None,
        hint: Optional[str] = None,
        data: Any = None,
        job_id: Optional[str] = None,
    ) -> None:
        self.code = code
        self.message = message
        self.request_id = request_id
        self.hint = hint
        self.data = data
        self.job_id = job_id
        super().__init__(code, message)

    def __str__(self) -> str:
        text = f"{self.message} (code {self.code}"
        if self.request_id:
            text += f", request {self.request_id}"
        text += ")"
        fields = field_errors(self.data) if self.code == 5001 else ""
        if fields:
            text += f": {fields}"
        if self.hint:
            text += f"; {self.hint}"
        return text

    def __reduce__(self) -> Tuple[Any, ...]:
        return (
            type(self),
            (self.code, self.message, self.request_id, self.hint, self.data, self.job_id),
        )


class InvalidParameter(ApiError):
    """A parameter is missing or wrong."""


class NotFound(ApiError):
    """No such job, task, model, table, file, server or instance."""


class Conflict(ApiError):
    """The state does not allow it (any more), or it exists already."""


class Unauthorized(ApiError):
    """The signature is missing, wrong, expired, or was used before."""


class PermissionDenied(ApiError):
    """The app may not do this, or the function is switched off."""


class ServerUnavailable(ApiError):
    """The node has no database at the moment; nothing was done."""


_BY_CODE: Dict[int, Type[ApiError]] = {
    1000: InvalidParameter,
    1001: NotFound,
    1003: Conflict,
    2000: NotFound,
    2005: NotFound,
    5000: Unauthorized,
    5001: InvalidParameter,
    5002: Unauthorized,
    5003: Unauthorized,
    5004: Unauthorized,
    5005: PermissionDenied,
    5006: PermissionDenied,
    5007: NotFound,
    6001: PermissionDenied,
    6003: NotFound,
    6004: NotFound,
    7001: NotFound,
    7002: Conflict,
    8001: NotFound,
    9007: ServerUnavailable,
    9009: Conflict,
}


def field_errors(data: Any) -> str:
    """The texts of a refused parameter, {location: {field: [text]}}, on one line."""
    parts = []
    if isinstance(data, Mapping):
        for fields in data.values():
            if not isinstance(fields, Mapping):
                continue
            for name, texts in fields.items():
                words = texts if isinstance(texts, list) else [texts]
                parts.append(f"{name}: {' '.join(str(w) for w in words)}")
    return ", ".join(parts)


def from_envelope(envelope: Mapping[str, Any]) -> ApiError:
    """The error that an answer with a code other than 0 tells of."""
    code = envelope.get("code")
    number = code if isinstance(code, int) and not isinstance(code, bool) else -1

    def text(key: str) -> Optional[str]:
        v = envelope.get(key)
        return None if v is None else str(v)

    kind = _BY_CODE.get(number, ApiError)
    return kind(
        number,
        text("message") or text("retmsg") or "the node gave no reason",
        text("request_id"),
        text("hint"),
        envelope.get("data"),
        text("job_id"),
    )


class JobNotFinished(NornError):
    """wait() has run out of time; the job goes on."""

    def __init__(self, job_id: str, status: str) -> None:
        self.job_id = job_id
        self.status = status
        super().__init__(f"job {job_id} is still {status}")


class JobFailed(NornError):
    """The job has ended, not with success.

    status: failed or canceled. why: the node's account of it (GET /v2/job/why), or None.
    """

    def __init__(self, job_id: str, status: str, why: Optional[Mapping[str, Any]] = None) -> None:
        self.job_id = job_id
        self.status = status
        self.why = why
        text = f"job {job_id} is {status}"
        if why:
            if why.get("summary"):
                text += f": {why['summary']}"
            if why.get("hint"):
                text += f"; {why['hint']}"
        super().__init__(text)
