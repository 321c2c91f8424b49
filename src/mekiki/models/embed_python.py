"""Embedders out of a file of the user's: ``python:FILE:CLASS``."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from mekiki.errors import BackendError, UnreadableError, UsageError
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import LoadedTower, NetworkSource, loaded_module
from mekiki.training.backbones import head_names
from mekiki.training.embedder_names import OUTPUTS, OutputName
from mekiki.training.packages import import_torch
from mekiki.training.user_code import make_user_network, read_source, split_arch, users_fault
from mekiki.training.weights import WeightsFile, load_exactly, read_weights

if TYPE_CHECKING:
    from torch import nn


class PythonSource(NetworkSource):
    """A torch module of the user's, with a file of weights, or one that brings its own.

    A class that takes ``num_classes`` is a classifier, whose vectors are what goes into its last layer (``pooler``);
    any other is an embedder, whose vectors are what it gives (``projected``). Either can be asked for.
    """

    def load(self, opening: EmbedderOpening) -> LoadedTower:
        """Run the file and load the network."""
        from mekiki.models.embed_networks import Flat, without_head

        opening.chosen_output(OUTPUTS, "projected")
        arch = _arch(opening)
        network = _make(opening)
        usual: OutputName = "pooler" if _is_classifier(network) else "projected"
        output = opening.chosen_output(OUTPUTS, usual)
        how = opening.stated_preprocessing()
        facts = {"code": read_source(arch), "class": split_arch(arch)[1], "output": output}
        with users_fault(arch):
            module = without_head(network, arch, how.crop_hw) if output == "pooler" else Flat(network)
            return loaded_module(opening, module, how, facts, usual)


def _arch(opening: EmbedderOpening) -> str:
    return f"{opening.kind}:{opening.what}"


def _is_classifier(network: nn.Module) -> bool:
    return "num_classes" in inspect.signature(type(network).__init__).parameters


def _make(opening: EmbedderOpening) -> nn.Module:
    """Return the network with its weights, ready for evaluation.

    Raises:
        UsageError: If nothing says what its weights are.
        BackendError: If the file of weights cannot be read or does not fit.
    """
    if opening.weights is None:
        network = _run(opening, 1, seed=0).eval()
        if not _is_same(network, _run(opening, 1, seed=1)):
            raise UsageError(f"the weights of {opening.name} are random. Say which it has: --weights FILE")
        return network
    try:
        file = read_weights(opening.weights)
    except UnreadableError as error:
        raise BackendError(f"no weights can be read from {error}. Say where they are: --weights FILE") from error
    network = _run(opening, 1, seed=0)
    n_classes = _n_classes(network, file)
    if n_classes != 1:
        network = _run(opening, n_classes, seed=0)
    trouble = load_exactly(network, file.tensors)
    if trouble:
        raise BackendError(f"{opening.weights} does not fit {opening.name}: {trouble}")
    return network.eval()


def _run(opening: EmbedderOpening, n_classes: int, seed: int) -> nn.Module:
    torch = import_torch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_user_network(_arch(opening), n_classes, {}, allow_code=opening.allow_code)


def _n_classes(network: nn.Module, file: WeightsFile) -> int:
    """Return the width of the last layer in a file, for a class that takes it."""
    widths = [int(file.tensors[name].shape[0]) for name in head_names(network) if name in file.tensors]
    return widths[0] if widths and _is_classifier(network) else 1


def _is_same(network: nn.Module, other: nn.Module) -> bool:
    torch = import_torch()
    first, second = network.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
