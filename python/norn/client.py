"""The client of one node."""

from __future__ import annotations

import os
import pwd
from types import TracebackType
from typing import Optional, Type

from norn import keys
from norn.groups import JobGroup, LogGroup, OutputGroup, TaskGroup
from norn.site import (
    AppGroup,
    DataGroup,
    ModelGroup,
    PermissionGroup,
    ProviderGroup,
    ServerGroup,
    SiteGroup,
    TableGroup,
)
from norn.transport import Transport

DEFAULT_URL = "http://127.0.0.1:9380"


def _login_name() -> str:
    """For the audit of the site; "" when there is none that could stand in a header."""
    try:
        name = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return ""
    return name if name.isascii() and name.isprintable() else ""


class Client:
    """A node's API, a group an attribute: client.job, client.data, ...

    url: the node; by default the environment variable NORN_URL, then http://127.0.0.1:9380.
    app_id, app_token: who calls, where the site wants signatures; by default what the key store holds for the url.
    user: text that is kept with jobs and in the audit; with a signature by default the name of the login.
    ca: a file or directory with the authorities to trust for https; by default the environment variable NORN_CA.
    connect_timeout, timeout: seconds until there is a connection, and between two pieces of an answer.
    retries: how often a call that may be repeated is repeated when the connection breaks.
    key_store: another file than ~/.config/norn/keys; "" for none.

    A client is for one thread. It can be used in a with statement, which closes its connections.
    """

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        app_id: Optional[str] = None,
        app_token: Optional[str] = None,
        user: Optional[str] = None,
        ca: Optional[str] = None,
        connect_timeout: float = 5.0,
        timeout: float = 60.0,
        retries: int = 3,
        key_store: Optional[str] = None,
    ) -> None:
        node = url or os.environ.get("NORN_URL") or DEFAULT_URL
        if app_id is None and app_token is None and key_store != "":
            found = keys.find(node, key_store)
            if found is not None:
                app_id, app_token = found.app_id, found.app_token
        if user is None:
            user = _login_name() if app_id is not None else ""
        self.transport = Transport(
            node,
            app_id=app_id,
            app_token=app_token,
            user=user,
            ca=ca or os.environ.get("NORN_CA") or None,
            connect_timeout=connect_timeout,
            timeout=timeout,
            retries=retries,
        )
        self.job = JobGroup(self)
        self.task = TaskGroup(self)
        self.output = OutputGroup(self)
        self.log = LogGroup(self)
        self.data = DataGroup(self)
        self.table = TableGroup(self)
        self.model = ModelGroup(self)
        self.provider = ProviderGroup(self)
        self.permission = PermissionGroup(self)
        self.app = AppGroup(self)
        self.site = SiteGroup(self)
        self.server = ServerGroup(self)

    def close(self) -> None:
        self.transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.transport.url!r})"
