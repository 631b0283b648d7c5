"""Handwritten digits under clear and under bad conditions, as data of an early-exit network.

The images are the 1,797 digits of 8 x 8 pixels that come with scikit-learn, so that nothing is
downloaded. Each is seen in several *contexts*: clean, blurred, noisy. Images, not samples, are
split: all contexts of an image are in the same part, for they are anything but independent.

References:
    Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI machine learning repository,
    1998. Pacheco, Shifrin, Couto, Menasche, Hanawal and Campista, AdaEE: adaptive early-exit DNN
    inference through multi-armed bandits, ICC 2023 (contexts of blur and noise).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from datagen.errors import require
from surrogate.errors import ConfigError

__all__ = ["CONTEXTS", "DigitsData", "ImageContext", "Part"]

Part = str
"""One of :data:`SHARES`."""

SHARES: dict[Part, float] = {"train": 0.5, "calibration": 0.3, "test": 0.2}
"""Parts by the share of the images they get: for the network, for what learns from its trace, and
for judging both."""

BLUR_REACH = 3.0
"""Standard deviations after which a Gaussian kernel is cut: 0.3 % of it is left out."""

EVALUATION_BATCH = 512
"""Samples per batch where nothing is learned."""


@dataclass(frozen=True, kw_only=True)
class ImageContext:
    """A condition that images are taken under.

    Args:
        name: What to call it.
        blur: Standard deviation of a Gaussian blur [pixels], >= 0.
        noise: Standard deviation of Gaussian noise, in units of the range of a pixel, >= 0.
    """

    name: str
    blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        require(self.name != "", "name", "be a text", self.name)
        require(0 <= self.blur < float("inf"), "blur", "be finite and >= 0", self.blur)
        require(0 <= self.noise < float("inf"), "noise", "be finite and >= 0", self.noise)

    def apply(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return images as they look under the condition.

        Args:
            images: Clean images [B, 1, H, W] with pixels in [0, 1].
            generator: Source of the noise; None for PyTorch's own.

        Returns:
            Images of the same shape, pixels in [0, 1].
        """
        if self.blur > 0:
            images = _blurred(images, self.blur)
        if self.noise > 0:
            noise = torch.randn(images.shape, generator=generator)
            images = (images + self.noise * noise).clamp(0.0, 1.0)
        return images


CONTEXTS = (
    ImageContext(name="clean"),
    ImageContext(name="blur", blur=1.5),
    ImageContext(name="strong blur", blur=2.5),
    ImageContext(name="noise", noise=0.25),
    ImageContext(name="strong noise", noise=0.5),
)
"""Conditions by context number, from harmless to bad."""


def _blurred(images: Tensor, deviation: float) -> Tensor:
    reach = max(1, round(BLUR_REACH * deviation))
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / deviation) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    across = functional.conv2d(padded, kernel.view(1, 1, 1, -1))
    return functional.conv2d(across, kernel.view(1, 1, -1, 1))


class _Varied(Dataset[tuple[Tensor, Tensor]]):
    """Training images, each in a context drawn anew whenever it is asked for."""

    def __init__(self, images: Tensor, labels: Tensor, contexts: Sequence[ImageContext]) -> None:
        self.images = images
        self.labels = labels
        self.contexts = contexts

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        images, labels = self.__getitems__([index])
        return images[0], labels[0]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Return a whole batch at once."""
        images = self.images[indices].clone()
        drawn = torch.randint(len(self.contexts), (len(indices),))
        for number, context in enumerate(self.contexts):
            images[drawn == number] = context.apply(images[drawn == number])
        return images, self.labels[indices]


def _identity(batch: Any) -> Any:
    return batch


class DigitsData(lightning.LightningDataModule):
    """Digits split by image: 50 % train the network, 30 % calibrate, 20 % test.

    Args:
        size: Height and width that images are enlarged to [pixels], >= 8.
        contexts: Conditions that every image is seen under.
        batch_size: Images per training batch, >= 1.
        limit: Largest number of images used, or None for all.
        seed: Of the split and of the noise in calibration and test samples.
    """

    def __init__(
        self,
        size: int = 16,
        contexts: Sequence[ImageContext] = CONTEXTS,
        batch_size: int = 64,
        limit: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require(size >= 8, "size", "be >= 8", size)
        require(len(contexts) >= 1, "contexts", "hold at least one", contexts)
        require(batch_size >= 1, "batch_size", "be >= 1", batch_size)
        require(limit is None or limit >= 10, "limit", "be >= 10", limit)
        self.size = size
        self.contexts = tuple(contexts)
        self.batch_size = batch_size
        self.limit = limit
        self.seed = seed
        self.settings: dict[str, Any] = {
            "size": size,
            "contexts": [asdict(context) for context in self.contexts],
            "limit": limit,
            "seed": seed,
        }
        self.parts: dict[Part, np.ndarray] = {}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> DigitsData:
        """Return the data that ``settings`` describe, as a checkpoint holds them.

        Args:
            settings: What the attribute of this name held.

        Returns:
            The data: the same split, contexts and noise.
        """
        contexts = [ImageContext(**context) for context in settings["contexts"]]
        return cls(**{**settings, "contexts": contexts})

    def setup(self, stage: str | None = None) -> None:
        if self.parts:
            return
        images, labels = _load()
        order = np.random.default_rng(self.seed).permutation(len(images))[: self.limit]
        bounds = np.round(np.cumsum(list(SHARES.values())) * len(order)).astype(int)
        self.parts = dict(zip(SHARES, np.split(order, bounds[:-1]), strict=True))
        self.images = functional.interpolate(
            images[:, None], size=(self.size, self.size), mode="bilinear", align_corners=False
        )
        self.labels = labels

    def train_dataloader(self) -> DataLoader[Any]:
        chosen = torch.from_numpy(self.parts["train"])
        varied = _Varied(self.images[chosen], self.labels[chosen], self.contexts)
        return DataLoader(
            varied,
            batch_size=self.batch_size,
            shuffle=True,
            drop_last=len(chosen) > self.batch_size,
            collate_fn=_identity,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        return self.samples("calibration")

    def test_dataloader(self) -> DataLoader[Any]:
        return self.samples("test")

    def samples(self, part: Part) -> DataLoader[Any]:
        """Return every image of a part in every context, the same each time.

        Args:
            part: ``train``, ``calibration`` or ``test``.

        Returns:
            Batches of images [B, 1, H, W], labels [B], context numbers [B] and image numbers [B].
        """
        self.setup()
        chosen = torch.from_numpy(self.parts[part])
        generator = torch.Generator().manual_seed(self.seed)
        clean, count = self.images[chosen], len(self.contexts)
        seen = torch.stack([context.apply(clean, generator) for context in self.contexts], dim=1)
        rows = TensorDataset(
            seen.flatten(0, 1),
            self.labels[chosen].repeat_interleave(count),
            torch.arange(count).repeat(len(chosen)),
            chosen.repeat_interleave(count),
        )
        return DataLoader(rows, batch_size=EVALUATION_BATCH)


def _load() -> tuple[Tensor, Tensor]:
    """Return all images [N, 8, 8] with pixels in [0, 1] and labels [N].

    Raises:
        ConfigError: If scikit-learn, which brings the images, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        rule = "be installed: pip install 'edge-surrogate[eenn]'"
        raise ConfigError(f"scikit-learn must {rule}, got none.") from None
    digits: Any = load_digits()
    images = torch.from_numpy(digits.images / digits.images.max()).float()
    return images, torch.from_numpy(digits.target).long()
