"""The net of tests/bench/small-unet.ts in PyTorch: its training step and its gradients, timed on request.

Started with a safetensors file of weights and data, and the number of threads. Reads lines and answers each in JSON:
  "train <variant> <n>"     n Adam steps: milliseconds per step, losses
  "gradient <variant> <n>"  n gradients of Σ output·noise with respect to the middle block's output: their norms
A change of variant (contiguous, channels_last) starts afresh.
"""

import math
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from peer import answer, load

WIDTHS, GROUPS, TIME_WIDTH = [64, 128, 128], 8, 256


def embedding(timesteps, width=64):
    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2))
    angles = timesteps[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


class ResnetBlock(nn.Module):
    def __init__(self, channels, out):
        super().__init__()
        self.norm1 = nn.GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(TIME_WIDTH, out)
        self.norm2 = nn.GroupNorm(GROUPS, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x, time):
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(time))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return self.conv_shortcut(x) + h


class SmallUNet(nn.Module):
    def __init__(self):
        super().__init__()
        a, b, c = WIDTHS
        self.time = nn.Sequential(nn.Linear(64, TIME_WIDTH), nn.SiLU(), nn.Linear(TIME_WIDTH, TIME_WIDTH))
        self.conv_in = nn.Conv2d(3, a, 3, padding=1)
        self.down = nn.ModuleList([ResnetBlock(a, a), ResnetBlock(a, b), ResnetBlock(b, c)])
        self.downsample = nn.ModuleList([nn.Conv2d(w, w, 3, 2, 1) for w in (a, b)])
        self.mid = ResnetBlock(c, c)
        self.up = nn.ModuleList([ResnetBlock(a + a, a), ResnetBlock(b + b, b), ResnetBlock(c + c, c)])
        self.upsample = nn.ModuleList([nn.Identity(), nn.Conv2d(b, a, 3, padding=1), nn.Conv2d(c, b, 3, padding=1)])
        self.norm_out = nn.GroupNorm(GROUPS, a)
        self.conv_out = nn.Conv2d(a, 3, 3, padding=1)

    def forward(self, x, timesteps):
        return self.decode(*self.encode(x, timesteps))

    def encode(self, x, timesteps):
        time = self.time(embedding(timesteps))
        h = self.conv_in(x)
        skips = []
        for i, block in enumerate(self.down):
            h = block(h, time)
            skips.append(h)
            if i < 2:
                h = self.downsample[i](h)
        return self.mid(h, time), skips, time

    def decode(self, h, skips, time):
        for i in (2, 1, 0):
            h = self.up[i](torch.cat([h, skips[i]], 1), time)
            if i > 0:
                h = self.upsample[i](F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.conv_out(F.silu(self.norm_out(h)))


torch.set_num_threads(int(sys.argv[2]))
tensors = load(sys.argv[1])
weights = {name[7:]: t for name, t in tensors.items() if name.startswith("weight/")}


class Runner:
    def __init__(self, variant):
        self.layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
        self.net = SmallUNet()
        self.net.load_state_dict(weights)
        self.net.to(memory_format=self.layout)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, foreach=True)
        self.steps = 0

    def data(self):
        i = self.steps % len(tensors["x"])
        x, noise = (tensors[name][i].contiguous(memory_format=self.layout) for name in ("x", "noise"))
        return x, tensors["timesteps"][i], noise

    def train(self):
        x, timesteps, noise = self.data()
        loss = F.mse_loss(self.net(x, timesteps), noise)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        return loss.detach()

    def gradient(self):
        self.net.requires_grad_(False)
        x, timesteps, noise = self.data()
        middle, skips, time = self.net.encode(x, timesteps)
        middle.requires_grad_()
        (gradient,) = torch.autograd.grad(self.net.decode(middle, skips, time), middle, noise)
        return gradient.norm()


runner, playing = None, None
for line in sys.stdin:
    what, variant, count = line.split()
    if variant != playing:
        runner, playing = None, variant
        runner = Runner(variant)
    answer(getattr(runner, what), int(count))
