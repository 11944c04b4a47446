"""Reading a configuration file and overrides into a model, with errors that name key, rule and value."""

from __future__ import annotations

import difflib
import json
import textwrap
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def shipped_file(name: str | Path, suffix: str = "") -> Path | None:
    """Find a file by its path, else by its name among the configs that come with respun.

    These are in `configs/`: beside the package `pipeline` in a checkout, inside it in an installed wheel.
    """
    given = Path(name).expanduser()
    if given.is_file():
        return given
    package = Path(__file__).resolve().parent
    names = (given.name, f"{given.name}{suffix}")
    shipped = (folder / "configs" / name for folder in (package, package.parent) for name in names)
    return next((path for path in shipped if path.is_file()), None)


def load_into(model: type[Model], path: str | Path | None, overrides: Sequence[str]) -> Model:
    """Validate a file's values with the overrides on top. Raises ConfigError."""
    values = {} if path is None else _read(path)
    for override in overrides:
        _apply(model, values, override)
    return load_values(model, values)


def load_values(model: type[Model], values: dict[str, Any]) -> Model:
    """Validate values. Raises ConfigError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = [_explain(model, dict(detail)) for detail in error.errors()]
        raise ConfigError("; ".join(lines)) from None


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All dotted keys of a model: "threshold", "columns.text" ..."""
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from keys(type(field.default), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their dotted keys."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _read(path: str | Path) -> dict[str, Any]:
    found = shipped_file(path, ".toml")
    if found is None:
        raise ConfigError(f"config file: must be a TOML file or a preset's name, not found: {path}")
    try:
        return tomllib.loads(found.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {found}: must be valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"config file {found}: can't be read: {error.strerror}") from None


def _apply(model: type[BaseModel], values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not key:
        raise ConfigError(f"--set: must have the form key=value, not {override!r}")
    if key not in set(keys(model)):
        raise ConfigError(_unknown(model, key))
    *sections, name = key.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{section}: must be a section, not {inner!r}")
        values = inner
    values[name] = _value(text, wants_text=_default(model, key).__class__ is str)


def _value(text: str, wants_text: bool) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A column may be called 2024 or true: for a key that holds text only a quoted literal is one.
    if parsed.keys() != {"value"} or (wants_text and not isinstance(parsed["value"], str)):
        return text
    return parsed["value"]


def _default(model: type[BaseModel], key: str) -> Any:
    default: Any = model
    for name in key.split("."):
        default = type(default) if isinstance(default, BaseModel) else default
        default = default.model_fields[name].default
    return default


def _unknown(model: type[BaseModel], key: str) -> str:
    known = list(keys(model))
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    near += [k for k in known if k.rpartition(".")[2] == key.rpartition(".")[2] and k not in near]
    return f"{key}: unknown key" + (f"; did you mean {' or '.join(near)}?" if near else "")


def _explain(model: type[BaseModel], detail: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return _unknown(model, key)
    rule = str(detail["msg"]).replace("Input should be", "must be").replace("String should", "must")
    return f"{key}: {rule}, not {detail['input']!r}"


def render(model: type[BaseModel], intro: str) -> str:
    """A TOML file of each key with its default, under a comment that explains it, after an introduction."""
    return "\n".join(_render(model, "", intro)) + "\n"


def _render(model: type[BaseModel], name: str, intro: str) -> Iterator[str]:
    if name:
        yield f"\n[{name}]"
    yield from _comment(intro)
    sections = []
    for key, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            sections.append((type(field.default), key))
            continue
        yield ""
        yield from _comment(f"{field.description}{_bounds(field.metadata)}")
        yield f"{key} = {_literal(field.default)}"
    for section, key in sections:
        yield from _render(section, key, section.__doc__ or "")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 108, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _bounds(metadata: list[Any]) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    found = [f"{words[name]} {getattr(m, name)}" for m in metadata for name in words if hasattr(m, name)]
    return f" [{', '.join(found)}]" if found else ""


def _literal(value: object) -> str:
    return json.dumps(value)  # TOML and JSON write strings, numbers and booleans alike
