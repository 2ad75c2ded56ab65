"""The command line of a component program, as sites call it:

MODULE component execute --config FILE [--execution-final-meta-path FILE]
MODULE component list | desc --name NAME | desc --all | artifact-type --name NAME --role ROLE --stage STAGE
MODULE component cleanup --config FILE
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Dict, List, Mapping, NoReturn, Optional, Sequence

from norn.component.declare import Component, registered
from norn.component.errors import ComponentError, TaskConfigurationError
from norn.component.task import execute, save_json

CONFIG_MAX = 64 << 20


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Components for Norn.")
    top = parser.add_subparsers(dest="group", required=True, metavar="component")
    commands = top.add_parser("component", help="what a site calls").add_subparsers(dest="command", required=True)

    run = commands.add_parser("execute", help="run one task")
    run.add_argument("--config", required=True, help="the task configuration, JSON")
    run.add_argument("--execution-final-meta-path", default="./execution_final_meta.json", help="the result file")
    run.add_argument("--process-tag", help=argparse.SUPPRESS)

    commands.add_parser("list", help="names of the components").add_argument("--save", help="write to this file")

    desc = commands.add_parser("desc", help="describe a component")
    which = desc.add_mutually_exclusive_group(required=True)
    which.add_argument("--name")
    which.add_argument("--all", action="store_true")
    desc.add_argument("--save", help="write to this file")

    types = commands.add_parser("artifact-type", help="what takes part in a role and stage")
    types.add_argument("--name", required=True)
    types.add_argument("--role", required=True)
    types.add_argument("--stage", required=True)
    types.add_argument("--output-path", dest="save", help="write to this file")

    commands.add_parser("cleanup", help="after a task; nothing is left to do").add_argument("--config", required=True)
    return parser


def _load_config(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as f:
            text = f.read(CONFIG_MAX + 1)
        if len(text) > CONFIG_MAX:
            raise TaskConfigurationError(f"{path} is larger than {CONFIG_MAX >> 20} MiB")
        value = json.loads(text)
    except OSError as e:
        raise TaskConfigurationError(f"the task configuration cannot be read: {e}") from e
    except (ValueError, RecursionError) as e:
        raise TaskConfigurationError(f"{path} is not JSON: {e}") from e
    if not isinstance(value, dict):
        raise TaskConfigurationError(f"{path} holds no map")
    return value


def _print(value: Any, save: Optional[str]) -> None:
    if save:
        save_json(save, value)
    else:
        print(json.dumps(value, indent=2, sort_keys=True))


def _find(components: Mapping[str, Component], name: str) -> Component:
    if name not in components:
        raise TaskConfigurationError(f"there is no component '{name[:60]}' (known: {', '.join(components) or 'none'})")
    return components[name]


def _active(c: Component, role: str, stage: str) -> Dict[str, Any]:
    for what, given, known in (("role", role, c.roles), ("stage", stage, c.stages)):
        if given not in known:
            raise TaskConfigurationError(f"component {c.name} has no {what} '{given[:60]}'")
    return c.describe_active(role, stage)


def run_command(components: Mapping[str, Component], arguments: Sequence[str]) -> int:
    """Does what the arguments say; the exit status."""
    o = _parser().parse_args(list(arguments))
    try:
        if o.command == "execute":
            return execute(components, _load_config(o.config), o.execution_final_meta_path)
        if o.command == "list":
            _print({"buildin": list(components), "thirdparty": []}, o.save)
        elif o.command == "desc":
            found: List[Component] = list(components.values()) if o.all else [_find(components, o.name)]
            _print({c.name: c.describe() for c in found} if o.all else found[0].describe(), o.save)
        elif o.command == "artifact-type":
            _print(_active(_find(components, o.name), o.role, o.stage), o.save)
        return 0
    except (ComponentError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1


def main(*components: Component) -> NoReturn:
    """The whole program: ends the process. Without arguments it has every component declared so far."""
    known = {c.name: c for c in components} if components else dict(registered)
    sys.exit(run_command(known, sys.argv[1:]))
