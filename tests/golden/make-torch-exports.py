"""Writes tests/golden/torch-exports: tiny nets as torch.onnx.export writes them, with one input and output each.

Run with a Python that has torch (made with 1.13): python3 tests/golden/make-torch-exports.py
"""

import json
import math
from pathlib import Path

import torch
from torch import nn

OUT = Path(__file__).parent / "torch-exports"


class ConvNet(nn.Module):
    """Convolutions, group norm, SiLU, a resize and shape arithmetic that is left in the graph."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.down = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, image):
        h = nn.functional.silu(self.norm(self.stem(image)))
        h = nn.functional.interpolate(self.down(h), scale_factor=2.0, mode="nearest")
        h = h.reshape(h.shape[0], h.shape[1], -1).mean(-1)
        return self.head(h)


class Attention(nn.Module):
    """Two-head self-attention over a dynamic batch and length."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens):
        n, length, width = tokens.shape
        qkv = self.qkv(self.norm(tokens)).reshape(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(width // self.heads), -1)
        mixed = (weights @ v).transpose(1, 2).reshape(n, length, width)
        return tokens + self.out(mixed)


def flat(tensor):
    return {"shape": list(tensor.shape), "data": [round(x, 7) for x in tensor.flatten().tolist()]}


def main():
    OUT.mkdir(exist_ok=True)
    nets = {
        "conv-net": (ConvNet(), torch.randn(2, 3, 8, 8), "image", {0: "batch", 2: "height", 3: "width"}),
        "attention": (Attention(), torch.randn(2, 5, 8), "tokens", {0: "batch", 1: "length"}),
    }
    for name, (net, x, input_name, axes) in nets.items():
        net.eval()
        x = torch.round(x * 1000) / 1000
        with torch.no_grad():
            y = net(x)
        golden = {"input": input_name, "x": flat(x), "y": flat(y)}
        (OUT / f"{name}.json").write_text(json.dumps(golden) + "\n")
        for opset in (14, 17):
            torch.onnx.export(
                net,
                (x,),
                str(OUT / f"{name}-opset{opset}.onnx"),
                opset_version=opset,
                input_names=[input_name],
                output_names=["y"],
                dynamic_axes={input_name: axes},
            )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
