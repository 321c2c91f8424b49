"""Which embedder, with what weights, on which runtime: what is asked for before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from mekiki.errors import UsageError
from mekiki.media.preprocessing import Interpolation, Preprocessing
from mekiki.training.embedder_names import OUTPUTS, OutputName

RuntimeName = Literal["auto", "torch", "onnx", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "int8"]
Output = Literal["auto", "projected", "pooler"]
ResizeMode = Literal["squash", "short-side", "none"]

DEFAULT_SIZE_PX = 224


@dataclass(frozen=True, slots=True)
class EmbedderOpening:
    """How an embedder is opened.

    Attributes:
        name: ``KIND:WHAT``, as `mekiki.models.embed.EMBEDDERS` has the kinds. ``#pooler`` or ``#projected`` behind it
            says the same as ``output``.
        weights: A file in place of published weights; of ``torch:`` the model's, where its name alone is no path.
        runtime: What runs the network.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        precision: Of the arithmetic; ``auto`` opens in fp32, whoever has pictures to check on chooses before.
        output: ``projected``: what the model gives, in the space that it shares with words if it has a text side.
            ``pooler``: what goes into its last layer. ``auto``: what the embedder is usually used with.
        allow_code: Whether a program of the user's may be run.
        graph: A ready graph of the network in the wanted precision.
        preprocessing: How pictures become the input of a network that does not say so itself: ``python:``, and
            ``onnx:`` without a file beside it. It goes before the fields below, and comes from a stored space whose
            embedder is opened again; what another network says itself goes before it.
        image_size: Side in pixels of what such a network sees; 224 if nothing is said.
        resize: Whether a picture is squashed into a square, keeps its shape, or its size.
        resize_px: Side to which it is resized before the middle is cut out; ``image_size`` if nothing is said.
        interpolation: Pillow's; bilinear if nothing is said.
        mean: Per channel; ImageNet's if nothing is said.
        std: Per channel; ImageNet's if nothing is said.
    """

    name: str
    weights: Path | None = None
    runtime: RuntimeName = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    output: Output = "auto"
    allow_code: bool = False
    graph: Path | None = None
    preprocessing: Preprocessing | None = None
    image_size: int | None = None
    resize: ResizeMode | None = None
    resize_px: int | None = None
    interpolation: Interpolation | None = None
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None

    @property
    def kind(self) -> str:
        """What stands before the first colon of the name."""
        return self.name.partition(":")[0]

    @property
    def what(self) -> str:
        """What stands behind it, without the output."""
        return self._split()[0]

    def chosen_output(self, known: tuple[OutputName, ...], usual: OutputName) -> OutputName:
        """Return which output is wanted.

        Args:
            known: Those that the network has.
            usual: What ``auto`` stands for.

        Raises:
            UsageError: If the name and ``output`` contradict each other, or it has no such output.
        """
        named = self._split()[1]
        if named and self.output not in ("auto", named):
            raise UsageError(f"{self.name} asks for the output {named}, and output for {self.output}: say it once")
        wanted = named or self.output
        if wanted == "auto":
            return usual
        if wanted not in known:
            raise UsageError(
                f"{self.name} has no output {wanted!r}, only {' and '.join(known)}. Type: --output {known[0]}"
            )
        return wanted

    def full_name(self, output: OutputName, usual: OutputName) -> str:
        """Return the name under which vectors are stored: as it was given, with the output if it is not the usual."""
        name = f"{self.kind}:{self.what}" if self.what else self.kind
        return name if output == usual else f"{name}#{output}"

    def stated_preprocessing(self) -> Preprocessing:
        """Return how pictures become a network's input, as the user says, or as is usual.

        Raises:
            UsageError: If what is said makes no sense.
        """
        if self.preprocessing is not None:
            return self.preprocessing
        side = DEFAULT_SIZE_PX if self.image_size is None else self.image_size
        larger = side if self.resize_px is None else self.resize_px
        names = ("resize", "interpolation", "mean", "std")
        said = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        try:
            return Preprocessing(resize_hw=(larger, larger), crop_hw=(side, side), **said)
        except ValidationError as error:
            raise UsageError(f"pictures cannot be prepared like that: {error.errors()[0]['msg']}") from error

    def refuse_preprocessing(self, source: str) -> None:
        """Raise `UsageError` if the user says how pictures are prepared although the network says it itself.

        Args:
            source: Where it says so, in words.
        """
        given = [one for one in _FACTS if getattr(self, one) is not None]
        if given:
            flags = ", ".join("--" + name.replace("_", "-") for name in given)
            raise UsageError(f"{self.name} says itself how its pictures are prepared, {source}. Leave out {flags}")

    def refuse_weights(self) -> None:
        """Raise `UsageError` if a file of weights is given to what takes none."""
        if self.weights is not None:
            raise UsageError(f"{self.name} takes no file of weights. Leave out --weights {self.weights}")

    def _split(self) -> tuple[str, OutputName | None]:
        what = self.name.partition(":")[2]
        for output in OUTPUTS:
            if what.endswith(f"#{output}"):
                return what.removesuffix(f"#{output}"), output
        return what, None


_FACTS = [one.name for one in fields(EmbedderOpening)][-6:]
