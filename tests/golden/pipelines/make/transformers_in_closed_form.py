"""Closed-form transformers of SD3, Flux, PixArt and DiT. ../README.md states the formulas."""

from contextlib import nullcontext
from types import SimpleNamespace

import torch
from networks import Network, clock, context, label, prediction, vector


class Sd3Transformer(Network):
    def __init__(self, channels=4):
        super().__init__(in_channels=channels, sample_size=8, patch_size=2, joint_attention_dim=20)

    def forward(
        self,
        hidden_states,
        timestep,
        encoder_hidden_states,
        pooled_projections,
        joint_attention_kwargs=None,
        return_dict=False,
    ):
        channels = hidden_states.shape[1]
        bias = clock(timestep, len(hidden_states)) + context(encoder_hidden_states, channels, 2)
        bias = bias + vector(pooled_projections, channels, 4)
        out = prediction(hidden_states, bias[:, :, None, None], channels)
        inputs = {"hidden_states": hidden_states, "timestep": timestep}
        inputs |= {"encoder_hidden_states": encoder_hidden_states, "pooled_projections": pooled_projections}
        return (self.remember(inputs, out),)


class FluxTransformer(Network):
    """Tokens [B, N, C] take the place of width."""

    def __init__(self, channels=16, guidance=True):
        super().__init__(in_channels=channels, guidance_embeds=guidance)

    def cache_context(self, name):
        return nullcontext()

    def forward(
        self,
        hidden_states,
        timestep,
        guidance,
        pooled_projections,
        encoder_hidden_states,
        txt_ids,
        img_ids,
        joint_attention_kwargs=None,
        return_dict=False,
    ):
        batch, _, channels = hidden_states.shape
        bias = clock(timestep, batch, scale=1.0) + context(encoder_hidden_states, channels, 2)
        bias = bias + vector(pooled_projections, channels, 4) + vector(txt_ids.mean(0, keepdim=True), channels, 9)
        if guidance is not None:
            bias = bias + vector(guidance[:, None], channels, 7, 0.1)
        places = vector(img_ids, channels, 8, 0.2)
        field = (bias[:, None] + places[None]).transpose(1, 2)[:, :, None]
        image = hidden_states.transpose(1, 2)[:, :, None]
        out = prediction(image, field, channels)[:, :, 0].transpose(1, 2)
        inputs = {"hidden_states": hidden_states, "timestep": timestep, "guidance": guidance}
        inputs |= {"encoder_hidden_states": encoder_hidden_states, "pooled_projections": pooled_projections}
        return (self.remember({**inputs, "txt_ids": txt_ids, "img_ids": img_ids}, out),)


class PixArtTransformer(Network):
    """Eight channels out: the noise and a learned variance."""

    def __init__(self, sample_size=128):
        super().__init__(in_channels=4, out_channels=8, sample_size=sample_size)

    def forward(
        self,
        hidden_states,
        encoder_hidden_states,
        timestep,
        added_cond_kwargs=None,
        encoder_attention_mask=None,
        return_dict=False,
    ):
        bias = clock(timestep, len(hidden_states)) + context(encoder_hidden_states, 8, 2, encoder_attention_mask)
        sizes = {k: v for k, v in (added_cond_kwargs or {}).items() if v is not None}
        if sizes:
            bias = bias + vector(sizes["resolution"], 8, 5, 0.05) + vector(sizes["aspect_ratio"], 8, 7)
        out = prediction(hidden_states, bias[:, :, None, None], 8, 4)
        inputs = {"hidden_states": hidden_states, "timestep": timestep, "encoder_hidden_states": encoder_hidden_states}
        return (self.remember({**inputs, "encoder_attention_mask": encoder_attention_mask, **sizes}, out),)


class DiT(Network):
    """Class-conditional, eight channels out; class 1000 is no class."""

    def __init__(self, out_channels=8):
        super().__init__(in_channels=4, out_channels=out_channels, sample_size=8)

    def forward(self, hidden_states, timestep, class_labels):
        channels = self.config.out_channels
        bias = clock(timestep, len(hidden_states)) + label(class_labels, channels, 1000)
        out = prediction(hidden_states, bias[:, :, None, None], channels, 4)
        inputs = {"hidden_states": hidden_states, "timestep": timestep, "class_labels": class_labels}
        return SimpleNamespace(sample=self.remember(inputs, out))
