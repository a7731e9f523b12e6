"""Tokenizers and text encoders in closed form. ../README.md states the formulas."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Optional, Tuple

import torch
from diffusers.utils import BaseOutput
from networks import Network, wave
from torch.nn import functional as F

# What ../../clip-tokenizer makes of these words.
CLIP_IDS = {"a": 320, "photo": 1125, "of": 539, "cat": 2368, "hello": 3306, "world": 1002}
CLIP_IDS |= {"masterpiece": 12066, ",": 267, "best": 949, "quality": 3027}
# What ../t5-tokenizer makes of them.
T5_IDS = {"a": 3, "photo": 4, "of": 5, "cat": 6, "hello": 7, "world": 8, "masterpiece": 9, ",": 10, "best": 11, "quality": 12}


# Lines of ../bert-tokenizer/vocab.txt.
BERT_IDS = {"a": 5, "photo": 6, "of": 7, "cat": 8, "hello": 9, "world": 10, "masterpiece": 11, ",": 12, "best": 13, "quality": 14}


class Encoded(dict):
    __getattr__ = dict.__getitem__


class Tokenizer:
    """Looks words up. CLIP: start + words + end, padded; T5: words + end, padded."""

    added_tokens_encoder = {}

    def __init__(self, ids, start, end, pad, length):
        self.ids, self.start, self.end, self.pad, self.model_max_length = ids, start, end, pad, length

    def tokenize(self, text):
        return text.lower().replace(",", " , ").split()

    def __call__(self, text, padding=None, max_length=None, truncation=False, **_):
        texts = [text] if isinstance(text, str) else text
        room = (max_length or self.model_max_length) if truncation else 10**6
        rows = [self.start + [self.ids[w] for w in self.tokenize(t)][: room - len(self.start) - 1] + [self.end] for t in texts]
        length = max_length if padding == "max_length" else max(map(len, rows))
        mask = [[1] * len(row) + [0] * (length - len(row)) for row in rows]
        ids = [row + [self.pad] * (length - len(row)) for row in rows]
        return Encoded(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask))

    def batch_decode(self, ids):
        return [str(row.tolist()) for row in ids]


def clip_tokenizer(pad=49407):
    return Tokenizer(CLIP_IDS, [49406], 49407, pad, 77)


def t5_tokenizer(length=512):
    return Tokenizer(T5_IDS, [], 1, 0, length)


def bert_tokenizer():
    return Tokenizer(BERT_IDS, [2], 3, 0, 512)


def embedded(ids, width, phase):
    """Word (id mod 97) and position, [B, S, width]."""
    return wave((97, width), phase)[ids % 97] + wave((ids.shape[1], width), phase + 1, 0.3)


@dataclass
class TextOutput(BaseOutput):
    last_hidden_state: torch.Tensor = None
    pooler_output: Optional[torch.Tensor] = None
    hidden_states: Optional[Tuple[torch.Tensor, ...]] = None


@dataclass
class ProjectedOutput(BaseOutput):
    text_embeds: torch.Tensor = None
    last_hidden_state: torch.Tensor = None
    hidden_states: Optional[Tuple[torch.Tensor, ...]] = None


class ClipText(Network):
    """CLIP's text encoder: a causal mix per layer, a final layer norm, the state at the end token pooled."""

    def __init__(self, width=8, layers=3, phase=50, projection=None):
        super().__init__(hidden_size=width, num_hidden_layers=layers, projection_dim=projection, eos_token_id=49407)
        self.width, self.layers, self.phase, self.projection = width, layers, phase, projection
        gain, shift = 1 + wave((width,), phase + 2, 0.1), wave((width,), phase + 3, 0.1)
        self.text_model = SimpleNamespace(final_layer_norm=lambda h: F.layer_norm(h, (width,), gain, shift, 1e-5))

    def forward(self, ids, attention_mask=None, output_hidden_states=False):
        states = [embedded(ids, self.width, self.phase)]
        for _ in range(self.layers):
            h = states[-1]
            before = F.pad(h, (0, 0, 1, 0))[:, :-1]
            states.append(torch.tanh(1.1 * torch.roll(h, 1, dims=-1) + 0.3 * before))
        last = self.text_model.final_layer_norm(states[-1])
        pooled = last[torch.arange(len(ids)), (ids == 49407).int().argmax(-1)]
        hidden = tuple(states) if output_hidden_states else None
        if self.projection is None:
            return TextOutput(last, pooled, hidden)
        projected = pooled @ wave((self.width, self.projection), self.phase + 4, 0.5)
        return ProjectedOutput(projected, last, hidden)


class T5(Network):
    """T5's encoder: every token sees the mean of the tokens that the mask lets through."""

    def __init__(self, width=20):
        super().__init__(d_model=width)
        self.width = width

    def forward(self, ids, attention_mask=None, output_hidden_states=False):
        h = embedded(ids, self.width, 60)
        mask = torch.ones(ids.shape) if attention_mask is None else attention_mask.to(torch.float32)
        mean = (h * mask[..., None]).sum(1, keepdim=True) / mask.sum(1)[:, None, None]
        return (torch.tanh(h + mean),)
