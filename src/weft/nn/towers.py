"""The bare module that holds texts against images: two encoders, whose vectors lie in one space."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from weft.nn.branch import Auxiliary, join
from weft.nn.encoder import Encoder
from weft.nn.layout import Layout


class Towers(nn.Module):
    """exp(scale) · cosine(text, image) + bias, of a text's vector and an image's (Radford et al. 2021, CLIP, §2.3; Zhai
    et al. 2023, SigLIP, alg. 1, has the bias).

    text, image: each pools a row to a vector, which text_lift and image_lift bring to one width (None: it is that).
    scale: what the trained logarithm of the factor begins at. bias: what is added begins at; None: nothing is.
    ValueError for an encoder without a pooler.
    """

    def __init__(
        self, text: Encoder, image: Encoder, *, text_lift: nn.Module | None = None, image_lift: nn.Module | None = None,
        scale: float, bias: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        for what, encoder in (("text", text), ("image", image)):
            if encoder.pooler is None:
                raise ValueError(f"the {what} tower makes no vector of a row: build it with a pooler")
        self.text, self.image = text, image
        self.text_lift, self.image_lift = text_lift or nn.Identity(), image_lift or nn.Identity()
        self.begins = scale, bias
        # of one number each, not of none: what is cut into shares needs an axis
        self.scale = nn.Parameter(torch.empty(1))
        self.bias = None if bias is None else nn.Parameter(torch.empty(1))
        self.reset()

    def reset(self) -> None:
        scale, bias = self.begins
        nn.init.constant_(self.scale, scale)
        if self.bias is not None and bias is not None:
            nn.init.constant_(self.bias, bias)

    @property
    def context(self) -> int | None:
        """The longest text that can be placed; None: any."""
        return self.text.context

    @property
    def source_context(self) -> int | None:
        """The most places an image can have; None: any."""
        return self.image.context

    def forward(
        self, source: Tensor, tokens: Tensor, source_here: Layout | None = None, here: Layout | None = None
    ) -> tuple[tuple[Tensor, Tensor], Auxiliary]:
        """source: images as vectors [M, S, C]; tokens int64 [N, T] -> the texts' vectors [N, E] and the images' [M, E],
        of length 1, and auxiliary terms."""
        texts, of_texts = self._encode(self.text, self.text_lift, tokens, here)
        images, of_images = self._encode(self.image, self.image_lift, source, source_here)
        return (texts, images), join(of_texts, of_images)

    def encode_texts(self, tokens: Tensor, here: Layout | None = None) -> Tensor:
        """int64 [N, T] -> vectors of length 1, [N, E]."""
        return self._encode(self.text, self.text_lift, tokens, here)[0]

    def encode_images(self, source: Tensor, here: Layout | None = None) -> Tensor:
        """Vectors [M, S, C] (patches) -> vectors of length 1, [M, E]."""
        return self._encode(self.image, self.image_lift, source, here)[0]

    def scores(self, texts: Tensor, images: Tensor) -> Tensor:
        """How well each text fits each image: vectors of length 1, [N, E] and [M, E] -> [N, M]. ValueError where they
        are of two widths."""
        if texts.shape[-1] != images.shape[-1]:
            raise ValueError(
                f"a text is {texts.shape[-1]} numbers and an image {images.shape[-1]}: bring both to one (model.width)"
            )
        cosines = texts @ images.mT * self.scale.exp()  # [N, M]
        return cosines if self.bias is None else cosines + self.bias

    def _encode(
        self, encoder: Encoder, lift: nn.Module, tokens: Tensor, here: Layout | None
    ) -> tuple[Tensor, Auxiliary]:
        x, auxiliary = encoder(tokens, here)  # [B, T, D]
        return functional.normalize(lift(encoder.pool(x, tokens, here)), dim=-1), auxiliary  # [B, E]
