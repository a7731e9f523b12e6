"""Closed-form networks with the signatures that diffusers' pipelines call. ../README.md states the formulas."""

import math
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import ControlNetModel
from diffusers.configuration_utils import FrozenDict
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import nn
from torch.nn import functional as F


def wave(shape, phase, scale=1.0):
    """scale · cos(phase + 1.7 i + 0.01 i²) over the flat index i, computed in float64."""
    i = np.arange(math.prod(shape), dtype=np.float64)
    return torch.tensor((scale * np.cos(phase + 1.7 * i + 0.01 * i * i)).astype(np.float32)).reshape(shape)


class Network(nn.Module):
    """What pipelines ask of any component: config, device, dtype. Remembers the inputs of its first call."""

    def __init__(self, **config):
        super().__init__()
        self.config = FrozenDict(config)
        self.dtype = torch.float32
        self.device = torch.device("cpu")
        self.first_call = None

    def remember(self, inputs, output):
        if self.first_call is None:
            given = {k: torch.as_tensor(v).clone() for k, v in inputs.items() if v is not None}
            self.first_call = {**given, "output": output.clone()}
        return output


def token_weights(length):
    s = np.arange(length, dtype=np.float64)
    return torch.tensor((0.4 * 0.6**s + 0.5 * (1 + np.cos(0.7 * s)) / length).astype(np.float32))


def context(states, channels, phase, mask=None):
    """States [B, S, D] → [B, channels]: tokens weighted by position, then a fixed matrix."""
    weights = token_weights(states.shape[1]).expand(states.shape[:2])
    if mask is not None:
        weights = weights * mask
    return vector((weights[..., None] * states).sum(1), channels, phase)


def vector(v, channels, phase, scale=0.5):
    """v [B, n] → [B, channels]"""
    return v.to(torch.float32) @ wave((v.shape[1], channels), phase, scale / math.sqrt(v.shape[1]))


def label(labels, channels, classes):
    """Class labels [B] → [B, channels]; the class after the last stands for no class."""
    return wave((classes + 1, channels), 6, 0.5)[labels]


def clock(t, batch, scale=1000.0):
    """0.3 sin(π t / scale) as [B, 1]"""
    return 0.3 * torch.sin(torch.as_tensor(t).to(torch.float32).expand(batch) * (math.pi / scale))[:, None]


def prediction(x, biases, channels, latent_channels=None):
    """x [B, C, h, w] → [B, channels, h, w]: I x + 0.4 tanh(M x + 0.3 (x rolled right by one) + biases)."""
    identity = torch.eye(latent_channels or channels, x.shape[1])
    identity = F.pad(identity, (0, 0, 0, channels - len(identity)))
    matrix = wave((channels, x.shape[1]), 1, 0.3)
    rolled = torch.roll(x, 1, dims=-1)[:, [c % (latent_channels or channels) for c in range(channels)]]
    mixed = torch.tanh(torch.einsum("oc,bchw->bohw", matrix, x) + 0.3 * rolled + biases)
    return torch.einsum("oc,bchw->bohw", identity, x) + 0.4 * mixed


class UNet(Network):
    """Conditional U-Net of Stable Diffusion 1/2, SDXL, LCM, inpainting and ControlNet."""

    def __init__(self, in_channels=4, added=None, **config):
        config = {"sample_size": 8, "time_cond_proj_dim": None, "addition_time_embed_dim": 4, **config}
        super().__init__(in_channels=in_channels, **config)
        if added is not None:  # SDXL counts the features of its added conditions
            self.add_embedding = SimpleNamespace(linear_1=SimpleNamespace(in_features=added))

    def forward(
        self,
        sample,
        timestep,
        encoder_hidden_states,
        timestep_cond=None,
        cross_attention_kwargs=None,
        added_cond_kwargs=None,
        down_block_additional_residuals=None,
        mid_block_additional_residual=None,
        return_dict=False,
    ):
        added = added_cond_kwargs or {}
        bias = clock(timestep, sample.shape[0]) + context(encoder_hidden_states, 4, 2)
        if timestep_cond is not None:
            bias = bias + vector(timestep_cond, 4, 3)
        if "text_embeds" in added:
            bias = bias + vector(added["text_embeds"], 4, 4) + vector(added["time_ids"], 4, 5, 0.05)
        bias = bias[:, :, None, None]
        residuals = [*(down_block_additional_residuals or ()), mid_block_additional_residual]
        for k, residual in enumerate(r for r in residuals if r is not None):
            mixed = F.conv2d(residual, wave((4, residual.shape[1], 1, 1), 10 + k, 0.3 / math.sqrt(residual.shape[1])))
            bias = bias + F.interpolate(mixed, size=sample.shape[2:], mode="nearest")
        inputs = {"sample": sample, "timestep": timestep, "encoder_hidden_states": encoder_hidden_states}
        inputs |= {"timestep_cond": timestep_cond, **added, "mid_block_residual": mid_block_additional_residual}
        inputs |= {f"down_block_residual.{k}": r for k, r in enumerate(down_block_additional_residuals or ())}
        return (self.remember(inputs, prediction(sample, bias, 4)),)


class UnconditionalUNet(Network):
    """UNet2DModel: pixels in, pixels out; class labels where it has classes, twice the channels where it learns a variance."""

    def __init__(self, channels=3, size=8, classes=None, learned=False):
        embed = {"num_class_embeds": classes, "class_embed_type": None}
        out = channels * 2 if learned else channels
        super().__init__(in_channels=channels, sample_size=size, out_channels=out, **embed)

    def forward(self, sample, timestep, class_labels=None, return_dict=True):
        channels = self.config.out_channels
        bias = clock(timestep, len(sample)).expand(-1, channels)
        if class_labels is not None:
            bias = bias + label(class_labels.long(), channels, self.config.num_class_embeds)
        out = prediction(sample, bias[:, :, None, None], channels, sample.shape[1])
        self.remember({"sample": sample, "timestep": timestep, "class_labels": class_labels}, out)
        return SimpleNamespace(sample=out) if return_dict else (out,)


class ControlNet(ControlNetModel):
    """Three residuals of the way down and one of the middle."""

    def __init__(self, number=0, global_pool_conditions=False):
        nn.Module.__init__(self)
        self._internal_dict = FrozenDict(global_pool_conditions=global_pool_conditions)
        self.unused = nn.Parameter(torch.zeros(1))  # the base class reads device and dtype off parameters
        self.phase = 30 + 10 * number
        self.first_call = None

    def forward(
        self,
        sample,
        timestep,
        encoder_hidden_states,
        controlnet_cond,
        conditioning_scale=1.0,
        guess_mode=False,
        added_cond_kwargs=None,
        return_dict=False,
        **_,
    ):
        p = self.phase
        bias = clock(timestep, sample.shape[0]) + context(encoder_hidden_states, 6, p)
        added = added_cond_kwargs or {}
        if "text_embeds" in added:
            bias = bias + vector(added["text_embeds"], 6, p + 4) + vector(added["time_ids"], 6, p + 5, 0.05)
        hint = F.conv2d(controlnet_cond, wave((6, 3, 2, 2), p + 1, 0.3), stride=2)
        h = torch.tanh(F.conv2d(sample, wave((6, 4, 1, 1), p + 2, 0.5)) + hint + bias[:, :, None, None])
        half = F.conv2d(F.avg_pool2d(h, 2), wave((8, 6, 1, 1), p + 3, 0.5))
        residuals = [h, 0.8 * torch.roll(h, 1, dims=-1), half, torch.tanh(2 * half)]
        if self.first_call is None:
            inputs = {"sample": sample, "timestep": torch.as_tensor(timestep), "controlnet_cond": controlnet_cond}
            inputs |= {"encoder_hidden_states": encoder_hidden_states, **added}
            outputs = {f"residual.{k}": r for k, r in enumerate(residuals)}
            self.first_call = {k: v.clone() for k, v in {**inputs, **outputs}.items()}
        # as ControlNetModel.forward ends
        if guess_mode and not self.config.global_pool_conditions:
            scales = torch.logspace(-1, 0, len(residuals)) * conditioning_scale
        else:
            scales = [conditioning_scale] * len(residuals)
        residuals = [r * s for r, s in zip(residuals, scales)]
        if self.config.global_pool_conditions:
            residuals = [r.mean(dim=(2, 3), keepdim=True) for r in residuals]
        return residuals[:-1], residuals[-1]


class Vae(Network):
    """A convolution with stride 2 down to moments, a transposed one and a tanh back to pixels."""

    def __init__(self, latent_channels=4, scaling_factor=0.18215, shift_factor=None, **config):
        super().__init__(
            latent_channels=latent_channels,
            scaling_factor=scaling_factor,
            shift_factor=shift_factor,
            block_out_channels=(4, 8),
            in_channels=3,
            force_upcast=False,
            latents_mean=None,
            latents_std=None,
            **config,
        )

    def encode(self, image, return_dict=True):
        n = self.config.latent_channels
        bias = torch.cat([torch.zeros(n), torch.full((n,), -2.0)])
        moments = F.conv2d(image, wave((2 * n, 3, 2, 2), 40, 0.5), bias, stride=2)
        return SimpleNamespace(latent_dist=DiagonalGaussianDistribution(moments))

    def decode(self, latents, return_dict=True, generator=None):
        n = self.config.latent_channels
        weight = wave((n, 3, 2, 2), 41, 1.5 * self.config.scaling_factor / math.sqrt(n))
        image = torch.tanh(F.conv_transpose2d(latents, weight, stride=2))
        return SimpleNamespace(sample=image) if return_dict else (image,)
