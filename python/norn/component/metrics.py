"""Where the metrics of a task go: each is posted at once to an http:// URI, or all are one JSON file at the end."""

from __future__ import annotations

import http.client
import json
import sys
from typing import Any, Dict, List, Optional, Sequence

from norn.component.channel import NodeHttp, envelope
from norn.component.data import local_path
from norn.component.errors import DataError, TaskConfigurationError

POST_S = 10.0
FAILS_MAX = 3
"""Posts that fail one after another until the node is left alone, so that it cannot slow the task."""


class Metrics:
    def __init__(self, uri: str, token: Optional[str]) -> None:
        self._kept: List[Dict[str, Any]] = []
        self._fails = 0
        self._http: Optional[NodeHttp] = None
        self._path = ""
        if uri.startswith("http://"):
            self._http = NodeHttp(uri, token)
        else:
            try:
                self._path = local_path(uri)
            except TaskConfigurationError as e:
                raise TaskConfigurationError(f"metric artifact: {e}") from e

    def add(self, name: str, kind: Optional[str], groups: Sequence[str], axis: Optional[str], data: Any) -> None:
        if not name or len(name) > 200:
            raise DataError(f"metric name {name[:60]!r} must have 1 to 200 characters")
        record = {
            "name": name,
            "type": kind,
            "groups": [{"name": g, "index": None} for g in ("default", *groups)],
            "step_axis": axis,
            "data": data,
        }
        try:
            text = json.dumps({"data": [record]}, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as e:
            raise DataError(f"metric {name}: its value is not JSON: {e}") from e
        if self._http is not None:
            if self._fails < FAILS_MAX:
                self._post(self._http, name, text)
        elif not self._join(record):
            self._kept.append(record)

    def _post(self, node: NodeHttp, name: str, text: str) -> None:
        try:
            status, _, answer = node.request("POST", node.path, text.encode(), "application/json", POST_S)
        except (OSError, http.client.HTTPException) as e:
            self._fails += 1
            print(f"warning: metric {name} was not delivered: {e or type(e).__name__}", file=sys.stderr, flush=True)
            return
        self._fails = 0
        code, message = envelope(answer)
        if status // 100 != 2 or code != 0:
            reason = message or f"status {status}"
            print(f"warning: metric {name} was refused: {reason}", file=sys.stderr, flush=True)

    def _join(self, record: Dict[str, Any]) -> bool:
        """Points of one curve are one record in a file."""
        if record["step_axis"] is None:
            return False
        for r in self._kept:
            if all(r[k] == record[k] for k in ("name", "groups", "step_axis")):
                r["data"].extend(record["data"])
                return True
        return False

    def flush(self) -> None:
        """Writes the file."""
        if self._http is None:
            from norn.component.task import save_json

            save_json(self._path, self._kept)

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
