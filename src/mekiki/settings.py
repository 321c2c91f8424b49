"""Settings are written once: flags, recipe checks, help texts and fingerprints are made from them."""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo

from mekiki.errors import UsageError, nearest_name, unknown_name

AnySettings = TypeVar("AnySettings", bound="Settings")
Shape = Literal["switch", "one", "many", "pairs"]

MAX_SHOWN = 100
"""Characters of a wrong value that a message repeats."""


class Settings(pydantic.BaseModel):
    """Base of every stage's settings: frozen, and a misspelt name is refused."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


def Field(default: Any, *, description: str, **bounds: Any) -> Any:  # noqa: N802 - reads as a declaration
    """Declare a setting that changes results; ``bounds`` are pydantic's (``ge``, ``lt``, ...)."""
    return pydantic.Field(default, description=description, **bounds)


def SpeedOnly(default: Any, *, description: str, **bounds: Any) -> Any:  # noqa: N802 - reads as a declaration
    """Declare a setting that never changes results, so that another value continues the same run."""
    return pydantic.Field(default, description=description, json_schema_extra={"speed_only": True}, **bounds)


def Input(default: Any, *, description: str, **bounds: Any) -> Any:  # noqa: N802 - reads as a declaration
    """Declare what says where inputs are: outside the fingerprint, since what is in them counts and not where."""
    return SpeedOnly(default, description=description, **bounds)


def Positional(default: Any, *, description: str, **bounds: Any) -> Any:  # noqa: N802 - reads as a declaration
    """Declare the inputs of a stage: given without a flag, and outside the fingerprint as all inputs are."""
    return pydantic.Field(
        default, description=description, json_schema_extra={"speed_only": True, "positional": True}, **bounds
    )


class PerItemSettings(Settings):
    """What every stage has that works on one item at a time."""

    limit: int | None = SpeedOnly(None, ge=1, description="work on at most this many items that are not done yet")
    batch_size: int = SpeedOnly(32, ge=1, description="items in one batch, which is one transaction")
    workers: int = SpeedOnly(2, ge=1, description="threads that read and decode ahead")
    max_failed_share: float = SpeedOnly(
        0.5, ge=0, le=1, description="stop when more than this share of the items fails, after the first 20"
    )

    def with_batches_of(self, n_items: int) -> Self:
        """Return the settings with batches of so many items, unless the user chose a size."""
        return self if "batch_size" in self.model_fields_set else self.model_copy(update={"batch_size": n_items})


@dataclass(frozen=True, slots=True)
class Flag:
    """How one setting looks on the command line.

    Attributes:
        field: Name of the setting.
        shape: ``switch`` is ``--x/--no-x``, ``many`` repeats the flag, ``pairs`` repeats ``name=value``.
        is_positional: Given without a flag.
        description: One sentence.
        default: The default as text.
        choices: Allowed words, if they are a closed list.
    """

    field: str
    shape: Shape
    is_positional: bool
    description: str
    default: str
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The flag in kebab-case, with its dashes."""
        return "--" + self.field.replace("_", "-")


def flags_of(settings: type[Settings]) -> list[Flag]:
    """Return the flags of a settings class in the order of its fields: its own, inherited ones, the common ones."""
    fields = settings.model_fields
    common = set(PerItemSettings.model_fields)
    own = [name for name in settings.__annotations__ if name in fields and name not in common]
    inherited = [name for name in fields if name not in own and name not in common]
    ordered = [*own, *inherited, *(name for name in fields if name in common)]
    return [_flag_of(name, fields[name]) for name in ordered]


def is_marked(field: FieldInfo, mark: str) -> bool:
    """Return whether a field was declared with a mark such as ``speed_only``."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(mark))


def result_values(settings: Settings) -> dict[str, Any]:
    """Return the settings that change results, as plain JSON values."""
    speed = {name for name, field in type(settings).model_fields.items() if is_marked(field, "speed_only")}
    return settings.model_dump(mode="json", exclude=speed)


def fingerprint(stage: str, settings: Settings, identity: str, reads: Mapping[str, str]) -> str:
    """Return the run id: first 16 hex digits of SHA-256 over all that decides the result.

    Args:
        stage: The stage's name.
        settings: Its settings; those that only change speed do not count.
        identity: The backend: name, weights, preprocessing, precision. Empty without one.
        reads: What else the result depends on: names to run ids or hashes.
    """
    parts = {"stage": stage, "settings": result_values(settings), "identity": identity, "reads": dict(reads)}
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def without_places(value: Any) -> Any:
    """Return settings as they may be handed on: of every absolute path, also behind a kind, the name alone.

    Example:
        >>> without_places({"detector": "onnx:/home/me/yolox.onnx", "paths": ["a", "/data/b"], "keep": 50})
        {'detector': 'onnx:yolox.onnx', 'paths': ['a', 'b'], 'keep': 50}
    """
    if isinstance(value, Mapping):
        return {name: without_places(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_places(one) for one in value]
    if isinstance(value, str) and "://" not in value:
        parts = value.split(":")
        return ":".join(Path(part).name if Path(part).is_absolute() else part for part in parts)
    return value


def parse_settings(settings: type[AnySettings], values: Mapping[str, Any], where: str) -> AnySettings:
    """Return checked settings from a recipe's or command line's values.

    Args:
        settings: The class.
        values: Names to values; text is converted where the setting is a number, a path or a switch, and
            ``NAME=VALUE``, or a list of such, where it is a mapping.
        where: What to call the place in messages, such as ``split``.

    Raises:
        UsageError: For the first unknown name (with the nearest valid one) or bad value.
    """
    for name in values:
        if name not in settings.model_fields:
            raise UsageError(f"{where}: {unknown_name('setting', str(name), settings.model_fields)}")
    shapes = {flag.field: flag.shape for flag in flags_of(settings)}
    try:
        return settings(**{name: _shaped(name, value, shapes[name]) for name, value in values.items()})
    except pydantic.ValidationError as error:
        raise UsageError(f"{where}: {_first_problem(error, settings)}") from None
    except UsageError as error:  # of a setting that checks a name itself
        raise UsageError(f"{where}: {error}") from None


def read_pairs(words: Sequence[str], what: str) -> dict[str, str]:
    """Return names to values of ``NAME=VALUE`` words; a name may hold ``=`` itself.

    Args:
        words: As they were given.
        what: The flag or setting, for messages.

    Raises:
        UsageError: If one has no ``=``, or a name comes twice.

    Example:
        >>> read_pairs(["train=0.8", "a=b=0.2"], "--shares")
        {'train': '0.8', 'a=b': '0.2'}
    """
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.rpartition("=")
        if not equals:
            raise UsageError(f"{what} takes NAME=VALUE, got {word!r}")
        if name in pairs:
            raise UsageError(f"{what} names one thing twice: {' '.join(words)}")
        pairs[name] = value
    return pairs


def _shaped(name: str, value: Any, shape: Shape) -> Any:
    """Return a value as its setting takes it: one where several may stand is a list of one, as `group_by: site`."""
    is_single = isinstance(value, str | int | float | Path)
    if shape == "many" and is_single:
        return [value]
    if shape == "pairs" and (is_single or (isinstance(value, list | tuple) and value)):
        return read_pairs([str(word) for word in ([value] if is_single else value)], name)
    return value


def _first_problem(error: pydantic.ValidationError, settings: type[Settings]) -> str:
    """Turn pydantic's first complaint into one line, with the nearest word where there is a closed list."""
    first = error.errors()[0]
    place = ".".join(part for part in first["loc"] if isinstance(part, str))
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error" and not place:
        return what
    words = _shape_of(settings.model_fields[str(first["loc"][0])].annotation)[1] if first["loc"] else ()
    near = nearest_name(str(first["input"]), words)
    guess = f". Did you mean {near!r}?" if near else ""
    return f"{place}: {what[0].lower()}{what[1:]}, got {_shortened(first['input'])}{guess}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _flag_of(name: str, field: FieldInfo) -> Flag:
    shape, choices = _shape_of(field.annotation)
    default = field.default
    text = "" if default is None or default == () or default == {} else _as_text(default)
    return Flag(name, shape, is_marked(field, "positional"), field.description or "", text, choices)


def _as_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={part}" for key, part in value.items())
    if isinstance(value, tuple):
        return " ".join(str(part) for part in value)
    return str(value)


def _shape_of(annotation: Any) -> tuple[Shape, tuple[str, ...]]:
    """Return a field's shape on the command line and its closed list of words."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return _shape_of(inner[0])
    if annotation is bool:
        return "switch", ()
    if origin is Literal:
        return "one", tuple(str(word) for word in get_args(annotation))
    if origin in (tuple, list):
        return "many", _shape_of(get_args(annotation)[0])[1]
    if origin in (dict, Mapping) or annotation is dict:
        return "pairs", ()
    return "one", ()
