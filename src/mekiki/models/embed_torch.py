"""Embedders out of models that were trained here: what goes into their last layer."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from mekiki.errors import BackendError, UnreadableError, UsageError
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import LoadedTower, NetworkSource, loaded_module
from mekiki.training.checkpoint import check_scores_id, load_network
from mekiki.training.user_code import is_user_code, users_fault
from mekiki.training.weights import read_weights


class TorchSource(NetworkSource):
    """``torch:FILE``; or any name, with ``weights`` for the file that it stands for."""

    def load(self, opening: EmbedderOpening) -> LoadedTower:
        """Load the network."""
        from mekiki.models.embed_networks import Flat, without_head

        opening.refuse_preprocessing("in its card")
        path = opening.weights or Path(opening.what)
        if not path.is_file():
            raise BackendError(f"{opening.name}: there is no file {path}. Say which is the model's: --weights FILE")
        try:
            file = read_weights(path)
            card = file.card
            if card is None:
                raise BackendError(f"{path} is no model of mekiki's. Type: --embedder python:FILE:CLASS --weights FILE")
            check_scores_id(card, file.tensors, path)
            if card.kind == "ensemble" or card.preprocessing is None:
                what = "an ensemble" if card.kind == "ensemble" else "a head on vectors"
                raise UsageError(f"{path} is {what}: an embedder is one network that looks at pictures")
            network = load_network(card, file.tensors, allow_code=opening.allow_code)
        except UnreadableError as error:
            raise BackendError(f"no model can be read from {error}") from error
        output = opening.chosen_output(("pooler", "projected"), "pooler")
        how = card.preprocessing
        facts = {"arch": card.arch, "options": dict(card.arch_options), "code": card.source_code, "output": output}
        with users_fault(card.arch) if is_user_code(card.arch) else nullcontext():
            module = without_head(network, opening.name, how.crop_hw) if output == "pooler" else Flat(network)
            return loaded_module(opening, module, how, facts, "pooler")
