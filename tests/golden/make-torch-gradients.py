"""Writes tests/golden/torch-gradients: tiny nets as torch.onnx.export writes them, with gradients by autograd.

L = Σ output·cotangent. Exported in float32; outputs and gradients are computed in float64 from the same weights.
Run with a Python that has torch (made with 1.13): python3 tests/golden/make-torch-gradients.py
"""

import json
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

OUT = Path(__file__).parent / "torch-gradients"
torch.manual_seed(7)
torch.set_num_threads(1)  # the same sums in the same order


class Attention(nn.Module):
    """Attention over tokens [n, length, width]; keys and values from `context` where there is one."""

    def __init__(self, width, heads, context_width=None):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width or width, width, bias=False)
        self.to_v = nn.Linear(context_width or width, width, bias=False)
        self.to_out = nn.Linear(width, width)

    def forward(self, x, context=None, mask=None):
        context = x if context is None else context
        n, length, width = x.shape
        split = lambda t: t.reshape(n, -1, self.heads, width // self.heads).transpose(1, 2)
        q, k, v = split(self.to_q(x)), split(self.to_k(context)), split(self.to_v(context))
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5
        if mask is not None:
            scores = scores + mask
        return self.to_out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, width))


class ResnetBlock(nn.Module):
    def __init__(self, into, out, time_width=None):
        super().__init__()
        self.norm1 = nn.GroupNorm(2, into)
        self.conv1 = nn.Conv2d(into, out, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, out) if time_width else None
        self.norm2 = nn.GroupNorm(2, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(into, out, 1) if into != out else nn.Identity()

    def forward(self, x, emb=None):
        h = self.conv1(F.silu(self.norm1(x)))
        if emb is not None:
            h = h + self.time_emb_proj(F.silu(emb))[:, :, None, None]
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class GegluTransformer(nn.Module):
    """Self-attention, cross-attention and a gated feed-forward layer over the pixels of an image."""

    def __init__(self, width, context_width):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn1 = Attention(width, 2)
        self.attn2 = Attention(width, 2, context_width)
        self.proj = nn.Linear(width, 4 * width)
        self.out = nn.Linear(2 * width, width)

    def forward(self, image, context):
        n, c, height, width = image.shape
        x = image.permute(0, 2, 3, 1).reshape(n, height * width, c)
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        h, gate = self.proj(self.norm3(x)).chunk(2, dim=-1)
        x = x + self.out(h * F.gelu(gate))
        return image + x.reshape(n, height, width, c).permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.time1, self.time2 = nn.Linear(8, 8), nn.Linear(8, 8)
        self.conv_in = nn.Conv2d(4, 8, 3, padding=1)
        self.down = ResnetBlock(8, 8, 8)
        self.downsample = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.mid = GegluTransformer(8, 6)
        self.upsample = nn.Conv2d(8, 8, 3, padding=1)
        self.up = ResnetBlock(16, 8, 8)
        self.norm_out = nn.GroupNorm(4, 8)
        self.conv_out = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, sample, timestep, encoder_hidden_states):
        rates = torch.exp(-math.log(10000) * torch.arange(4, dtype=sample.dtype) / 4)
        angles = timestep[:, None].to(sample.dtype) * rates
        emb = self.time2(F.silu(self.time1(torch.cat([angles.cos(), angles.sin()], -1))))
        skip = self.down(self.conv_in(sample), emb)
        h = self.mid(self.downsample(skip), encoder_hidden_states)
        h = self.upsample(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = self.up(torch.cat([h, skip], 1), emb)
        return self.conv_out(F.silu(self.norm_out(h)))


class VaeDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.post_quant_conv = nn.Conv2d(4, 4, 1)
        self.conv_in = nn.Conv2d(4, 8, 3, padding=1)
        self.resnet = ResnetBlock(8, 8)
        self.group_norm = nn.GroupNorm(2, 8)
        self.attention = Attention(8, 1)
        self.upsample = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        self.conv_out = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, latent_sample):
        h = self.resnet(self.conv_in(self.post_quant_conv(latent_sample)))
        n, c, height, width = h.shape
        tokens = self.attention(self.group_norm(h).reshape(n, c, height * width).transpose(1, 2))
        h = self.upsample(h + tokens.transpose(1, 2).reshape(n, c, height, width))
        h = F.interpolate(h, scale_factor=1.5, mode="bilinear", align_corners=False)
        return self.conv_out(F.silu(h)).clamp(-1, 1)


class ClipLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = Attention(width, 2)
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x, mask=None):
        x = x + self.self_attn(self.layer_norm1(x), mask=mask)
        h = self.fc1(self.layer_norm2(x))
        return x + self.fc2(h * torch.sigmoid(1.702 * h))


class TextEncoder(nn.Module):
    """CLIP's: a causal mask, and the state at the end-of-text token (the largest id) pooled."""

    def __init__(self):
        super().__init__()
        self.token_embedding = nn.Embedding(20, 8)
        self.position_embedding = nn.Embedding(6, 8)
        self.layer = ClipLayer(8)
        self.final_layer_norm = nn.LayerNorm(8)
        self.text_projection = nn.Linear(8, 5, bias=False)

    def forward(self, input_ids):
        n, length = input_ids.shape
        x = self.token_embedding(input_ids) + self.position_embedding(torch.arange(length)[None])
        mask = torch.full((length, length), -1e4, dtype=x.dtype).triu(1)
        x = self.final_layer_norm(self.layer(x, mask))
        return self.text_projection(x[torch.arange(n), input_ids.argmax(-1)])


class VisionEncoder(nn.Module):
    """CLIP's: patches, a class token, and an embedding of unit length."""

    def __init__(self):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(8))
        self.patch_embedding = nn.Conv2d(3, 8, 4, stride=4, bias=False)
        self.position_embedding = nn.Parameter(0.5 * torch.randn(5, 8))
        self.pre_layernorm, self.post_layernorm = nn.LayerNorm(8), nn.LayerNorm(8)
        self.layer = ClipLayer(8)
        self.visual_projection = nn.Linear(8, 5, bias=False)

    def forward(self, pixel_values):
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(pixel_values.shape[0], 1, -1), patches], 1) + self.position_embedding
        x = self.layer(self.pre_layernorm(x))
        embedding = self.visual_projection(self.post_layernorm(x[:, 0]))
        return embedding / embedding.norm(dim=-1, keepdim=True)


class DiT(nn.Module):
    """One block with adaptive layer norm, between patchifying and its inverse."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(4, 8, 2, stride=2)
        self.pos_embed = nn.Parameter(0.5 * torch.randn(1, 4, 8))
        self.label = nn.Embedding(3, 8)
        self.norm1 = nn.LayerNorm(8, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(8, 2)
        self.norm2 = nn.LayerNorm(8, elementwise_affine=False, eps=1e-6)
        self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 8)
        self.modulation = nn.Linear(8, 48)
        self.final = nn.Linear(8, 16)

    def forward(self, x, label):
        modulation = self.modulation(F.silu(self.label(label)))
        shift1, scale1, gate1, shift2, scale2, gate2 = (m.unsqueeze(1) for m in modulation.chunk(6, dim=1))
        tokens = self.patch(x).flatten(2).transpose(1, 2) + self.pos_embed
        tokens = tokens + gate1 * self.attn(self.norm1(tokens) * (1 + scale1) + shift1)
        h = self.norm2(tokens) * (1 + scale2) + shift2
        tokens = self.final(tokens + gate2 * self.fc2(F.gelu(self.fc1(h), approximate="tanh")))
        n = x.shape[0]
        image = torch.einsum("nhwpqc->nchpwq", tokens.reshape(n, 2, 2, 2, 2, 4))
        return image.reshape(n, 4, 4, 4)


class Cnn(nn.Module):
    """A classifier: batch norm, depthwise and dilated convolutions, both poolings, log-probabilities."""

    def __init__(self):
        super().__init__()
        self.bn0 = nn.BatchNorm2d(3)
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.bn1 = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6)
        self.pointwise = nn.Conv2d(6, 8, 1)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, image):
        image = F.pad(self.bn0(image), (1, 1, 1, 1), mode="reflect")
        h = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, stride=2, padding=1)
        h = F.hardswish(self.bn2(self.pointwise(self.depthwise(h))))
        h = F.avg_pool2d(h, 3, stride=1, padding=1)
        return F.log_softmax(self.fc(F.adaptive_avg_pool2d(h, 1).flatten(1)), -1)


def flat(tensor):
    tensor = tensor.detach()
    data = tensor.flatten().tolist()
    whole = tensor.dtype == torch.int64
    return {
        "dtype": "int64" if whole else "float32",
        "shape": list(tensor.shape),
        "data": data if whole else [float(f"{x:.8g}") for x in data],
    }


def short(*shape):
    """Normal numbers of few digits, so that the stored input is exactly the one used."""
    return torch.round(torch.randn(*shape) * 1000) / 1000


# net, operator sets, inputs, the inner activation (module, name in the graph), parameters
NETS = {
    "unet": (
        UNet,
        (14, 17),
        {"sample": short(1, 4, 8, 8), "timestep": torch.tensor([417]), "encoder_hidden_states": short(1, 3, 6)},
        ("upsample", "/upsample/Conv_output_0"),
        ["conv_in.weight", "mid.norm2.weight", "time1.weight", "up.conv1.bias"],
    ),
    "vae-decoder": (
        VaeDecoder,
        (16,),
        {"latent_sample": short(1, 4, 4, 4)},
        ("conv_in", "/conv_in/Conv_output_0"),
        ["post_quant_conv.weight", "resnet.conv1.weight", "upsample.weight"],
    ),
    "text-encoder": (
        TextEncoder,
        (14, 17),
        {"input_ids": torch.tensor([[18, 3, 7, 3, 19, 19], [18, 5, 19, 19, 19, 19]])},
        ("token_embedding", "/token_embedding/Gather_output_0"),
        ["token_embedding.weight", "position_embedding.weight", "layer.layer_norm1.weight", "layer.fc1.bias"],
    ),
    "vision-encoder": (
        VisionEncoder,
        (15, 17),
        {"pixel_values": short(2, 3, 8, 8)},
        ("patch_embedding", "/patch_embedding/Conv_output_0"),
        ["class_embedding", "position_embedding", "patch_embedding.weight"],
    ),
    "dit": (
        DiT,
        (14,),  # 1.13 writes an invalid LayerNormalization at 17 where there is no scale
        {"x": short(2, 4, 4, 4), "label": torch.tensor([2, 0])},
        ("patch", "/patch/Conv_output_0"),
        ["label.weight", "pos_embed", "modulation.weight"],
    ),
    "cnn": (
        Cnn,
        (13,),
        {"image": short(2, 3, 11, 11)},
        ("pointwise", "/pointwise/Conv_output_0"),
        ["bn0.weight", "bn2.bias", "conv1.weight", "depthwise.weight"],
    ),
}


def randomize(net):
    """Norms start at 1 and 0 and statistics at 0 and 1, where mistakes hide."""
    for name, parameter in net.state_dict().items():
        if parameter.dtype.is_floating_point and parameter.dim() == 1:
            parameter.add_(0.3 * torch.randn_like(parameter).abs())


def golden(net, inputs, module, parameters):
    """Output, cotangent and gradients by name, in float64."""
    net = net.double()
    kept = []
    net.get_submodule(module[0]).register_forward_hook(lambda _m, _i, out: (out.retain_grad(), kept.append(out))[1])
    exact = {k: v.double().requires_grad_() if v.dtype.is_floating_point else v for k, v in inputs.items()}
    y = net(*exact.values())
    cotangent = short(*y.shape)
    (y * cotangent.double()).sum().backward()
    wrt = {k: v for k, v in exact.items() if v.requires_grad}
    wrt[module[1]] = kept[0]
    wrt.update({k: net.get_parameter(k) for k in parameters})
    return {
        "inputs": {k: flat(v) for k, v in inputs.items()},
        "output": flat(y),
        "cotangent": flat(cotangent),
        "gradients": {k: flat(v.grad) for k, v in wrt.items()},
    }


def main():
    OUT.mkdir(exist_ok=True)
    for name, (make, opsets, inputs, module, parameters) in NETS.items():
        net = make().eval()
        with torch.no_grad():
            randomize(net)
        for opset in opsets:
            torch.onnx.export(
                net,
                tuple(inputs.values()),
                str(OUT / f"{name}-opset{opset}.onnx"),
                opset_version=opset,
                input_names=list(inputs),
                output_names=["output"],
                dynamic_axes={k: {0: "batch"} for k in inputs},
                # As Optimum exports, but batch norms stay apart from the convolutions before them.
                training=torch.onnx.TrainingMode.PRESERVE,
            )
        (OUT / f"{name}.json").write_text(json.dumps(golden(net, inputs, module, parameters)) + "\n")


if __name__ == "__main__":
    main()
