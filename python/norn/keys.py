"""The key store: which app id and token belong to which node. A text file that only its owner may read,
~/.config/norn/keys (below $XDG_CONFIG_HOME where that is set).

One key a line: the node's URL, the app id, the token, separated by blanks. Lines that are empty or begin with # do not count.
"""

from __future__ import annotations

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


def find(url: str, path: Optional[str] = None) -> Optional[Key]:
    """The key for a node; None when there is none. A store at the default place need not be there."""
    store = path if path is not None else default_path()
    try:
        with open(store, encoding="utf-8") as f:
            about = os.fstat(f.fileno())
            if about.st_uid != os.geteuid() or about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigurationError(f"{store} must belong to you and be readable by nobody else: chmod 600 {store}")
            text = f.read(SIZE_MAX + 1)
    except FileNotFoundError:
        if path is not None:
            raise ConfigurationError(f"there is no key store {store}") from None
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigurationError(f"the key store {store} cannot be read: {e}") from e
    if len(text) > SIZE_MAX:
        raise ConfigurationError(f"the key store {store} is too large")
    wanted = check_url(url)
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3:
            raise ConfigurationError(f"{store}, line {number}: not a URL, an app id and a token")
        if words[0].rstrip("/") == wanted:
            return Key(words[1], words[2])
    return None
