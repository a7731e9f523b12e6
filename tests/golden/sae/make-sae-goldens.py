"""Writes tests/golden/sae/training.json: sparse autoencoders trained step by step by PyTorch autograd.

Plain formulations, dense and unfused, independent of the library's training graphs.
Run with a Python that has torch (made with 1.13): python3 tests/golden/sae/make-sae-goldens.py
"""

import base64
import json
from pathlib import Path

import torch

N, D, F, K, BATCH, STEPS, LR = 512, 24, 64, 4, 64, 24, 3e-3
DEAD_FROM, DEAD_AFTER = 48, 8 * BATCH  # features from here on start dead; dead after 8 batches

torch.manual_seed(0)
atoms = torch.nn.functional.normalize(torch.randn(F, D), dim=1)
chosen = torch.rand(N, F).topk(3, dim=1).indices
codes = torch.zeros(N, F).scatter(1, chosen, 0.5 + torch.rand(N, 3))
X = codes @ atoms + 0.3 * torch.randn(1, D) + 0.05 * torch.randn(N, D)
W0 = torch.nn.functional.normalize(torch.randn(F, D), dim=1)


def encode(x, W_enc, b_enc, b_dec):
    return (x - b_dec) @ W_enc.T + b_enc


def topk(pre, k):
    values, indices = pre.topk(k, dim=1)
    return torch.zeros_like(pre).scatter(1, indices, values.relu())


def batch_topk(pre, k):
    flat = pre.relu().flatten()
    values, indices = flat.topk(k * pre.shape[0])
    return torch.zeros_like(flat).scatter(0, indices, values).reshape(pre.shape)


def train(kind, unit_norm=True, clip=None, aux=None, dead_start=False, l1=0.0, warmup=1):
    p = {
        "W_enc": W0.clone(),
        "b_enc": torch.zeros(F),
        "W_dec": W0.clone(),
        "b_dec": X.mean(0) * 0.9,
    }
    if dead_start:
        p["b_enc"][DEAD_FROM:] = -1.0 if aux == "linear" else 0.0
        if aux == "relu":  # weak but sometimes positive: never among the largest
            p["W_enc"][DEAD_FROM:] *= 0.05
    start = {n: t.clone() for n, t in p.items()}
    for t in p.values():
        t.requires_grad_(True)
    optimizer = torch.optim.Adam(p.values(), lr=LR, betas=(0.9, 0.999), eps=1e-8)
    since = torch.zeros(F)
    log = []
    for step in range(STEPS):
        x = X[(torch.arange(BATCH) + step * BATCH) % N]
        pre = encode(x, p["W_enc"], p["b_enc"], p["b_dec"])
        z = {"topk": lambda: topk(pre, K), "batch-topk": lambda: batch_topk(pre, K), "relu": pre.relu}[kind]()
        recon = z @ p["W_dec"] + p["b_dec"]
        if kind == "relu":
            loss = (recon - x).pow(2).sum(1).mean()
            loss = loss + min(1, (step + 1) / warmup) * l1 * (z * p["W_dec"].norm(dim=1)).sum(1).mean()
        else:
            loss = (recon - x).pow(2).mean()
        dead = since >= DEAD_AFTER
        if aux is not None and dead.any():
            e = (x - recon).detach()
            candidates = pre.masked_fill(~dead, float("-inf"))
            values, indices = candidates.topk(min(D // 2, int(dead.sum())), dim=1)
            z_aux = torch.zeros_like(pre).scatter(1, indices, values.relu() if aux == "relu" else values)
            loss = loss + (z_aux @ p["W_dec"] - e).pow(2).sum() / (e - e.mean(0)).pow(2).sum() / 32
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            if unit_norm:
                g, w = p["W_dec"].grad, p["W_dec"]
                g -= (g * w).sum(1, keepdim=True) * w
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(p.values(), clip)
            optimizer.step()
            if unit_norm:
                p["W_dec"] /= p["W_dec"].norm(dim=1, keepdim=True)
        since = (since + BATCH) * (1 - (z > 0).any(0).float())
        log.append({"loss": loss.item(), "l0": (z > 0).float().sum(1).mean().item(), "dead": dead.float().mean().item()})
    return {
        "loss": [l["loss"] for l in log],
        "l0": [l["l0"] for l in log],
        "dead": [l["dead"] for l in log],
        "start": {n: packed(t) for n, t in start.items()},
        "end": {n: packed(t.detach()) for n, t in p.items()},
    }


def packed(t):
    return base64.b64encode(t.contiguous().numpy().tobytes()).decode()


golden = {
    "setup": {"n": N, "width": D, "features": F, "k": K, "batch": BATCH, "steps": STEPS, "learningRate": LR, "deadAfter": DEAD_AFTER},
    "X": packed(X),
    "runs": {
        "topk": train("topk"),
        "topk, clipped": train("topk", clip=0.01),
        "topk, AuxK linear": train("topk", aux="linear", dead_start=True),
        "topk, AuxK relu": train("topk", aux="relu", dead_start=True),
        "batch-topk": train("batch-topk", aux="linear", dead_start=True),
        "relu": train("relu", unit_norm=False, l1=0.3, warmup=2),
    },
}
for name, run in golden["runs"].items():
    print(name, [round(l, 4) for l in run["loss"][::4]], "dead", run["dead"][-1], "l0", run["l0"][-1])
(Path(__file__).parent / "training.json").write_text(json.dumps(golden) + "\n")
