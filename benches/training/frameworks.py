"""One training step of the paper's network in other frameworks, timed on request.

Reads lines "framework n T batch D threads steps", answers each with "CPU milliseconds, wall milliseconds" a step; a line
"version framework" with its version.
Frameworks: torch (the operations of the paper's loop, one by one: a product a channel into the current, masks of the
current and of the state, a bias current, clamp, readouts as sums of products, one loss a channel, its value taken), dale
(its loop under Dale's law, which multiplies W by the diagonal matrix of signs at every time step, penalises W² and
clamps W after every update), lean (the least that PyTorch needs for the same, fused Adam), jax (jit of the unrolled
scan; threads by CPU affinity).
Data are given; ReLU, Adam, W from 0 with the derivative of the clamp at its bound counted as 1.
"""

import os
import sys
import time
from importlib.metadata import version


def torch_step(n, T, batch, D, threads, kind):
    import torch

    torch.set_num_threads(threads)

    class Clamp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, p):
            ctx.save_for_backward(p)
            return p.clamp(min=0.0)

        @staticmethod
        def backward(ctx, gradient):
            (p,) = ctx.saved_tensors
            return gradient * (p >= 0)

    generator = torch.Generator().manual_seed(0)
    random = lambda *shape: torch.randn(*shape, generator=generator) / n**0.5
    x = torch.randn(batch, T, D, generator=generator)
    target = torch.randn(batch, T, D, generator=generator)
    E, C = random(D, n), random(D, n)
    W = torch.nn.Parameter(0.1 * random(n, n))
    signs = torch.where(torch.arange(n) < n // 4, -1.0, 1.0)
    optimiser = torch.optim.Adam([W], lr=3e-4, fused=kind == "lean")

    mask, bias = torch.ones(n), torch.zeros(n)
    inputs = [x[:, :, c].unbind(1) for c in range(D)]

    def forward_paper():
        h, outputs = torch.zeros(n), [[] for _ in range(D)]
        for t in range(T):
            current = E[0] * inputs[0][t].view(-1, 1)
            for c in range(1, D):
                current = current + E[c] * inputs[c][t].view(-1, 1)
            if kind == "dale":
                h = mask * Clamp.apply((h + mask * current).matmul(W.matmul(torch.diag(signs)).t()))
            else:
                h = mask * (bias + Clamp.apply((h + mask * current).matmul(W.t())))
            for c in range(D):
                outputs[c].append((C[c] * h).sum(-1))
        mse = torch.nn.functional.mse_loss
        loss = sum(mse(torch.stack(outputs[c], 1), target[:, :, c]) for c in range(D)) / T**2
        return loss + 1e-4 * (W**2).mean() if kind == "dale" else loss

    def forward_lean():
        h, states = torch.zeros(batch, n), []
        driven = x @ E
        for t in range(T):
            h = torch.relu(torch.nn.functional.linear(h + driven[:, t], W))
            states.append(h)
        outputs = torch.stack(states, 1) @ C.t()
        return ((outputs - target) ** 2).mean() * D / T**2

    forward = forward_lean if kind == "lean" else forward_paper

    def step():
        loss = forward()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if kind == "dale":
            W.data.clamp_(min=0.0)
        loss.item()

    return step


def jax_step(n, T, batch, D, threads):
    # Before the import: JAX starts as many threads as it has cores then, so that a process is for one number of them.
    os.sched_setaffinity(0, set(list(CORES)[:threads]))
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.PRNGKey(0), 5)
    scale = n**-0.5
    x = jax.random.normal(keys[0], (T, batch, D))
    target = jax.random.normal(keys[1], (T, batch, D))
    E, C = scale * jax.random.normal(keys[2], (D, n)), scale * jax.random.normal(keys[3], (D, n))
    W = 0.1 * scale * jax.random.normal(keys[4], (n, n))

    def loss(W):
        def one(h, x):
            h = jax.nn.relu((h + x @ E) @ W.T)
            return h, h @ C.T

        _, y = jax.lax.scan(one, jnp.zeros((batch, n)), x, unroll=T)
        return jnp.mean((y - target) ** 2) * D / T**2

    @jax.jit
    def update(W, m, v, count):
        gradient = jax.grad(loss)(W)
        m, v, count = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2, count + 1
        corrected = m / (1 - 0.9**count), v / (1 - 0.999**count)
        return W - 3e-4 * corrected[0] / (jnp.sqrt(corrected[1]) + 1e-8), m, v, count

    state = [W, jnp.zeros_like(W), jnp.zeros_like(W), jnp.zeros(())]

    def step():
        state[:] = update(*state)
        state[0].block_until_ready()

    return step


# Seconds, as in examples/training.rs.
WARM_UP = 0.2
CORES = os.sched_getaffinity(0)
cache = {}
for line in sys.stdin:
    name, *numbers = line.split()
    if name == "version":
        print(version("jax" if numbers == ["jax"] else "torch"), flush=True)
        continue
    n, T, batch, D, threads, steps = map(int, numbers)
    key = tuple(line.split()[:-1])
    if key not in cache:
        if name == "jax":
            cache[key] = jax_step(n, T, batch, D, threads)
        else:
            cache[key] = torch_step(n, T, batch, D, threads, name)
    began = time.perf_counter()
    while time.perf_counter() - began < WARM_UP:
        cache[key]()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(steps):
        cache[key]()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(1e3 * cpu / steps, 1e3 * wall / steps, flush=True)
