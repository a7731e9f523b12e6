"""Writes tests/golden/torch-attention: a transformer block with self- and cross-attention as torch.onnx.export writes it,
and what PyTorch computes inside it.

Run with a Python that has torch (made with 1.13): python3 tests/golden/make-torch-attention.py
"""

import json
from pathlib import Path

import torch
from torch import nn

OUT = Path(__file__).parent / "torch-attention"


class Attention(nn.Module):
    """Multi-head attention in the two ways networks write it: heads folded into the batch, or as an axis of their own."""

    def __init__(self, width, context, heads, folded):
        super().__init__()
        self.heads, self.folded = heads, folded
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def split(self, x):
        n, length, width = x.shape
        return x.reshape(n, length, self.heads, width // self.heads).permute(0, 2, 1, 3)

    def forward(self, x, context):
        q, k, v = self.split(self.to_q(x)), self.split(self.to_k(context)), self.split(self.to_v(context))
        n, heads, length, width = q.shape
        if self.folded:
            fold = lambda t: t.reshape(n * heads, t.shape[2], width)
            empty = torch.empty(n * heads, length, k.shape[2])
            scores = torch.baddbmm(empty, fold(q), fold(k).transpose(-1, -2), beta=0, alpha=width**-0.5)
            probs = scores.softmax(-1)
            z = torch.bmm(probs, fold(v)).reshape(n, heads, length, width)
            scores, probs = scores.reshape(n, heads, length, -1), probs.reshape(n, heads, length, -1)
        else:
            scores = (q * width**-0.25) @ (k.transpose(-1, -2) * width**-0.25)
            probs = scores.softmax(-1)
            z = probs @ v
        self.inside = {"q": q, "k": k, "v": v, "scores": scores, "probs": probs, "z": z}
        return self.to_out[0](z.permute(0, 2, 1, 3).reshape(n, length, heads * width))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.attn1 = Attention(8, 8, 2, folded=False)
        self.attn2 = Attention(8, 6, 2, folded=True)

    def forward(self, tokens, context):
        normed = self.norm1(tokens)
        tokens = self.attn1(normed, normed) + tokens
        return self.attn2(self.norm2(tokens), context) + tokens


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj_in = nn.Linear(4, 8)
        self.block = Block()
        self.proj_out = nn.Linear(8, 4)

    def forward(self, tokens, context):
        return self.proj_out(self.block(self.proj_in(tokens), context))


def flat(tensor):
    return {"shape": list(tensor.shape), "data": [round(x, 7) for x in tensor.flatten().tolist()]}


def main():
    OUT.mkdir(exist_ok=True)
    net = Net().eval()
    tokens, context = torch.round(torch.randn(2, 4, 4) * 1000) / 1000, torch.round(torch.randn(2, 3, 6) * 1000) / 1000
    values = {"tokens": tokens, "context": context}
    hooks = {"block": net.block, "block.attn2": net.block.attn2, "block.norm2": net.block.norm2}
    for name, module in hooks.items():

        def record(_, inputs, output, name=name):
            values[name], values[f"{name}:in"] = output, inputs[0]
            if output.shape == inputs[0].shape:
                values[f"{name}:update"] = output - inputs[0]

        module.register_forward_hook(record)
    with torch.no_grad():
        values["y"] = net(tokens, context)
    for name in ("attn1", "attn2"):
        for part, tensor in getattr(net.block, name).inside.items():
            values[f"block.{name}.{part}"] = tensor
    (OUT / "values.json").write_text(json.dumps({k: flat(v.detach()) for k, v in values.items()}) + "\n")
    for opset in (14, 17):
        torch.onnx.export(
            net,
            (tokens, context),
            str(OUT / f"opset{opset}.onnx"),
            opset_version=opset,
            input_names=["tokens", "context"],
            output_names=["y"],
            dynamic_axes={"tokens": {0: "batch", 1: "length"}, "context": {0: "batch", 1: "words"}},
        )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
