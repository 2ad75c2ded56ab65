"""A task: its configuration checked, its artifacts bound, its function run, its result written."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from norn.component.channel import TAG_MAX, Channel, NodeChannel
from norn.component.data import ModelReader, ModelWriter, Table, TableWriter, local_path
from norn.component.declare import ArtifactSpec, Component
from norn.component.errors import ComponentError, DataError, MessageError, TaskConfigurationError
from norn.component.metrics import Metrics

MESSAGE_MAX = 1 << 30
TIMEOUT_S = 3600
TIMEOUT_S_MAX = 604800
_ORDER = ("guest", "host", "arbiter")

Json = Dict[str, Any]


def _text(config: Mapping[str, Any], key: str) -> str:
    v = config.get(key)
    if not isinstance(v, str) or not v:
        raise TaskConfigurationError(f"the task configuration needs the text {key}")
    return v


def _get(config: Any, path: str) -> Any:
    """A member by its dotted path; None where anything on the way is missing."""
    for part in path.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


class Task:
    """What a component's function knows of its task, and how it reports.

    role, party_id: who this party is. stage: default, train, predict or cross_validation. cores: how many threads or
    processes the task may use.
    """

    def __init__(self, component: Component, config: Mapping[str, Any], channel: Optional[Channel] = None) -> None:
        self.component = component
        self.config = config
        self.task_id = _text(config, "task_id")
        self.execution_id = _text(config, "party_task_id")
        self.name = _text(config, "task_name")
        self.party_id = _text(config, "party_id")
        self.role = _text(config, "role")
        self.stage = str(config.get("stage") or "default")
        if self.role not in component.roles:
            raise TaskConfigurationError(f"component {component.name} has no role '{self.role[:60]}'")
        if self.stage not in component.stages:
            raise TaskConfigurationError(f"component {component.name} has no stage '{self.stage[:60]}'")
        cores = _get(config, "conf.computing.metadata.options.task_cores")
        self.cores: int = cores if isinstance(cores, int) and cores > 0 else 1
        self._parties = self._read_parties()
        self._channel = channel
        self._metrics = Metrics(self._metric_uri(), os.environ.get("NORN_TASK_TOKEN"))

    def _read_parties(self) -> List[Tuple[str, str]]:
        listed = _get(self.config, "conf.federation.metadata.parties.parties") or []
        out = []
        for p in listed if isinstance(listed, list) else []:
            role, party = _get(p, "role"), _get(p, "partyid")
            if not isinstance(role, str) or not isinstance(party, str):
                raise TaskConfigurationError("conf.federation: a party has no valid role or partyid")
            out.append((role, party))
        return out

    def _metric_uri(self) -> str:
        uri = _get(self.config, "output_artifacts.metric.uri")
        if not isinstance(uri, str):
            raise TaskConfigurationError("output_artifacts.metric is missing")
        return uri

    def parties(self, role: str) -> List[str]:
        """Ids of the task's parties with this role, in the order in which every party sees them."""
        return [p for r, p in self._parties if r == role]

    def log(self, text: str) -> None:
        """A line with the time in the task's log."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        clean = "".join(c if c.isprintable() else " " for c in text)
        print(f"{when} {self.name} {self.role} {self.party_id}: {clean}", flush=True)

    # ---- metrics

    def metric(self, name: str, value: Any, *, type: Optional[str] = None, groups: Sequence[str] = ()) -> None:
        """Reports a metric: a number, or anything that is JSON. groups: a path it belongs to."""
        self._metrics.add(name, type, groups, None, value)

    def metric_step(
        self,
        name: str,
        step: int,
        value: float,
        *,
        axis: str = "step",
        type: Optional[str] = None,
        groups: Sequence[str] = ("train",),
    ) -> None:
        """Reports one point of a curve."""
        point = {"metric": float(value), "step": int(step), "timestamp": time.time()}
        self._metrics.add(name, type, groups, axis, [point])

    # ---- messages

    def send(self, role: str, party_id: str, tag: str, data: Union[bytes, bytearray, memoryview]) -> None:
        """Sends bytes to another party of the task, under a tag that the receiver expects.

        Returns when the receiver's node has them. Messages to one party arrive in the order of their sending.
        """
        self._check_peer(role, party_id, tag)
        self._open_channel().send(role, party_id, tag, bytes(data))

    def receive(self, role: str, party_id: str, tag: str, max_bytes: int = MESSAGE_MAX) -> bytes:
        """The next message of a party, which must have this tag; waits for it."""
        self._check_peer(role, party_id, tag)
        return self._open_channel().receive(role, party_id, tag, max_bytes)

    def send_json(self, role: str, party_id: str, tag: str, value: Any) -> None:
        self.send(role, party_id, tag, json.dumps(value, allow_nan=False).encode())

    def receive_json(self, role: str, party_id: str, tag: str, max_bytes: int = MESSAGE_MAX) -> Any:
        data = self.receive(role, party_id, tag, max_bytes)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as e:
            raise MessageError(f"message '{tag}' from {role} {party_id} is not JSON: {e}") from e

    def _check_peer(self, role: str, party_id: str, tag: str) -> None:
        if (role, party_id) not in self._parties or (role, party_id) == (self.role, self.party_id):
            raise MessageError(f"{role} {party_id} is no other party of this task")
        if not tag or len(tag) > TAG_MAX or not tag.isascii() or not tag.isprintable():
            raise MessageError(f"tag {tag[:TAG_MAX]!r} must be 1 to {TAG_MAX} printable ASCII characters")

    def _open_channel(self) -> Channel:
        if self._channel is None:
            fed = _get(self.config, "conf.federation")
            conf = _get(fed, "metadata.norn_config")
            url = _get(conf, "url")
            if _get(fed, "type") != "norn" or not isinstance(url, str):
                raise TaskConfigurationError(
                    "conf.federation is not of type norn with the node's url: no messages here"
                )
            limit = _get(conf, "timeout_s")
            timeout = limit if isinstance(limit, int) else TIMEOUT_S
            self._channel = NodeChannel(
                url,
                str(_get(conf, "execution_id") or self.execution_id),
                os.environ.get("NORN_TASK_TOKEN"),
                timeout if 0 < timeout <= TIMEOUT_S_MAX else TIMEOUT_S_MAX,
            )
        return self._channel

    # ---- the run

    def run(self) -> Json:
        """Checks parameters and artifacts, calls the function; the content of the result file."""
        try:
            given = self.config.get("parameters") or {}
            if not isinstance(given, dict):
                raise TaskConfigurationError("parameters must be a map")
            parameters = self.component.check_parameters(given)
            bound = {a.name: self._bind(a) for a in self.component.artifacts}
            self.component.function(self, *[bound[n] for n in self.component.positional], **parameters)
            result = self._result(bound)
            self._metrics.flush()
            return result
        finally:
            self._metrics.close()
            if self._channel is not None:
                self._channel.close()

    def _bind(self, a: ArtifactSpec) -> Any:
        if not a.active(self.role, self.stage):
            return None
        side = "input" if a.direction == "in" else "output"
        v = _get(self.config, f"{side}_artifacts.{a.name}")
        if v is None or v == []:
            if a.optional:
                return [] if a.multi else None
            raise TaskConfigurationError(f"{side} {a.name} is missing: connect it in the job definition")
        if a.multi:
            return [self._artifact(a, x) for x in (v if isinstance(v, list) else [v])]
        if isinstance(v, list):
            raise TaskConfigurationError(f"{side} {a.name} takes one value, not a list")
        return self._artifact(a, v)

    @staticmethod
    def _artifact(a: ArtifactSpec, v: Any) -> Union[Table, TableWriter, ModelReader, ModelWriter]:
        side = "input" if a.direction == "in" else "output"
        uri = _get(v, "uri")
        kind = _get(v, "type_name") or a.types[0]
        if not isinstance(uri, str):
            raise TaskConfigurationError(f"{side} {a.name} has no uri")
        if kind not in a.types:
            raise TaskConfigurationError(f"{side} {a.name} is of type {kind}, not {' or '.join(a.types)}")
        if a.direction == "in":
            metadata = v.get("metadata") or {}
            return Table(a.name, uri, kind, metadata) if a.group == "data" else ModelReader(a.name, uri, metadata)
        return TableWriter(a.name, uri, kind) if a.group == "data" else ModelWriter(a.name, uri)

    # ---- the result

    def _source(self, key: str) -> Json:
        return {
            "task_id": self.task_id,
            "party_task_id": self.execution_id,
            "task_name": self.name,
            "component": self.component.name,
            "output_artifact_key": key,
            "output_index": None,
        }

    def _model_overview(self) -> Json:
        return {
            "federated": {
                "task_id": self.task_id,
                "parties": {r: self.parties(r) for r in _ORDER},
                "component": {
                    "name": self.component.name,
                    "provider": "norn",
                    "version": self.component.version,
                    "metadata": {},
                },
            },
            "party": {
                "party_task_id": self.execution_id,
                "role": self.role,
                "partyid": self.party_id,
                "models": [{"name": "", "file_format": "json", "metadata": {}}],
            },
        }

    def _result(self, bound: Mapping[str, Any]) -> Json:
        inputs: Json = {"data": {}, "model": {}}
        outputs: Json = {"data": {}, "model": {}, "metric": {}}
        for a in self.component.artifacts:
            v = bound[a.name]
            if v is None or v == []:
                continue
            if a.direction == "in":
                given = _get(self.config, f"input_artifacts.{a.name}")
                used = [dict(x, consumed=True) for x in (given if isinstance(given, list) else [given])]
                inputs[a.group][a.name] = used if a.multi else used[0]
            else:
                entry = self._output(a, v)
                if entry is not None:
                    outputs[a.group][a.name] = entry
        outputs["metric"]["metric"] = {
            "uri": self._metric_uri(),
            "type_name": "json_metric",
            "consumed": True,
            "metadata": {"metadata": {}, "source": self._source("metric")},
        }
        return {"status": {"code": 0}, "io_meta": {"inputs": inputs, "outputs": outputs}}

    def _output(self, a: ArtifactSpec, v: Union[TableWriter, ModelWriter]) -> Optional[Json]:
        if isinstance(v, TableWriter):
            metadata = dict(v.result) if v.result is not None else None
        else:
            metadata = {"metadata": {}, "model_overview": self._model_overview()} if v.written else None
        if metadata is None:
            if a.optional:
                return None
            raise DataError(f"output {a.name} was not written")
        metadata["source"] = self._source(a.name)
        kind = v.type_name if isinstance(v, TableWriter) else a.types[0]
        return {"uri": v.uri, "type_name": kind, "consumed": True, "metadata": metadata}


def save_json(path: str, value: Any) -> None:
    """Writes a file, whole or not at all."""
    directory = os.path.dirname(os.path.abspath(path))
    os.makedirs(directory, exist_ok=True)
    fd, part = tempfile.mkstemp(prefix=".norn-", dir=directory)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            json.dump(value, f)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def execute(
    components: Mapping[str, Component],
    config: Mapping[str, Any],
    result_path: str,
    channel: Optional[Channel] = None,
) -> int:
    """Runs the task of a configuration and writes the result file; the exit status, 0 or 1.

    A ComponentError fails the task with its words alone, anything else with its traceback.
    """
    try:
        os.unlink(result_path)
    except FileNotFoundError:
        pass
    try:
        name = _text(config, "component")
        if name not in components:
            raise TaskConfigurationError(
                f"there is no component '{name[:60]}' (known: {', '.join(components) or 'none'})"
            )
        task = Task(components[name], config, channel)
        task.log(f"{name} {task.stage} started")
        result = task.run()
        task.log("done")
        save_json(result_path, result)
        return 0
    except ComponentError as e:
        reason = " ".join(str(e).split()) or type(e).__name__
        print(f"{config.get('component')}: {reason}", file=sys.stderr, flush=True)
    except Exception:
        reason = traceback.format_exc()
        print(reason, file=sys.stderr, end="", flush=True)
    save_json(result_path, {"status": {"code": -1, "exceptions": reason}})
    return 1


__all__ = ["Task", "execute", "local_path", "save_json"]
