"""The key store: which app signs the requests to which node. It is the one of the command line (`norn client login`),
~/.config/norn/keys, or below $XDG_CONFIG_HOME: {"URL": {"app_id": "...", "app_token": "..."}}. Nobody else may read it.
"""

from __future__ import annotations

import json
import os
import stat
from typing import NamedTuple, Optional

from norn.errors import ConfigurationError
from norn.transport import check_url

SIZE_MAX = 1 << 20


class Key(NamedTuple):
    """An app: who calls. The token is secret."""

    app_id: str
    app_token: str

    def __repr__(self) -> str:
        return f"Key({self.app_id!r}, ...)"


def default_path() -> str:
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "norn", "keys")


def _read(store: str) -> Optional[bytes]:
    """The content; None when there is no such file."""
    try:
        fd = os.open(store, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as f:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise ConfigurationError(f"{store} is no regular file")
        if about.st_uid != os.geteuid():
            raise ConfigurationError(f"{store} belongs to another user: keys are not taken")
        if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                f"{store} can be read or changed by others: chmod 600 it, and let its tokens be replaced if somebody "
                "may have seen them"
            )
        return f.read(SIZE_MAX + 1)


def find(url: str, path: Optional[str] = None) -> Optional[Key]:
    """The key for a node; None when there is none. A store at the default place need not be there."""
    store = path if path is not None else default_path()
    try:
        text = _read(store)
    except OSError as e:
        raise ConfigurationError(f"the key store {store} cannot be read: {e}") from e
    if text is None:
        if path is not None:
            raise ConfigurationError(f"there is no key store {store}")
        return None
    try:
        known = json.loads(text) if len(text) <= SIZE_MAX else None
    except (ValueError, RecursionError):
        known = None  # its words would show what the file holds
    if not isinstance(known, dict):
        raise ConfigurationError(f"the key store {store} is damaged: remove it, and log in again")
    wanted = check_url(url)
    for node, key in known.items():
        if node.rstrip("/") != wanted:
            continue
        app_id = key.get("app_id") if isinstance(key, dict) else None
        token = key.get("app_token") if isinstance(key, dict) else None
        if not isinstance(app_id, str) or not isinstance(token, str):
            raise ConfigurationError(f"the key store {store} is damaged: the key of {node} has no app_id or app_token")
        return Key(app_id, token)
    return None
