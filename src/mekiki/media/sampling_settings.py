"""How frames of clips are chosen, as settings of the stages that read clips."""

from __future__ import annotations

from mekiki.media.sampling import Sampling, SamplingMode
from mekiki.settings import Field, Settings


class SamplingSettings(Settings):
    """Which frames of a clip to look at."""

    sampling: SamplingMode = Field("every-n-frames", description="how frames are chosen")
    every_n_frames: int = Field(45, ge=1, description="with every-n-frames: keep each n-th frame, the first included")
    fps: float = Field(1.0, gt=0, description="with fps: frames a second")
    n_frames: int = Field(10, ge=1, description="with n-frames: frames a video, evenly spaced")
    scene_threshold: float = Field(
        0.1, ge=0, le=1, description="with scene: mean difference of pixels that makes a new scene, 0 to 1"
    )
    max_frames: int = Field(180, ge=0, description="at most this many frames a video; 0 for no limit")

    def to_sampling(self) -> Sampling:
        """Return them as `mekiki.media.video` takes them."""
        return Sampling(
            mode=self.sampling,
            every_n=self.every_n_frames,
            fps=self.fps,
            n_frames=self.n_frames,
            scene_threshold=self.scene_threshold,
            max_frames=self.max_frames,
        )
