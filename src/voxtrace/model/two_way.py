"""SAM's two-way transformer: prompt tokens look at the image, and the image looks back."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from voxtrace.model.layers import MLP


class Attention(nn.Module):
    """Multi-head attention whose inner width is `embedding_dim / downsample_rate`."""

    def __init__(
        self, embedding_dim: int, num_heads: int, downsample_rate: int = 1, kv_in_dim: int | None = None
    ) -> None:
        super().__init__()
        inner = embedding_dim // downsample_rate
        self.num_heads = num_heads
        self.q_proj = nn.Linear(embedding_dim, inner)
        self.k_proj = nn.Linear(kv_in_dim or embedding_dim, inner)
        self.v_proj = nn.Linear(kv_in_dim or embedding_dim, inner)
        self.out_proj = nn.Linear(inner, embedding_dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, Nq, C), (B, Nk, C'), (B, Nk, C') -> (B, Nq, C)."""
        query, key, value = (self._heads(t) for t in (self.q_proj(q), self.k_proj(k), self.v_proj(v)))
        out = F.scaled_dot_product_attention(query, key, value)
        return self.out_proj(out.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class TwoWayAttentionBlock(nn.Module):
    """Tokens among themselves, tokens to image, perceptron, image to tokens; a norm after each."""

    def __init__(self, dim: int, num_heads: int, mlp: nn.Module, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = Attention(dim, num_heads)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, num_heads, downsample_rate=2)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, num_heads, downsample_rate=2)

    def forward(self, tokens: Tensor, image: Tensor, tokens_pe: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        if self.first:  # the tokens are still their own position: nothing to add, nothing to keep
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + tokens_pe
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + tokens_pe, image + image_pe, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(image + image_pe, tokens + tokens_pe, tokens))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """`depth` two-way blocks and a last look of the tokens at the image."""

    def __init__(
        self,
        dim: int,
        mlp_dim: int,
        depth: int = 2,
        num_heads: int = 8,
        make_mlp: Callable[[int, int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        make_mlp = make_mlp or (lambda width, hidden: MLP(width, hidden, width, 2))
        self.layers = nn.ModuleList(
            TwoWayAttentionBlock(dim, num_heads, make_mlp(dim, mlp_dim), first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = Attention(dim, num_heads, downsample_rate=2)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w), (1, C, h, w), (B, T, C) -> tokens (B, T, C), image (B, h * w, C)."""
        image = image.flatten(2).transpose(1, 2)
        image_pe = image_pe.flatten(2).transpose(1, 2)
        queries = tokens
        for layer in self.layers:
            queries, image = layer(queries, image, tokens, image_pe)
        looked = self.final_attn_token_to_image(queries + tokens, image + image_pe, image)
        return self.norm_final_attn(queries + looked), image
