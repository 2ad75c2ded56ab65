"""The groups of the API that work on jobs: job, task, output, log. The rest stands in norn.site.

Methods give the data of the answer, with the field names of the API; errors are raised.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from norn import archive, frames, jobs
from norn.errors import ProtocolError
from norn.jobs import Definition, Job, Progress, ProgressCallback
from norn.transport import JsonObject, Transport, TransferCallback

if TYPE_CHECKING:
    from norn.client import Client

Path = Union[str, "os.PathLike[str]"]
EVENTS_AT_ONCE = 1000
PAGE = 100


@dataclass(frozen=True)
class Page:
    """A part of a list; count is how long the whole list is."""

    count: int
    data: List[JsonObject]


def page(v: Any) -> Page:
    if not isinstance(v, dict) or not isinstance(v.get("data"), list):
        raise ProtocolError("the answer is no list with a count")
    return Page(int(v.get("count") or 0), v["data"])


class Group:
    """What all groups have."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    @property
    def _t(self) -> Transport:
        return self._client.transport


class JobGroup(Group):
    """/v2/job"""

    def get(self, job_id: str) -> Job:
        """A handle of a job that exists already; the node is not asked."""
        return Job(self._client, job_id)

    def submit(self, definition: Definition, *, idempotency_key: Optional[str] = None) -> Job:
        """Submits a job: a definition, or a file with one.

        The key makes it safe to try again when the connection breaks: the same key is the same job, also for
        a later call with it. One is made up when none is given.
        """
        key = idempotency_key if idempotency_key is not None else uuid.uuid4().hex
        body = {"dag_schema": self._definition(definition), "idempotency_key": key}
        v = self._t.envelope("POST", "/v2/job/submit", body=body, idempotent=True)
        data = v.get("data") or {}
        if not isinstance(v.get("job_id"), str):
            raise ProtocolError("the answer to the submission names no job")
        return Job(self._client, v["job_id"], data.get("model_id"), data.get("model_version"))

    def plan(self, definition: Definition) -> JsonObject:
        """What would run where, without running it."""
        body = {"dag_schema": self._definition(definition), "plan": True}
        v = self._t.envelope("POST", "/v2/job/submit", body=body, idempotent=True)
        return dict(v.get("data") or {})

    @staticmethod
    def _definition(definition: Definition) -> JsonObject:
        return dict(definition) if isinstance(definition, Mapping) else jobs.load_job(definition)

    def progress(self, job_id: str) -> Progress:
        return Progress.from_json(self._t.get("/v2/job/progress", job_id=job_id))

    def wait(
        self,
        job_id: str,
        timeout: Optional[float] = None,
        *,
        on_progress: Optional[ProgressCallback] = None,
        check: bool = True,
        outage: float = 60.0,
    ) -> Progress:
        """Waits for the end of a job. The node answers when something changes; nothing is polled.

        timeout: seconds, then JobNotFinished is raised. on_progress: called with each news; ProgressPrinter is one.
        check: raise JobFailed unless the job succeeds. outage: seconds for which the node may be out of reach.
        """

        def ask(known: Optional[int], timeout_ms: int) -> JsonObject:
            limit = max(self._t.timeout, timeout_ms / 1000 + 10)
            return dict(self._t.get("/v2/job/wait", timeout=limit, job_id=job_id, known=known, timeout_ms=timeout_ms))

        return jobs.wait(
            ask, lambda: jobs.explain(lambda: self.why(job_id)), job_id, timeout, on_progress, check, outage
        )

    def query(
        self,
        job_id: Optional[str] = None,
        role: Optional[str] = None,
        party_id: Optional[str] = None,
        status: Optional[str] = None,
    ) -> List[JsonObject]:
        """The rows of jobs at this site, one for each party."""
        found = self._t.get("/v2/job/query", job_id=job_id, role=role, party_id=party_id, status=status)
        return list(found or [])

    def list(
        self,
        limit: int = 10,
        page_number: int = 1,
        *,
        job_id: Optional[str] = None,
        description: Optional[str] = None,
        partner: Optional[str] = None,
        party_id: Optional[str] = None,
        role: Optional[Sequence[str]] = None,
        status: Optional[Sequence[str]] = None,
        order_by: Optional[str] = None,
        order: Optional[str] = None,
    ) -> Page:
        return page(
            self._t.get(
                "/v2/job/list/query",
                limit=limit,
                page=page_number,
                job_id=job_id,
                description=description,
                partner=partner,
                party_id=party_id,
                role=role,
                status=status,
                order_by=order_by,
                order=order,
            )
        )

    def stop(self, job_id: str) -> None:
        self._t.post("/v2/job/stop", job_id=job_id)

    def rerun(
        self,
        job_id: str,
        *,
        all_tasks: bool = False,
        from_task: Optional[str] = None,
        parameters: Optional[Mapping[str, Mapping[str, Any]]] = None,
    ) -> int:
        """Runs what has not succeeded of an ended job again: all tasks, or those from one on; how many."""
        wanted: Dict[str, Any] = {"from": from_task}  # a word that cannot name an argument
        v = self._t.post("/v2/job/rerun", job_id=job_id, parameters=parameters, all=all_tasks or None, **wanted)
        return int((v or {}).get("tasks", 0))

    def suspend(self, job_id: str) -> None:
        """Starts nothing new of a job; what runs goes on."""
        self._t.post("/v2/job/suspend", job_id=job_id)

    def resume(self, job_id: str) -> None:
        self._t.post("/v2/job/resume", job_id=job_id)

    def clean(self, job_id: str) -> None:
        """Stops the job, and removes its rows, outputs, metrics, models and files at this site."""
        self._t.post("/v2/job/clean", job_id=job_id)

    def clean_queue(self) -> JsonObject:
        """Cancels every job that waits."""
        return dict(self._t.post("/v2/job/queue/clean") or {})

    def add_notes(self, job_id: str, role: str, party_id: str, notes: str) -> None:
        self._t.post("/v2/job/notes/add", job_id=job_id, role=role, party_id=party_id, notes=notes)

    def why(self, job_id: str, task_name: Optional[str] = None) -> JsonObject:
        """Why a job failed, waits, or takes long."""
        return dict(self._t.get("/v2/job/why", job_id=job_id, task_name=task_name))

    def timing(self, job_id: str) -> JsonObject:
        return dict(self._t.get("/v2/job/timing", job_id=job_id))

    def events(self, job_id: str, after: int = 0) -> Iterator[JsonObject]:
        """The history, oldest first, from the event after this id on."""
        while True:
            some = self._t.get("/v2/job/events", job_id=job_id, after=after, limit=EVENTS_AT_ONCE) or []
            yield from some
            if len(some) < EVENTS_AT_ONCE:
                return
            after = int(some[-1]["id"])

    def data_view(self, job_id: str, role: str, party_id: str) -> JsonObject:
        return dict(self._t.get("/v2/job/data/view", job_id=job_id, role=role, party_id=party_id))

    def dependency(self, job_id: str, role: str, party_id: str) -> JsonObject:
        return dict(self._t.get("/v2/job/dag/dependency", job_id=job_id, role=role, party_id=party_id))

    def download_log(self, job_id: str, directory: Path, *, progress: Optional[TransferCallback] = None) -> List[str]:
        """Every log of the job at this site, as files below a directory; their paths."""
        with self._t.open_file("/v2/job/log/download", body={"job_id": job_id}, progress=progress) as a:
            return archive.extract(a, os.fspath(directory))


class TaskGroup(Group):
    """/v2/job/task"""

    def query(
        self,
        job_id: Optional[str] = None,
        role: Optional[str] = None,
        party_id: Optional[str] = None,
        *,
        status: Optional[str] = None,
        task_name: Optional[str] = None,
        task_id: Optional[str] = None,
        task_version: Optional[int] = None,
    ) -> List[JsonObject]:
        found = self._t.get(
            "/v2/job/task/query",
            job_id=job_id,
            role=role,
            party_id=party_id,
            status=status,
            task_name=task_name,
            task_id=task_id,
            task_version=task_version,
        )
        return list(found or [])

    def list(
        self,
        limit: int = 10,
        page_number: int = 1,
        *,
        job_id: Optional[str] = None,
        role: Optional[str] = None,
        party_id: Optional[str] = None,
        task_name: Optional[str] = None,
    ) -> Page:
        return page(
            self._t.get(
                "/v2/job/task/list/query",
                limit=limit,
                page=page_number,
                job_id=job_id,
                role=role,
                party_id=party_id,
                task_name=task_name,
            )
        )


class OutputGroup(Group):
    """/v2/output: what one task has left at one party of this site."""

    def metrics(self, job_id: str, role: str, party_id: str, task_name: str) -> List[JsonObject]:
        """Records {name, type, groups, step_axis, data}."""
        found = self._t.get("/v2/output/metric/query", job_id=job_id, role=role, party_id=party_id, task_name=task_name)
        return list(found or [])

    def metric_keys(self, job_id: str, role: str, party_id: str, task_name: str) -> List[JsonObject]:
        found = self._t.get(
            "/v2/output/metric/key/query", job_id=job_id, role=role, party_id=party_id, task_name=task_name
        )
        return list(found or [])

    def delete_metrics(self, job_id: str, role: str, party_id: str, task_name: str) -> bool:
        return bool(
            self._t.post("/v2/output/metric/delete", job_id=job_id, role=role, party_id=party_id, task_name=task_name)
        )

    def models(self, job_id: str, role: str, party_id: str, task_name: str) -> JsonObject:
        """{output key: model}"""
        found = self._t.get("/v2/output/model/query", job_id=job_id, role=role, party_id=party_id, task_name=task_name)
        return dict(found or {})

    def download_models(
        self,
        job_id: str,
        role: str,
        party_id: str,
        task_name: str,
        directory: Path,
        *,
        progress: Optional[TransferCallback] = None,
    ) -> List[str]:
        """The files of the task's first model, with a description beside each; their paths."""
        q = {"job_id": job_id, "role": role, "party_id": party_id, "task_name": task_name}
        with self._t.open_file("/v2/output/model/download", query=q, progress=progress) as a:
            return archive.extract(a, os.fspath(directory))

    def delete_models(self, job_id: str, role: str, party_id: str, task_name: str) -> None:
        self._t.post("/v2/output/model/delete", job_id=job_id, role=role, party_id=party_id, task_name=task_name)

    def tables(self, job_id: str, role: str, party_id: str, task_name: str) -> JsonObject:
        """{output key: [{namespace, name}]}"""
        return self._t.get_bare(
            "/v2/output/data/table", job_id=job_id, role=role, party_id=party_id, task_name=task_name
        )

    def display(self, job_id: str, role: str, party_id: str, task_name: str) -> JsonObject:
        """{output key: [{data, metadata, total}]} with some rows of each table."""
        return self._t.get_bare(
            "/v2/output/data/display", job_id=job_id, role=role, party_id=party_id, task_name=task_name
        )

    @staticmethod
    def _data_query(
        job_id: str, role: str, party_id: str, task_name: str, output_key: Optional[str]
    ) -> Dict[str, Optional[str]]:
        return {
            "job_id": job_id,
            "role": role,
            "party_id": party_id,
            "task_name": task_name,
            "output_key": output_key,
        }

    def download(
        self,
        job_id: str,
        role: str,
        party_id: str,
        task_name: str,
        directory: Path,
        output_key: Optional[str] = None,
        *,
        progress: Optional[TransferCallback] = None,
    ) -> List[str]:
        """The task's tables as <output key>/<i>.csv and .meta below a directory; the paths."""
        q = self._data_query(job_id, role, party_id, task_name, output_key)
        with self._t.open_file("/v2/output/data/download", query=q, progress=progress) as a:
            return archive.extract(a, os.fspath(directory))

    def rows(
        self, job_id: str, role: str, party_id: str, task_name: str, output_key: str, index: int = 0
    ) -> Iterator[Dict[str, str]]:
        """The rows of one table, as they come; cells are texts."""
        q = self._data_query(job_id, role, party_id, task_name, output_key)
        wanted = f"{output_key}/{index}.csv"
        with self._t.open_file("/v2/output/data/download", query=q) as a:
            yield from archive.rows(a, lambda name: name == wanted, f"output {output_key} of task {task_name}")

    def to_pandas(self, job_id: str, role: str, party_id: str, task_name: str, output_key: str, index: int = 0) -> Any:
        """The table as a DataFrame with the sample id as index; needs pandas."""
        frames.pandas()
        return frames.from_rows(self.rows(job_id, role, party_id, task_name, output_key, index))


class LogGroup(Group):
    """/v2/log"""

    def count(
        self,
        log_type: str,
        job_id: str,
        role: Optional[str] = None,
        party_id: Optional[str] = None,
        task_name: Optional[str] = None,
        instance_id: Optional[str] = None,
    ) -> int:
        return int(
            self._t.get(
                "/v2/log/count",
                log_type=log_type,
                job_id=job_id,
                role=role,
                party_id=party_id,
                task_name=task_name,
                instance_id=instance_id,
            )
            or 0
        )

    def query(
        self,
        log_type: str,
        job_id: str,
        role: str,
        party_id: str,
        task_name: Optional[str] = None,
        begin: Optional[int] = None,
        end: Optional[int] = None,
        instance_id: Optional[str] = None,
    ) -> List[JsonObject]:
        """Lines {line_num, content}, from line begin to line end."""
        found = self._t.get(
            "/v2/log/query",
            log_type=log_type,
            job_id=job_id,
            role=role,
            party_id=party_id,
            task_name=task_name,
            begin=begin,
            end=end,
            instance_id=instance_id,
        )
        return list(found or [])

    def read(
        self,
        job_id: str,
        log: str = "stdout",
        *,
        role: Optional[str] = None,
        party_id: Optional[str] = None,
        task_name: Optional[str] = None,
        attempt: Optional[int] = None,
        offset: int = 0,
        wait_ms: int = 0,
    ) -> JsonObject:
        """{offset, text, end}: a piece of a log (schedule, stdout, stderr, component) from an offset on."""
        return dict(
            self._t.get(
                "/v2/log/read",
                job_id=job_id,
                log=log,
                role=role,
                party_id=party_id,
                task_name=task_name,
                attempt=attempt,
                offset=offset,
                wait_ms=wait_ms,
            )
        )

    def follow(
        self,
        job_id: str,
        log: str = "stdout",
        *,
        role: Optional[str] = None,
        party_id: Optional[str] = None,
        task_name: Optional[str] = None,
        attempt: Optional[int] = None,
        wait_ms: int = 20000,
    ) -> Iterator[str]:
        """The log as it grows, in pieces, until the task is over."""
        offset = 0
        while True:
            v = self.read(
                job_id,
                log,
                role=role,
                party_id=party_id,
                task_name=task_name,
                attempt=attempt,
                offset=offset,
                wait_ms=wait_ms,
            )
            if v.get("text"):
                yield v["text"]
            if v.get("end"):
                return
            offset = int(v["offset"])
