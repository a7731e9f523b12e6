"""A TopK sparse autoencoder's training step in PyTorch, timed on request: the peer of tests/bench/sae.bench.ts.

Started with a safetensors file of weights and data, k and the number of threads.
Reads lines "<variant> <n>" and answers each with the milliseconds per step and the losses of n steps, as JSON.
The same work as ours: forward, reverse, decoder gradients made orthogonal to its rows, clipping, Adam, unit rows.
"""

import sys

import torch
import torch.nn.functional as F

from peer import answer, load

tensors = load(sys.argv[1])
K, THREADS = int(sys.argv[2]), int(sys.argv[3])
data = tensors["x"]
BATCH = data.shape[1]
torch.set_num_threads(THREADS)


class Sae:
    def __init__(self):
        start = {name: tensors[f"weight/{name}"].clone() for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
        self.W_enc = start["W_enc"].T.contiguous().requires_grad_()
        self.b_enc, self.W_dec, self.b_dec = (start[name].requires_grad_() for name in ("b_enc", "W_dec", "b_dec"))
        self.parameters = [self.W_enc, self.b_enc, self.W_dec, self.b_dec]
        self.optimizer = torch.optim.Adam(self.parameters, lr=2e-4, eps=6.25e-10)
        self.since_fired = torch.zeros(len(self.b_enc))
        self.steps = 0

    def decode_dense(self, values, indices):
        codes = torch.zeros(BATCH, len(self.b_enc)).scatter(1, indices, values)
        return torch.addmm(self.b_dec, codes, self.W_dec)

    def decode_gathered(self, values, indices):
        return F.embedding_bag(indices, self.W_dec, per_sample_weights=values, mode="sum") + self.b_dec

    def step(self, decode):
        x = data[self.steps % len(data)]
        self.steps += 1
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
        return loss.detach()


saes = {"dense": Sae(), "gathered": Sae()}
for line in sys.stdin:
    variant, count = line.split()
    sae = saes[variant]
    decode = sae.decode_dense if variant == "dense" else sae.decode_gathered
    answer(lambda: sae.step(decode), int(count))
