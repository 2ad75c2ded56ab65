"""What a component says of itself: read from the signature of its function.

The first argument is the task. Arguments annotated DataInput, DataOutput, ModelInput or ModelOutput are artifacts;
keyword-only arguments are parameters.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
import typing
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Literal, Mapping, Optional, Sequence, Tuple, Union

from norn.component.errors import DeclarationError, ParameterError

ROLES = ("local", "guest", "host", "arbiter")
STAGES = ("default", "train", "predict", "cross_validation")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}\Z")
_NONE = type(None)


@dataclass(frozen=True)
class Param:
    """Bounds and words of a parameter: Annotated[int, Param("how many", minimum=1)].

    minimum and maximum are inclusive and for numbers; max_length is for texts, lists and maps.
    """

    help: str = ""
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    max_length: Optional[int] = None


@dataclass(frozen=True)
class Artifact:
    """More about an input or output: Annotated[DataInput, Artifact("what it is", types=("table",))].

    types: kinds it may have, the first is that of outputs. roles, stages: where it takes part; empty: everywhere.
    """

    help: str = ""
    types: Tuple[str, ...] = ()
    roles: Tuple[str, ...] = ()
    stages: Tuple[str, ...] = ()


# The classes that functions are given, by name, so that this module needs no I/O.
_KINDS = {
    "Table": ("in", "data", ("dataframe", "table")),
    "TableWriter": ("out", "data", ("dataframe",)),
    "ModelReader": ("in", "model", ("json_model",)),
    "ModelWriter": ("out", "model", ("json_model",)),
}
KNOWN_TYPES = {"data": ("dataframe", "table"), "model": ("json_model",)}

_TYPE_NAMES = {str: "str", bool: "bool", int: "int", float: "float", list: "list", dict: "dict", object: "any"}
_JSON_NAMES = {
    "str": "string",
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "list": "array",
    "dict": "object",
}
_WORDS = {
    "str": "a string",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "list": "a list",
    "dict": "a map",
    "any": "a value",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter with its type (str, bool, int, float, list, dict, any); item: the type of list elements."""

    name: str
    type: str
    required: bool
    default: Any
    nullable: bool
    param: Param
    item: Optional[str] = None
    choices: Tuple[Any, ...] = ()

    def check(self, value: Any) -> Any:
        """The value as the function gets it; ParameterError when it does not fit."""
        where = f"parameter {self.name}"
        if value is None:
            if self.nullable:
                return None
            raise ParameterError(f"{where} must not be null")
        value = _fit(value, self.type, where)
        if self.choices and not any(type(c) is type(value) and c == value for c in self.choices):
            known = ", ".join(repr(c) for c in self.choices)
            raise ParameterError(f"{where}: {_shown(value)} is not one of {known}")
        if self.item is not None:
            value = [_fit(v, self.item, f"{where}, element {i + 1}") for i, v in enumerate(value)]
            for i, v in enumerate(value):
                self._bounds(v, f"{where}, element {i + 1}")
        else:
            self._bounds(value, where)
        limit = self.param.max_length
        if limit is not None and isinstance(value, (str, list, dict)) and len(value) > limit:
            raise ParameterError(f"{where} has length {len(value)}, more than {limit}")
        return value

    def _bounds(self, value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return
        low, high = self.param.minimum, self.param.maximum
        if (low is not None and value < low) or (high is not None and value > high):
            if low is not None and high is not None:
                text = f"within {low:g} and {high:g}"
            else:
                text = f"at least {low:g}" if low is not None else f"at most {high:g}"
            raise ParameterError(f"{where}: {_shown(value)} is not {text}")

    def describe(self) -> Dict[str, Any]:
        meta: Dict[str, Any] = {"title": self.name}
        if self.type in _JSON_NAMES:
            meta["type"] = _JSON_NAMES[self.type]
        of: Dict[str, Any] = meta
        if self.item is not None:
            of = {"type": _JSON_NAMES[self.item]} if self.item in _JSON_NAMES else {}
            meta["items"] = of
        if self.param.minimum is not None:
            of["minimum"] = self.param.minimum
        if self.param.maximum is not None:
            of["maximum"] = self.param.maximum
        if self.choices:
            meta["enum"] = list(self.choices)
        if self.param.max_length is not None:
            meta[{"str": "maxLength", "list": "maxItems"}.get(self.type, "maxProperties")] = self.param.max_length
        return {
            "type": self.type,
            "default": self.default,
            "optional": not self.required,
            "description": self.param.help,
            "type_meta": meta,
        }


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


def _fit(value: Any, kind: str, where: str) -> Any:
    """The value as the kind; whole floats are ints where an int is wanted, ints are floats."""
    if kind == "any":
        return value
    if kind == "int" and isinstance(value, float) and value.is_integer() and abs(value) < 9e15:
        value = int(value)
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise ParameterError(f"{where} is too large") from None
    want = {"str": str, "bool": bool, "int": int, "float": float, "list": list, "dict": dict}[kind]
    fits = isinstance(value, want) and not (kind == "int" and isinstance(value, bool))
    if not fits or (kind == "float" and not math.isfinite(value)):
        raise ParameterError(f"{where}: {_shown(value)} is not {_WORDS[kind]}")
    return value


@dataclass(frozen=True)
class ArtifactSpec:
    """One input or output. group: data or model."""

    name: str
    direction: str
    group: str
    types: Tuple[str, ...]
    optional: bool
    multi: bool
    roles: Tuple[str, ...]
    stages: Tuple[str, ...]
    help: str = ""

    def active(self, role: str, stage: str) -> bool:
        return role in self.roles and stage in self.stages

    def describe(self) -> Dict[str, Any]:
        return {
            "types": list(self.types),
            "optional": self.optional,
            "stages": list(self.stages),
            "roles": list(self.roles),
            "description": self.help,
            "is_multi": self.multi,
        }

    def describe_active(self) -> Dict[str, Any]:
        path_type = "directory" if self.group == "data" else "file"
        return {
            "name": self.name,
            "is_multi": self.multi,
            "optional": self.optional,
            "types": [{"type_name": t, "uri_types": ["file"], "path_type": path_type} for t in self.types],
        }


@dataclass(frozen=True)
class Component:
    """A component: its description and its function. Calling it calls the function."""

    name: str
    function: Callable[..., None]
    version: str
    description: str
    roles: Tuple[str, ...]
    stages: Tuple[str, ...]
    parameters: Tuple[Parameter, ...]
    artifacts: Tuple[ArtifactSpec, ...]
    positional: Tuple[str, ...] = field(default=(), repr=False)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        self.function(*args, **kwargs)

    def check_parameters(self, given: Mapping[str, Any]) -> Dict[str, Any]:
        """Every declared parameter, defaults filled in; ParameterError names the one that is wrong."""
        known = {p.name: p for p in self.parameters}
        for name in given:
            if name not in known:
                names = ", ".join(known) or "none"
                raise ParameterError(f"unknown parameter {_shown(name)} (known: {names})")
        out = {}
        for p in self.parameters:
            if p.name in given and not (given[p.name] is None and not p.nullable and not p.required):
                out[p.name] = p.check(given[p.name])
            elif p.required:
                raise ParameterError(f"parameter {p.name} is required")
            else:
                out[p.name] = p.default
        return out

    def describe(self, provider: str = "") -> Dict[str, Any]:
        """What `component desc` prints."""
        artifacts: Dict[str, Dict[str, Dict[str, Any]]] = {
            "in": {"data": {}, "model": {}},
            "out": {"data": {}, "model": {}, "metric": {}},
        }
        for a in self.artifacts:
            artifacts[a.direction][a.group][a.name] = a.describe()
        metric = ArtifactSpec(
            "metric", "out", "metric", ("json_metric",), False, False, self.roles, self.stages, "metrics of the task"
        )
        artifacts["out"]["metric"]["metric"] = metric.describe()
        return {
            "component": {
                "name": self.name,
                "description": self.description,
                "provider": provider,
                "version": self.version,
                "labels": [],
                "roles": list(self.roles),
                "parameters": {p.name: p.describe() for p in self.parameters},
                "input_artifacts": artifacts["in"],
                "output_artifacts": artifacts["out"],
            },
            "schema_version": "v1",
        }

    def describe_active(self, role: str, stage: str) -> Dict[str, Any]:
        """What `component artifact-type` prints."""
        out: Dict[str, Dict[str, List[Dict[str, Any]]]] = {
            "inputs": {"data": [], "model": []},
            "outputs": {"data": [], "model": [], "metric": []},
        }
        for a in self.artifacts:
            if a.active(role, stage):
                out["inputs" if a.direction == "in" else "outputs"][a.group].append(a.describe_active())
        out["outputs"]["metric"].append(
            {
                "name": "metric",
                "is_multi": False,
                "optional": False,
                "types": [{"type_name": "json_metric", "uri_types": ["file", "http"], "path_type": "file"}],
            }
        )
        return out


registered: Dict[str, Component] = {}
"""Every component declared so far, by name."""


def component(
    name: Optional[str] = None,
    *,
    version: str = "1.0.0",
    roles: Sequence[str] = ("guest", "host"),
    stages: Sequence[str] = ("default",),
    description: Optional[str] = None,
) -> Callable[[Callable[..., None]], Component]:
    """Makes a component of a function.

    name: that of the function by default. description: by default the first paragraph of its documentation.
    Raises DeclarationError, when the module is loaded, for what cannot be.
    """

    def decorate(function: Callable[..., None]) -> Component:
        c = _build(function, name or function.__name__, version, tuple(roles), tuple(stages), description)
        registered[c.name] = c
        return c

    return decorate


def _build(
    function: Callable[..., None],
    name: str,
    version: str,
    roles: Tuple[str, ...],
    stages: Tuple[str, ...],
    description: Optional[str],
) -> Component:
    if not NAME.match(name):
        raise DeclarationError(f"'{name}' is not a name for a component: letters, digits and _, at most 50")
    _check_set(f"component {name}: role", roles, ROLES)
    _check_set(f"component {name}: stage", stages, STAGES)
    if description is None:
        description = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    hints = typing.get_type_hints(function, include_extras=True)
    arguments = list(inspect.signature(function).parameters.values())
    if not arguments or arguments[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise DeclarationError(f"component {name}: the first argument must be the task")
    artifacts, parameters = [], []
    for a in arguments[1:]:
        where = f"component {name}, argument {a.name}"
        if a.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            raise DeclarationError(f"{where}: *args and **kwargs cannot be declared")
        if a.name not in hints:
            raise DeclarationError(f"{where} has no type")
        if not NAME.match(a.name):
            raise DeclarationError(f"{where}: not a name for a parameter or artifact")
        if a.kind is inspect.Parameter.KEYWORD_ONLY:
            parameters.append(_parameter(where, a, hints[a.name]))
        else:
            artifacts.append(_artifact(where, a, hints[a.name], roles, stages))
    return Component(
        name,
        function,
        version,
        description,
        roles,
        stages,
        tuple(parameters),
        tuple(artifacts),
        tuple(a.name for a in artifacts),
    )


def _check_set(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    if not given:
        raise DeclarationError(f"{what}s are missing")
    for g in given:
        if g not in known:
            raise DeclarationError(f"{what} '{g}' is not one of {', '.join(known)}")


def _split(hint: Any) -> Tuple[Any, List[Any], bool]:
    """The type, what Annotated says besides, and whether None is allowed."""
    extras: List[Any] = []
    nullable = False
    while True:
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:
            extras.extend(hint.__metadata__)
            hint = hint.__origin__
        elif origin is Union or (sys.version_info >= (3, 10) and _is_new_union(origin)):
            inner = [t for t in typing.get_args(hint) if t is not _NONE]
            nullable = nullable or len(inner) < len(typing.get_args(hint))
            if len(inner) != 1:
                return hint, extras, nullable
            hint = inner[0]
        else:
            return hint, extras, nullable


def _is_new_union(origin: Any) -> bool:
    import types

    return origin is getattr(types, "UnionType", None)


def _one(where: str, extras: List[Any], wanted: type, other: type) -> Any:
    for e in extras:
        if isinstance(e, other):
            raise DeclarationError(f"{where}: {other.__name__} does not belong here, {wanted.__name__} does")
    found = [e for e in extras if isinstance(e, wanted)]
    if len(found) > 1:
        raise DeclarationError(f"{where} has more than one {wanted.__name__}")
    return found[0] if found else wanted()


def _parameter(where: str, a: inspect.Parameter, hint: Any) -> Parameter:
    kind, extras, nullable = _split(hint)
    param = _one(where, extras, Param, Artifact)
    choices: Tuple[Any, ...] = ()
    item: Optional[str] = None
    origin = typing.get_origin(kind)
    if origin is Literal:
        choices = typing.get_args(kind)
        if len({type(c) for c in choices}) != 1:
            raise DeclarationError(f"{where}: the choices must be of one type")
        kind = type(choices[0])
    elif origin in (list, dict):
        args = typing.get_args(kind)
        if origin is list and args and args[0] is not Any:
            if args[0] not in _TYPE_NAMES:
                raise DeclarationError(f"{where}: elements of type {args[0]} are not supported")
            item = _TYPE_NAMES[args[0]]
        kind = origin
    elif kind is Any:
        kind = object
        nullable = True
    if kind not in _TYPE_NAMES:
        raise DeclarationError(
            f"{where}: type {kind} is not supported; str, bool, int, float, list, dict, Literal, Any are"
        )
    required = a.default is inspect.Parameter.empty
    default = None if required else a.default
    p = Parameter(a.name, _TYPE_NAMES[kind], required, default, nullable, param, item, choices)
    if not required:
        try:
            p.check(default)
        except ParameterError as e:
            raise DeclarationError(f"{where}: the default does not fit: {e}") from e
    return p


def _artifact(
    where: str, a: inspect.Parameter, hint: Any, roles: Tuple[str, ...], stages: Tuple[str, ...]
) -> ArtifactSpec:
    kind, extras, nullable = _split(hint)
    multi = typing.get_origin(kind) is list
    if multi:
        kind, more, _ = _split(typing.get_args(kind)[0])
        extras += more
    found = _KINDS.get(getattr(kind, "__name__", ""))
    if found is None or not getattr(kind, "__module__", "").startswith("norn.component"):
        raise DeclarationError(
            f"{where}: not an artifact (DataInput, DataOutput, ModelInput, ModelOutput); parameters stand behind a *"
        )
    direction, group, default_types = found
    if multi and direction == "out":
        raise DeclarationError(f"{where}: an output is one, not a list")
    art = _one(where, extras, Artifact, Param)
    types = art.types or default_types
    _check_set(f"{where}: type", types, KNOWN_TYPES[group])
    _check_set(f"{where}: role", art.roles or roles, roles)
    _check_set(f"{where}: stage", art.stages or stages, stages)
    partial = set(art.roles or roles) != set(roles) or set(art.stages or stages) != set(stages)
    if partial and not nullable:
        raise DeclarationError(f"{where} is not there in every role and stage, so its type must be Optional[...]")
    return ArtifactSpec(
        a.name,
        direction,
        group,
        types,
        nullable and not (partial and a.default is inspect.Parameter.empty),
        multi,
        art.roles or roles,
        art.stages or stages,
        art.help,
    )
