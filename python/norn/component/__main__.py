"""python -m norn.component describe MODULE: what a site must know to run the components of a module.
python -m norn.component register MODULE: tells a node."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
from typing import Any, Dict, List, Optional, Sequence

from norn.component.declare import registered
from norn.errors import NornError


class ModuleError(NornError):
    """The module cannot be loaded, or is no component program."""


def registration(
    module: str, *, name: Optional[str], version: Optional[str], python: str, path: Sequence[str]
) -> Dict[str, Any]:
    """The body of POST /v2/provider/register."""
    directories = [os.path.abspath(p) for p in path]
    for d in directories:
        if os.pathsep in d:
            raise ModuleError(f"directory {d}: its name must not hold '{os.pathsep}'")
    sys.path[:0] = directories
    before = set(registered)
    try:
        loaded = importlib.import_module(module)
    except ImportError as e:
        raise ModuleError(f"module {module} cannot be loaded: {e} (--path names directories to look in)") from e
    mine = [c for n, c in registered.items() if n not in before or c.function.__module__ == loaded.__name__]
    if not mine:
        raise ModuleError(f"module {module} declares no component")
    metadata: Dict[str, Any] = {"venv": os.path.abspath(python), "module": module}
    metadata["path"] = os.pathsep.join(directories)
    provider = name or module.rpartition(".")[2]
    return {
        "name": provider,
        "version": version or mine[0].version,
        "device": "local",
        "metadata": metadata,
        "components_description": {c.name: c.describe(provider) for c in mine},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m norn.component")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, text in (
        ("describe", "print what the registration of a module's components needs"),
        ("register", "register a module's components at a node"),
    ):
        p = commands.add_parser(command, help=text, description=text)
        p.add_argument("module", help="the module, as in python -m MODULE")
        p.add_argument("--name", help="of the provider (the last part of the module's name)")
        p.add_argument("--version", help="of the provider (that of the first component)")
        p.add_argument(
            "--path", action="append", help="a directory where the module is, may be repeated (the current one)"
        )
        p.add_argument("--python", default=sys.executable, help="the interpreter that the site is to use (%(default)s)")
        if command == "register":
            p.add_argument("--url", help="the node ($NORN_URL, http://127.0.0.1:9380)")
            p.add_argument("--ca", help="file with the authorities to trust for https")
    return parser


def main(arguments: Optional[List[str]] = None) -> int:
    o = _parser().parse_args(arguments)
    try:
        found = registration(o.module, name=o.name, version=o.version, python=o.python, path=o.path or ["."])
        if o.command == "describe":
            print(json.dumps(found, indent=2, sort_keys=True))
            return 0
        from norn.client import Client

        with Client(o.url, ca=o.ca) as client:
            client.provider.register(
                found["name"], found["version"], found["metadata"], found["components_description"]
            )
        provider = f"{found['name']}:{found['version']}@local"
        print(f"registered {provider}: {', '.join(found['components_description'])}")
        return 0
    except NornError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
