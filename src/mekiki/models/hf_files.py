"""Models of transformers as folders: out of the hub, its cache or from the disk; nothing that they hold is run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from mekiki.errors import BackendError
from mekiki.models.embed_hub import first_line, hub_access
from mekiki.training.packages import import_torch, import_transformers
from mekiki.training.pretrained import is_offline

WEIGHTS = "*.safetensors"
PARTS = (WEIGHTS, "*.json", "*.txt", "*.model", "*.jinja")
"""Files that decide what a model gives: weights, configurations, the words of a tokenizer, a chat's template."""

EXTRA = "hf"


@dataclass(frozen=True, slots=True)
class HfName:
    """What was asked for, for messages.

    Attributes:
        name: As the user wrote it: ``hf:OWNER/NAME``.
        otherwise: What to type instead where the weights cannot be had.
    """

    name: str
    otherwise: str

    @property
    def kind(self) -> str:
        """What stands before the first colon."""
        return self.name.partition(":")[0]

    @property
    def what(self) -> str:
        """What stands behind it: ``OWNER/NAME`` of a repository, or a folder."""
        return self.name.partition(":")[2]


def find_folder(asked: HfName) -> Path:
    """Return the folder with a model's files, fetched if it is a repository that the hub's cache lacks.

    Raises:
        BackendError: If there is no such folder, the repository cannot be had, or its weights are in no safetensors
            file: all else would have to be run to be read.
    """
    folder = Path(asked.what)
    if not folder.is_dir():
        if asked.what.count("/") != 1 or asked.what.startswith((".", "/", "~")) or asked.what.endswith("/"):
            raise BackendError(f"{asked.what!r} is neither a folder nor OWNER/NAME of a repository on the hub")
        folder = _fetch(asked)
    if not any(folder.glob(WEIGHTS)):
        raise BackendError(
            f"{asked.name} has no {WEIGHTS} file; weights of other kinds are programs, which are not run. Take a "
            f"folder with model.safetensors in it, as save_pretrained writes it: {asked.kind}:FOLDER"
        )
    return folder


@cache  # once per process, so that what is hashed is what is loaded
def _fetch(asked: HfName) -> Path:
    import_transformers(EXTRA)
    from huggingface_hub import snapshot_download

    with hub_access(asked, asked.what, otherwise=asked.otherwise), _without_bars():
        found = snapshot_download(
            asked.what, allow_patterns=list(PARTS), ignore_patterns=["*/*"], local_files_only=is_offline()
        )
    return Path(found)


def parts_of(folder: Path) -> list[Path]:
    """Return the files of a model's folder that decide what it gives, sorted by name."""
    return sorted({path for pattern in PARTS for path in folder.glob(pattern) if path.is_file()})


@contextmanager
def loading(name: str, what: str) -> Iterator[None]:
    """Turn what transformers raises inside into one line, and keep its bars and warnings from the terminal.

    Args:
        name: Of the model, for messages.
        what: What is loaded: ``model``, ``tokenizer``.

    Raises:
        BackendError: For whatever it raises at files that it cannot use.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging as loudness

    level = loudness.get_verbosity()
    loudness.set_verbosity_error()
    try:
        with warnings.catch_warnings(), _without_bars():
            warnings.simplefilter("ignore")
            yield
    except UnpicklingError as error:
        raise BackendError(
            f"{name}: the weights of its {what} hold more than tensors, which only running them would show; "
            "nothing was run. Take a folder with model.safetensors in it"
        ) from error
    except (*TROUBLE, SafetensorError) as error:
        raise BackendError(f"{name}: transformers cannot load its {what}: {first_line(error)}") from error
    finally:
        loudness.set_verbosity(level)


@contextmanager
def _without_bars() -> Iterator[None]:
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as loudness

    has_bars, has_hubs = loudness.is_progress_bar_enabled(), not are_progress_bars_disabled()
    loudness.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        for has, enable in ((has_hubs, enable_progress_bars), (has_bars, loudness.enable_progress_bar)):
            if has:
                enable()


TROUBLE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError),
    *(EOFError, OverflowError, MemoryError, AssertionError),
)
"""What transformers was seen to raise, or may raise, at files that it cannot use."""


def read_config(folder: Path, name: str) -> Any:
    """Return what transformers knows of a model before it is loaded.

    Args:
        folder: Of the model.
        name: Of the model, for messages.

    Raises:
        BackendError: If there is none, or it is of a family that comes as a program.
    """
    transformers = import_transformers(EXTRA)
    with loading(name, "configuration"):
        said, _ = transformers.PreTrainedConfig.get_config_dict(folder, **FROM_DISK)
        if said.get("model_type") not in transformers.CONFIG_MAPPING:
            raise ValueError(f"its family is {said.get('model_type')!r}; what comes as a program is not run")
        backbone, options = said.get("backbone"), said.get("backbone_kwargs")
        if backbone and options and said.get("use_timm_backbone", True) and not said.get("backbone_config"):
            # transformers would ask the hub whether there is a repository of that name, also when it may not
            kept = {key: value for key, value in said.items() if key not in ("backbone", "backbone_kwargs")}
            said = kept | {"backbone_config": {"model_type": "timm_backbone", "backbone": backbone, **options}}
        return transformers.CONFIG_MAPPING[said["model_type"]].from_dict(said)


def load_model(auto: Any, folder: Path, config: Any, name: str, dtype: Any) -> Any:
    """Return a model in evaluation mode on the CPU; programs that come with it are never run.

    Args:
        auto: One of transformers' ``AutoModel…`` classes.
        folder: Of the model.
        config: As `read_config` gives it.
        name: Of the model, for messages.
        dtype: PyTorch's, of its weights.

    Raises:
        BackendError: If it cannot be loaded, or the files lack some of its tensors.
    """
    with loading(name, "model"), import_torch().random.fork_rng(devices=[]):
        model, report = auto.from_pretrained(
            folder, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True, **FROM_DISK
        )
    refuse_missing(name, report)
    return model.eval()


FROM_DISK: Mapping[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def refuse_missing(name: str, report: Mapping[str, Any]) -> None:
    """Raise `BackendError` if the files lacked some of a model's tensors, which transformers then draws by chance.

    Args:
        name: Of the model, for messages.
        report: transformers' ``loading_info``.
    """
    missing = sorted({*report["missing_keys"], *(str(one[0]) for one in report["mismatched_keys"])})
    if missing:
        raise BackendError(
            f"{name} lacks {len(missing)} of its model's tensors, such as {missing[0]}: they would be random"
        )
