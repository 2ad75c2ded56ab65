"""Run a component without a node, to test it.

    result = run(column_statistics, inputs={"input_data": rows}, parameters={"quantiles": 10})
    assert result.ok, result.error
    assert result.metric("rows") == 3

Rows are dicts whose first name is the sample id. run_parties() runs several parties at once, each in a thread, with
messages between them.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from norn.component.channel import MemoryChannel, MemoryHub
from norn.component.data import Cell, Field, Table, TableWriter
from norn.component.declare import ArtifactSpec, Component
from norn.component.errors import DataError
from norn.component.task import execute

Party = Tuple[str, str]
TIMEOUT_S = 60.0


@dataclass
class Frame:
    """A table given by its columns and rows, for inputs that need more than names and cells (labels, types)."""

    fields: Sequence[Field]
    rows: Sequence[Sequence[Any]]


Rows = Sequence[Mapping[str, Any]]
Input = Any
"""A table as Rows or Frame, a model as a JSON value; for an input of several, a list of these."""


@dataclass
class Result:
    """What a run has left. tables: rows as dicts; error: the text a user would see."""

    ok: bool
    error: str = ""
    tables: Dict[str, List[Dict[str, Cell]]] = field(default_factory=dict)
    models: Dict[str, Any] = field(default_factory=dict)
    metrics: List[Dict[str, Any]] = field(default_factory=list)
    raw: Dict[str, Any] = field(default_factory=dict)

    def metric(self, name: str) -> Any:
        """The value of a metric, or the points of a curve; KeyError when there is none, or more than one."""
        found = [m["data"] for m in self.metrics if m["name"] == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} metrics are named {name!r}")
        return found[0]


def frame_of(rows: Rows) -> Frame:
    """Dicts as a table: the first name is the sample id, a column of whole numbers is int64, of numbers float64."""
    if not rows:
        raise DataError("a table without rows needs its fields: use Frame")
    names = list(rows[0])
    fields = [Field.sample_id(names[0])]
    for n in names[1:]:
        kinds = {type(r[n]) for r in rows}
        dtype = "str"
        for kind, wanted in (({bool}, "bool"), ({int}, "int64"), ({int, float}, "float64")):
            if kinds <= kind:
                dtype = wanted
                break
        fields.append(Field(n, dtype))
    return Frame(fields, [[r[n] for n in names] for r in rows])


def _write_input(directory: str, spec: ArtifactSpec, index: int, value: Input) -> Dict[str, Any]:
    source = {"task_id": "test_before", "task_name": "before", "component": "before", "output_artifact_key": spec.name}
    path = os.path.join(directory, "in", f"{spec.name}_{index}")
    uri = "file://" + path
    if spec.group == "model":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(value, f)
        return {"uri": uri, "type_name": spec.types[0], "metadata": {"metadata": {}, "source": source}}
    frame = value if isinstance(value, Frame) else frame_of(value)
    writer = TableWriter(spec.name, uri, "dataframe")
    writer.write(frame.fields, frame.rows)
    return {"uri": uri, "type_name": "dataframe", "metadata": {**(writer.result or {}), "source": source}}


def _config(
    c: Component,
    directory: str,
    party: Party,
    parties: Sequence[Party],
    stage: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Input],
    cores: int,
) -> Dict[str, Any]:
    role, party_id = party
    known = {a.name: a for a in c.artifacts if a.direction == "in"}
    given: Dict[str, Any] = {}
    for name, value in inputs.items():
        if name not in known:
            raise DataError(f"component {c.name} has no input {name} (it has: {', '.join(known) or 'none'})")
        spec = known[name]
        if spec.multi:
            given[name] = [_write_input(directory, spec, i, v) for i, v in enumerate(value)]
        else:
            given[name] = _write_input(directory, spec, 0, value)
    outputs: Dict[str, Any] = {
        a.name: {"uri": f"file://{directory}/out/{a.name}", "type_name": a.types[0]}
        for a in c.artifacts
        if a.direction == "out" and a.active(role, stage)
    }
    outputs["metric"] = {"uri": f"file://{directory}/metrics.json", "type_name": "json_metric"}
    return {
        "task_id": "test_task",
        "party_task_id": f"test_task_0_{role}_{party_id}",
        "task_name": "task",
        "component": c.name,
        "role": role,
        "party_id": party_id,
        "stage": stage,
        "parameters": dict(parameters),
        "input_artifacts": given,
        "output_artifacts": outputs,
        "conf": {
            "computing": {"type": "standalone", "metadata": {"options": {"task_cores": cores}}},
            "federation": {
                "type": "memory",
                "metadata": {
                    "parties": {
                        "local": {"role": role, "partyid": party_id},
                        "parties": [{"role": r, "partyid": p} for r, p in parties],
                    }
                },
            },
        },
    }


def _collect(c: Component, directory: str) -> Result:
    with open(os.path.join(directory, "result.json"), encoding="utf-8") as f:
        raw = json.load(f)
    if raw["status"]["code"] != 0:
        return Result(False, error=str(raw["status"]["exceptions"]).strip(), raw=raw)
    result = Result(True, raw=raw)
    for key, a in raw["io_meta"]["outputs"]["data"].items():
        result.tables[key] = list(Table(key, a["uri"], a["type_name"], a["metadata"]))
    for key, a in raw["io_meta"]["outputs"]["model"].items():
        with open(a["uri"][len("file://") :], encoding="utf-8") as f:
            result.models[key] = json.load(f)
    with open(os.path.join(directory, "metrics.json"), encoding="utf-8") as f:
        result.metrics = json.load(f)
    return result


def run(
    component: Component,
    *,
    parameters: Optional[Mapping[str, Any]] = None,
    inputs: Optional[Mapping[str, Input]] = None,
    role: Optional[str] = None,
    party_id: str = "9999",
    stage: Optional[str] = None,
    cores: int = 1,
) -> Result:
    """Runs one party. inputs: a table as rows or Frame, a model as a JSON value; a list of them for a multi input."""
    party = (role or component.roles[0], party_id)
    return run_parties(
        component, {party: {"parameters": parameters or {}, "inputs": inputs or {}}}, stage=stage, cores=cores
    )[party]


def run_parties(
    component: Component,
    parties: Mapping[Party, Mapping[str, Any]],
    *,
    stage: Optional[str] = None,
    cores: int = 1,
    timeout: float = TIMEOUT_S,
) -> Dict[Party, Result]:
    """Runs all parties of a task: {(role, party id): {"parameters": ..., "inputs": ...}}.

    timeout: seconds that a party waits for a message.
    """
    hub = MemoryHub()
    results: Dict[Party, Result] = {}
    failed: List[BaseException] = []
    everyone = list(parties)

    def one(party: Party, given: Mapping[str, Any]) -> None:
        channel = MemoryChannel(hub, party[0], party[1], timeout)
        try:
            with tempfile.TemporaryDirectory(prefix="norn-component-") as directory:
                config = _config(
                    component,
                    directory,
                    party,
                    everyone,
                    stage or component.stages[0],
                    given.get("parameters") or {},
                    given.get("inputs") or {},
                    cores,
                )
                execute({component.name: component}, config, os.path.join(directory, "result.json"), channel)
                results[party] = _collect(component, directory)
        except BaseException as e:
            failed.append(e)
        finally:
            channel.close()

    threads = [threading.Thread(target=one, args=item) for item in parties.items()]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise failed[0]
    return results
