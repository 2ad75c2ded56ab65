"""Jobs: definitions, handles, progress."""

from __future__ import annotations

import importlib
import json
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from norn.errors import ConfigurationError, ConnectionFailed, JobFailed, JobNotFinished, MissingPackage, NornError
from norn.transport import JsonObject

if TYPE_CHECKING:
    from norn.client import Client

END_STATUSES = ("success", "failed", "canceled")
PAUSE_S = 0.2
"""Between requests when the node answers at once though there is nothing new, as one that goes down does."""
WAIT_MS = 25000
"""How long the node may keep one request for news; well below the time limit of a request."""

Definition = Union[Mapping[str, Any], str, "os.PathLike[str]"]


def load_job(path: Union[str, "os.PathLike[str]"]) -> JsonObject:
    """A job definition from a file: JSON, or YAML where PyYAML is installed."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    try:
        value = json.loads(text)
    except ValueError as not_json:
        if str(path).endswith(".json"):
            raise ConfigurationError(f"{path}: {not_json}") from not_json
        try:
            yaml: Any = importlib.import_module("yaml")
        except ImportError as e:
            raise MissingPackage(f"{path} is not JSON; YAML needs the package PyYAML") from e
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as e:
            raise ConfigurationError(f"{path}: {e}") from e
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path} does not hold a job definition (a map with dag and schema_version)")
    return value


@dataclass(frozen=True)
class PartyProgress:
    """One party of a task. elapsed_ms is None before its start."""

    role: str
    party_id: str
    status: str
    elapsed_ms: Optional[int]


@dataclass(frozen=True)
class TaskProgress:
    """One task, its latest attempt."""

    name: str
    component: str
    status: str
    attempt: int
    depends_on: Tuple[str, ...]
    elapsed_ms: Optional[int]
    parties: Tuple[PartyProgress, ...]


@dataclass(frozen=True)
class Progress:
    """How far a job is. percent is 0 to 100; change differs whenever anything else does."""

    job_id: str
    status: str
    percent: int
    reason: Optional[str]
    elapsed_ms: Optional[int]
    tasks: Tuple[TaskProgress, ...]
    change: Optional[int] = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ended(self) -> bool:
        return self.status in END_STATUSES

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Progress":
        job = data["job"]
        return cls(
            job_id=job["job_id"],
            status=job["status"],
            percent=int(job.get("progress") or 0),
            reason=job.get("reason") or None,
            elapsed_ms=job.get("elapsed_ms"),
            tasks=tuple(_task(t) for t in data.get("tasks") or ()),
            change=data.get("change"),
            raw=data,
        )


def _task(t: Mapping[str, Any]) -> TaskProgress:
    return TaskProgress(
        name=t["task_name"],
        component=t.get("component") or "",
        status=t.get("status") or "",
        attempt=int(t.get("attempt") or 0),
        depends_on=tuple(t.get("depends_on") or ()),
        elapsed_ms=t.get("elapsed_ms"),
        parties=tuple(
            PartyProgress(p["role"], p["party_id"], p.get("status") or "", p.get("elapsed_ms"))
            for p in t.get("parties") or ()
        ),
    )


ProgressCallback = Callable[[Progress], None]


class Job:
    """A job by its id. model_id and model_version are known where this client has submitted it."""

    def __init__(
        self, client: "Client", job_id: str, model_id: Optional[str] = None, model_version: Optional[str] = None
    ) -> None:
        self._client = client
        self.id = job_id
        self.model_id = model_id
        self.model_version = model_version

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def progress(self) -> Progress:
        return self._client.job.progress(self.id)

    def status(self) -> str:
        return self.progress().status

    def wait(
        self,
        timeout: Optional[float] = None,
        *,
        on_progress: Optional[ProgressCallback] = None,
        check: bool = True,
        outage: float = 60.0,
    ) -> Progress:
        """Waits for the end of the job; see JobGroup.wait()."""
        return self._client.job.wait(self.id, timeout, on_progress=on_progress, check=check, outage=outage)

    def stop(self) -> None:
        self._client.job.stop(self.id)

    def why(self, task_name: Optional[str] = None) -> JsonObject:
        return self._client.job.why(self.id, task_name)

    def events(self) -> Iterator[JsonObject]:
        return self._client.job.events(self.id)

    def metrics(self, task_name: str, role: str, party_id: str) -> List[JsonObject]:
        return self._client.output.metrics(self.id, role, party_id, task_name)

    def models(self, task_name: str, role: str, party_id: str) -> JsonObject:
        return self._client.output.models(self.id, role, party_id, task_name)

    def rows(self, task_name: str, role: str, party_id: str, output_key: str) -> Iterator[Dict[str, str]]:
        return self._client.output.rows(self.id, role, party_id, task_name, output_key)


def wait(
    ask: Callable[[Optional[int], int], JsonObject],
    why: Callable[[], Optional[JsonObject]],
    job_id: str,
    timeout: Optional[float],
    on_progress: Optional[ProgressCallback],
    check: bool,
    outage: float,
) -> Progress:
    """ask(known, timeout_ms) is one request for news. The rest is explained at JobGroup.wait()."""
    end = None if timeout is None else time.monotonic() + timeout
    down_since: Optional[float] = None
    known: Optional[int] = None
    last = "unknown"
    while True:
        asked = time.monotonic()
        left_ms = WAIT_MS if end is None else int((end - time.monotonic()) * 1000)
        try:
            p = Progress.from_json(ask(known, max(0, min(WAIT_MS, left_ms))))
        except ConnectionFailed:
            now = time.monotonic()
            down_since = now if down_since is None else down_since
            if now - down_since >= outage or (end is not None and now >= end):
                raise
            time.sleep(min(1.0, outage))
            continue
        down_since = None
        if on_progress is not None and (known is None or p.change != known):
            on_progress(p)
        if p.change == known and time.monotonic() - asked < PAUSE_S:
            time.sleep(PAUSE_S)
        known, last = p.change, p.status
        if p.ended:
            if check and p.status != "success":
                raise JobFailed(job_id, p.status, why())
            return p
        if end is not None and time.monotonic() >= end:
            raise JobNotFinished(job_id, last)


def explain(ask: Callable[[], JsonObject]) -> Optional[JsonObject]:
    """The account of a failure is wanted besides the failure, never instead of it."""
    try:
        return ask()
    except NornError:
        return None
