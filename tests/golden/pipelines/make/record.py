"""Runs a pipeline, remembers its draws, steps and results, and writes one JSON and one safetensors file per family."""

import json
import math
import struct
from pathlib import Path

import diffusers
import numpy as np
import torch
from networks import wave

OUT = Path(__file__).parent.parent
DTYPES = {"float32": "F32", "int64": "I64", "uint8": "U8"}
SIZE = {"height": 16, "width": 24}
PROMPT, NEGATIVE = "a photo of a cat", "hello world"


def generator(seed=0):
    return torch.Generator("cpu").manual_seed(seed)


def picture(height=16, width=24, phase=70):
    """A picture [1, 3, h, w] of whole 255ths."""
    levels = torch.round((wave((1, 3, height, width), phase) * 0.5 + 0.5) * 255)
    return levels / 255


class Draws:
    """Every torch.randn while it is entered, in order."""

    def __enter__(self):
        self.all, self.randn = [], torch.randn
        torch.randn = self.draw
        return self

    def draw(self, *args, **kwargs):
        out = self.randn(*args, **kwargs)
        self.all.append(out.clone())
        return out

    def __exit__(self, *_):
        torch.randn = self.randn


class Family:
    def __init__(self, name):
        self.name, self.cases, self.arrays, self.names = name, {}, {}, {}

    def store(self, case, name, value):
        """Equal arrays are written once; the case's `arrays` says under which key."""
        array = np.array(value.detach().numpy() if isinstance(value, torch.Tensor) else value, order="C")
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        if array.dtype == np.int32:
            array = array.astype(np.int64)
        key = self.names.setdefault((array.tobytes(), array.shape), f"{case}/{name}")
        self.arrays.setdefault(key, array)
        self.cases[case]["arrays"][name] = key

    def run(self, case, pipe, probe=(), inputs=None, note=None, hook="callback", seed=0, **call):
        """Calls the pipeline with `call`; probe names components whose first call is stored whole."""
        schedule, steps, timesteps = pipe.scheduler, [], []
        self.cases[case] = {"arrays": {}}
        for name, value in (inputs or {}).items():
            self.store(case, name, value)

        def on_step(pipe, i, t, tensors):
            timesteps.append(float(t))
            steps.append(tensors["latents"].clone())
            return tensors

        if hook == "callback":
            call["callback_on_step_end"] = on_step
        else:
            schedule.step = recording(type(schedule).step.__get__(schedule), steps, timesteps)
        pipe.set_progress_bar_config(disable=True)
        for component in pipe.components.values():
            if hasattr(component, "first_call"):
                component.first_call = None
        with torch.no_grad(), Draws() as draws:
            result = pipe(generator=generator(seed), return_dict=False, **call)[0]
        shown = {k: v for k, v in call.items() if plain(v) and v is not None}
        # lambda_min_clipped is −∞ by default, which JSON cannot say (diffusers writes -Infinity all the same).
        config = {k: v for k, v in pipe.scheduler.config.items() if not k.startswith("_") and v != -math.inf}
        self.cases[case] = {
            "pipeline": type(pipe).__name__,
            "scheduler": {"_class_name": type(pipe.scheduler).__name__, **config},
            "seed": seed,
            "call": shown,
            "timesteps": timesteps,
            "draws": [list(d.shape) for d in draws.all],
            **({"note": note} if note else {}),
            **self.cases[case],
        }
        for k, draw in enumerate(draws.all):
            self.store(case, f"draw.{k}", draw)
        self.store(case, "steps", torch.stack(steps))
        self.last = steps[-1]
        if call.get("output_type") == "np":
            self.store(case, "picture", np.asarray(result))
        elif call.get("output_type") == "latent" and not torch.equal(result, steps[-1]):
            self.store(case, "latents", result)
        for name in probe:
            for key, value in getattr(pipe, name).first_call.items():
                self.store(case, f"{name}.{key}", value)

    def write(self):
        header, offset = {}, 0
        for name, array in self.arrays.items():
            end = offset + array.nbytes
            header[name] = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape), "data_offsets": [offset, end]}
            offset = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        data = b"".join(a.tobytes() for a in self.arrays.values())
        (OUT / f"{self.name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
        made = {"diffusers": diffusers.__version__, "torch": torch.__version__}
        cases = ",\n".join(f"  {json.dumps(name)}: {json.dumps(case, allow_nan=False)}" for name, case in self.cases.items())
        (OUT / f"{self.name}.json").write_text(f'{{"madeWith": {json.dumps(made)},\n "cases": {{\n{cases}\n}}}}\n')
        print(f"{self.name}: {len(self.cases)} cases, {offset // 1024} KiB")


def plain(value):
    items = value if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(v, (int, float, str, bool, type(None))) for v in items)


def recording(step, steps, timesteps):
    def wrapped(model_output, timestep, sample, **kwargs):
        out = step(model_output, timestep, sample, **kwargs)
        timesteps.append(float(timestep))
        steps.append((out[0] if isinstance(out, tuple) else out.prev_sample).clone())
        return out

    return wrapped
