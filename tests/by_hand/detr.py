"""DETR over ResNet-50 (Carion et al., 2020), with learned positions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from tests.by_hand.resnet import ResNet50


class Layer(nn.Module):
    """What the layers of encoder and decoder share: a feed-forward network, dropouts, and norms after the sums."""

    def add_norm(self, norm: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return norm(x + self.dropout(y))

    def feed_forward(self, features: int, hidden: int, dropout: float) -> None:
        self.linear1 = nn.Linear(features, hidden)
        self.linear2 = nn.Linear(hidden, features)
        self.last_norm = nn.LayerNorm(features)
        self.dropout = nn.Dropout(dropout)

    def fed_forward(self, x: Tensor) -> Tensor:
        return self.add_norm(self.last_norm, x, self.linear2(self.dropout(relu(self.linear1(x)))))


class EncoderLayer(Layer):
    def __init__(self, features: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(features, heads, dropout, batch_first=True)
        self.norm1 = nn.LayerNorm(features)
        self.feed_forward(features, hidden, dropout)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        q = k = x + positions
        x = self.add_norm(self.norm1, x, self.self_attn(q, k, x, need_weights=False)[0])
        return self.fed_forward(x)


class DecoderLayer(Layer):
    def __init__(self, features: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(features, heads, dropout, batch_first=True)
        self.norm1 = nn.LayerNorm(features)
        self.cross_attn = nn.MultiheadAttention(features, heads, dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(features)
        self.feed_forward(features, hidden, dropout)

    def forward(self, x: Tensor, memory: Tensor, positions: Tensor, queries: Tensor) -> Tensor:
        q = k = x + queries
        x = self.add_norm(self.norm1, x, self.self_attn(q, k, x, need_weights=False)[0])
        y, _ = self.cross_attn(x + queries, memory + positions, memory, need_weights=False)
        return self.fed_forward(self.add_norm(self.norm2, x, y))


class DETR(nn.Module):
    def __init__(
        self,
        classes: int = 91,
        size: int = 640,
        depths: tuple[int, ...] = (3, 4, 6, 3),
        width: int = 64,
        features: int = 256,
        heads: int = 8,
        hidden: int = 2048,
        layers: int = 6,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn((size // 32) ** 2, features))
        self.queries = nn.Parameter(torch.randn(100, features))
        self.backbone = ResNet50(width, depths)
        self.project = nn.Conv2d(32 * width, features, 1)
        arguments = (features, heads, hidden, dropout)
        self.encoder = nn.ModuleList(EncoderLayer(*arguments) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(*arguments) for _ in range(layers))
        self.norm = nn.LayerNorm(features)
        self.class_embed = nn.Linear(features, classes + 1)
        self.bbox_embed = nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, features), nn.ReLU(), nn.Linear(features, 4)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        memory = self.project(self.backbone(x)[-1]).flatten(2).transpose(1, 2)
        for encoder in self.encoder:
            memory = encoder(memory, self.positions)
        y = torch.zeros_like(self.queries).expand(len(x), -1, -1)
        for decoder in self.decoder:
            y = decoder(y, memory, self.positions, self.queries)
        y = self.norm(y)
        return self.class_embed(y), self.bbox_embed(y).sigmoid()
