"""Norn: a client of its HTTP API, and a library to write components (norn.component).

    from norn import Client

    client = Client("http://127.0.0.1:9380")
    job = client.job.submit(definition)
    job.wait()

Nothing is imported before it is used, so that a component needs the standard library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

__version__ = "0.1.0"

_FROM = {
    "Client": "norn.client",
    "Job": "norn.jobs",
    "Progress": "norn.jobs",
    "TaskProgress": "norn.jobs",
    "load_job": "norn.jobs",
    "ProgressPrinter": "norn.terminal",
    "TransferPrinter": "norn.terminal",
    "ApiError": "norn.errors",
    "ConfigurationError": "norn.errors",
    "Conflict": "norn.errors",
    "ConnectionFailed": "norn.errors",
    "ConnectionTimedOut": "norn.errors",
    "InvalidParameter": "norn.errors",
    "JobFailed": "norn.errors",
    "JobNotFinished": "norn.errors",
    "MissingPackage": "norn.errors",
    "NornError": "norn.errors",
    "NotFound": "norn.errors",
    "PermissionDenied": "norn.errors",
    "ProtocolError": "norn.errors",
    "ServerUnavailable": "norn.errors",
    "Unauthorized": "norn.errors",
}

if TYPE_CHECKING:
    from norn.client import Client as Client
    from norn.errors import ApiError as ApiError
    from norn.errors import ConfigurationError as ConfigurationError
    from norn.errors import Conflict as Conflict
    from norn.errors import ConnectionFailed as ConnectionFailed
    from norn.errors import ConnectionTimedOut as ConnectionTimedOut
    from norn.errors import InvalidParameter as InvalidParameter
    from norn.errors import JobFailed as JobFailed
    from norn.errors import JobNotFinished as JobNotFinished
    from norn.errors import MissingPackage as MissingPackage
    from norn.errors import NornError as NornError
    from norn.errors import NotFound as NotFound
    from norn.errors import PermissionDenied as PermissionDenied
    from norn.errors import ProtocolError as ProtocolError
    from norn.errors import ServerUnavailable as ServerUnavailable
    from norn.errors import Unauthorized as Unauthorized
    from norn.jobs import Job as Job
    from norn.jobs import Progress as Progress
    from norn.jobs import TaskProgress as TaskProgress
    from norn.jobs import load_job as load_job
    from norn.terminal import ProgressPrinter as ProgressPrinter
    from norn.terminal import TransferPrinter as TransferPrinter


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module 'norn' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_FROM[name]), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted([*globals(), *_FROM])
