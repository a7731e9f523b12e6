"""A TopK sparse autoencoder's training step in PyTorch, timed on request: the peer of tests/bench/sae.bench.ts.

Reads lines "steps <variant> <n>" and answers each with the milliseconds per step, as JSON.
The same work as ours: forward, reverse, decoder gradients made orthogonal to its rows, clipping, Adam, unit rows.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

WIDTH, FEATURES, K, BATCH, THREADS = (int(a) for a in sys.argv[1:6])
torch.set_num_threads(THREADS)
torch.manual_seed(0)
data = torch.randn(10, BATCH, WIDTH)


class Sae:
    def __init__(self):
        W = F.normalize(torch.randn(FEATURES, WIDTH), dim=1)
        self.W_enc = W.T.contiguous().requires_grad_()
        self.b_enc = torch.zeros(FEATURES, requires_grad=True)
        self.W_dec = W.clone().requires_grad_()
        self.b_dec = torch.zeros(WIDTH, requires_grad=True)
        self.parameters = [self.W_enc, self.b_enc, self.W_dec, self.b_dec]
        self.optimizer = torch.optim.Adam(self.parameters, lr=2e-4, eps=6.25e-10)
        self.since_fired = torch.zeros(FEATURES)

    def decode_dense(self, values, indices):
        codes = torch.zeros(BATCH, FEATURES).scatter(1, indices, values)
        return torch.addmm(self.b_dec, codes, self.W_dec)

    def decode_gathered(self, values, indices):
        return F.embedding_bag(indices, self.W_dec, per_sample_weights=values, mode="sum") + self.b_dec

    def step(self, x, decode):
        pre = torch.addmm(self.b_enc, x - self.b_dec, self.W_enc)
        values, indices = pre.topk(K, dim=1, sorted=False)
        values = values.relu()
        reconstruction = decode(values, indices)
        loss = (reconstruction - x).pow(2).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        with torch.no_grad():
            gradient = self.W_dec.grad
            gradient -= (gradient * self.W_dec).sum(1, keepdim=True) * self.W_dec
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True))
            self.since_fired += BATCH
            self.since_fired[indices[values > 0]] = 0
        return loss


saes = {"dense": Sae(), "gathered": Sae()}
for line in sys.stdin:
    _, variant, count = line.split()
    sae = saes[variant]
    decode = sae.decode_dense if variant == "dense" else sae.decode_gathered
    started = time.perf_counter()
    for i in range(int(count)):
        sae.step(data[i % len(data)], decode)
    print(json.dumps({"ms": (time.perf_counter() - started) * 1000 / int(count)}), flush=True)
