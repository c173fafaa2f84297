"""What others do for the questions of `benches/examples/dynamics.rs`, timed on request.

The methods are written out here from their descriptions, with NumPy, SciPy, scikit-learn and PyTorch; none of it is the
code of the packages that are known for them. Reads a JSON object a line: "method", how long to repeat it ("least_ms")
and its arguments; answers with the milliseconds of processor time of a call and of all calls, and with what was found.
Loading, eigenvectors that a method starts from, and the comparison with references are not timed.
"""

import json
import os
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.polynomial import chebyshev  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402
from scipy.optimize import root  # noqa: E402
from sklearn.linear_model import Ridge  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import PolynomialFeatures, StandardScaler  # noqa: E402

REFERENCE = Path(__file__).resolve().parents[2] / "host/tests/dynamics"


def arrays(name):
    """All arrays of a safetensors file."""
    data = (REFERENCE / f"{name}.safetensors").read_bytes()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    found = {}
    for key, array in json.loads(data[8:begin]).items():
        if key != "__metadata__":
            kind = {"F32": np.float32, "F64": np.float64}[array["dtype"]]
            first, last = (begin + offset for offset in array["data_offsets"])
            found[key] = np.frombuffer(data[first:last], kind).reshape(array["shape"])
    return found


def reference(name):
    return json.loads((REFERENCE / f"{name}.json").read_text())


class Network:
    """A network under a held input u, one row a state: h' = f(W h + g), or x' = x + alpha (-x + W f(x) + g)."""

    def __init__(self, name, u):
        stored = arrays(name)
        self.current = "J" in stored
        self.w = stored["J" if self.current else "W"].astype(float)
        self.input = stored["B" if self.current else "Win"].astype(float)
        self.g = self.input @ np.array(u, float) + stored["c" if self.current else "b"]
        self.states = stored["traj"].reshape(-1, len(self.w)).astype(float)
        self.relu = name.startswith("relu")
        self.alpha = 0.2

    def step(self, x, w, g, f):
        if self.current:
            return x + self.alpha * (f(x) @ w.T + g - x)
        return f(x @ w.T + g)

    def map(self, x):
        return self.step(x, self.w, self.g, (lambda a: np.maximum(a, 0)) if self.relu else np.tanh)

    def jacobians(self, x):
        """Of the map, one a state."""
        a = x if self.current else x @ self.w.T + self.g
        slope = (a > 0).astype(float) if self.relu else 1 - np.tanh(a) ** 2
        if self.current:
            return (1 - self.alpha) * np.eye(len(self.w)) + self.alpha * self.w * slope[:, None, :]
        return slope[:, :, None] * self.w


def distinct(points, tolerance):
    """Of points within the tolerance of each other the first."""
    kept = np.empty((0, points.shape[1]), points.dtype)
    for point in points:
        if not len(kept) or np.abs(kept - point).max(1).min() > tolerance:
            kept = np.vstack([kept, point])
    return kept


def adam_fixed_points(network, u, starts, most):
    """Adam on the mean of q = |f(x) - x|² / 2 over all starts together, as FixedPointFinder does: rate 1, less where q
    stalls, until every q is below 1e-12 or stands still; then what is the same, or far out, is dropped."""
    net = Network(network, u)
    random = np.random.default_rng(0)
    first = net.states[random.integers(len(net.states), size=starts)]
    first = first + 0.5 * random.standard_normal(first.shape)
    w, g = torch.tensor(net.w, dtype=torch.float32), torch.tensor(net.g, dtype=torch.float32)
    f = torch.relu if net.relu else torch.tanh
    # The first optimiser of a process imports for a second.
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])

    def work():
        x = torch.tensor(first, dtype=torch.float32, requires_grad=True)
        optimiser = torch.optim.Adam([x], lr=1.0)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.95, patience=2, cooldown=0)
        before = torch.full((starts,), torch.inf)
        for iteration in range(most):
            q = 0.5 * (net.step(x, w, g, f) - x).square().sum(1)
            rate = optimiser.param_groups[0]["lr"]
            if bool(((q < 1e-12) | ((q - before).abs() < 1e-20 * rate)).all()):
                break
            optimiser.zero_grad()
            loss = q.mean()
            loss.backward()
            optimiser.step()
            schedule.step(loss.item())
            before = q.detach()
        slowest_first = x.detach().numpy()[np.argsort(q.detach().numpy())]
        found = distinct(slowest_first, 1e-3)
        middle = first.mean(0)
        distance = lambda points: np.linalg.norm(points - middle, axis=1)
        found = found[distance(found) < 10 * distance(first).mean()].astype(float)
        values = [np.linalg.eigvals(jacobian) for jacobian in net.jacobians(found)]
        return found, values, iteration + 1

    def describe(result):
        found, _, iteration = result
        x = found.copy()
        for _ in range(50):
            x -= np.linalg.solve(net.jacobians(x) - np.eye(x.shape[1]), (net.map(x) - x)[:, :, None])[:, :, 0]
        x = x[np.abs(net.map(x) - x).max(1) < 1e-12]
        return {"reported": len(found), "real": len(distinct(x, 1e-5)), "iterations": iteration}

    return work, describe


def brute_force_cycles(networks):
    """All cycles of piecewise-linear maps: a linear system for every word of regions that is the least of its rotations."""
    stored = arrays("plrnn_small")

    def parts(name):
        get = lambda key: stored.get(f"{name}/{key}")
        n = len(get("W") if get("W") is not None else get("W1"))
        square = lambda a: np.diag(a) if a.ndim == 1 else a
        if get("b") is not None:
            return np.zeros((n, n)), np.eye(n), get("W"), get("b"), np.zeros(n)
        if get("h") is not None:
            return square(get("A")), get("W"), np.eye(n), np.zeros(n), get("h")
        return square(get("A")), get("W1"), get("W2"), get("h2"), get("h1")

    def cycles(a, p, q, r, s, k):
        n, m = len(s), 2 ** len(r)
        gates = (np.arange(m)[:, None] >> np.arange(len(r)) & 1).astype(float)
        slope = a + (p[None] * gates[:, None, :]) @ q
        shift = (gates * r) @ p.T + s
        word = np.arange(m**k)
        turned, least = word, np.ones(m**k, bool)
        for _ in range(k - 1):
            turned = turned % m ** (k - 1) * m + turned // m ** (k - 1)
            least &= word < turned
        word = word[least]
        digits = [word // m ** (k - 1 - t) % m for t in range(k)]
        product, sum_ = np.broadcast_to(np.eye(n), (len(word), n, n)), np.zeros((len(word), n, 1))
        for d in digits:
            product, sum_ = slope[d] @ product, slope[d] @ sum_ + shift[d][:, :, None]
        left = np.eye(n) - product
        regular = np.abs(np.linalg.det(left)) > 1e-12
        z = np.linalg.solve(left[regular], sum_[regular])
        inside = np.ones(len(z), bool)
        for d in digits:
            d = d[regular]
            inside &= (((q @ z)[:, :, 0] + r > 0) == gates[d]).all(1)
            z = slope[d] @ z + shift[d][:, :, None]
        return len(word), int(inside.sum())

    maps = [(parts(name), period) for name, period in networks]

    def work():
        return [[cycles(*map_, k) for k in range(1, period + 1)] for map_, period in maps]

    def describe(result):
        total = lambda which: [sum(pair[which] for pair in periods) for periods in result]
        return {"candidates": sum(total(0)), "cycles": total(1)}

    return work, describe


def eigenpair(matrix, value):
    """The right eigenvector of length 1 whose largest entry is positive, and the left one of product 1 with it."""
    values, right = np.linalg.eig(matrix)
    left = np.linalg.inv(right)
    k = np.abs(values - value).argmin()
    v, l = right[:, k].real, left[k].real
    size = np.linalg.norm(v) * np.sign(v[np.abs(v).argmax()])
    return values[k].real, v / size, l * size


def line(j, slope, x, pair, order):
    """The coefficients of a one-dimensional spectral submanifold of x' = -x + J tanh x + g, by bordered systems."""
    (value, v, l), n = pair, len(x)
    a = j * slope - np.eye(n)
    w, r = np.zeros((order + 1, n)), np.zeros(order + 1)
    y, s = np.zeros_like(w), np.zeros_like(w)
    w[0], w[1], r[1] = x, v, value
    y[0], s[0] = np.tanh(x), slope
    y[1] = slope * v
    s[1] = -2 * y[0] * y[1]
    bordered = np.block([[a, -v[:, None]], [l[None], np.zeros((1, 1))]])
    inner = np.arange(n)
    for k in range(2, order + 1):
        j_w = np.arange(1, k)[:, None] * w[1:k]
        part = (j_w * s[k - 1 : 0 : -1]).sum(0) / k
        right = -j @ part
        if k > 2:
            right += r[k - 1 : 1 : -1] @ j_w[1:]
        system = bordered.copy()
        system[inner, inner] -= k * value
        solved = np.linalg.solve(system, np.append(right, 0))
        w[k], r[k] = solved[:n], solved[n]
        y[k] = part + slope * w[k]
        s[k] = -(y[: k + 1] * y[k::-1]).sum(0)
    return w, r


def surface(linear, gain, x, values, right, left, order):
    """The same in two coordinates of X' = L X + G tanh(first n of X) + g: lists of homogeneous parts, the power of the
    second coordinate first."""
    size, n = len(linear), gain.shape[1]
    y0 = np.tanh(x[:n])
    slope = 1 - y0**2
    a = linear.copy()
    a[:, :n] += gain * slope
    w, r = [x[None], right.T], [np.zeros((1, 2)), np.diag(values)]
    y, s = [y0[None], slope * right.T[:, :n]], [slope[None]]
    s.append(-2 * y0 * y[1])
    bordered = np.block([[a, -right], [left, np.zeros((2, 2))]])
    inner = np.arange(size)

    def product(first, second):
        out = np.zeros((len(first) + len(second) - 1, max(first.shape[1], second.shape[1])))
        for k, row in enumerate(first):
            out[k : k + len(second)] += row * second
        return out

    for d in range(2, order + 1):
        part = sum(product(m * w[m][:, :n], s[d - m]) for m in range(1, d)) / d
        rest = -part @ gain.T
        for m in range(2, d):
            powers = np.arange(m + 1)[:, None]
            rest += product(((m - powers) * w[m])[:-1], r[d - m + 1][:, :1])
            rest += product((powers * w[m])[1:], r[d - m + 1][:, 1:])
        rates = (d - np.arange(d + 1)) * values[0] + np.arange(d + 1) * values[1]
        systems = np.repeat(bordered[None], d + 1, 0)
        systems[:, inner, inner] -= rates[:, None]
        solved = np.linalg.solve(systems, np.pad(rest, ((0, 0), (0, 2)))[:, :, None])[:, :, 0]
        w.append(solved[:, :size])
        r.append(solved[:, size:])
        y.append(part + slope * w[d][:, :n])
        s.append(-sum(product(y[m], y[d - m]) for m in range(d + 1)))
    return w, r


def powers(p, d):
    return np.array([p[0] ** (d - k) * p[1] ** k for k in range(d + 1)])


def ssm_line(network, u, x, value, order, case):
    net, x = Network(network, u), np.array(x)
    slope = 1 - np.tanh(x) ** 2
    pair = eigenpair(net.w * slope - np.eye(len(x)), value)

    def describe(result):
        w, r = result
        known = reference("ssm_taylor_flow")["cases"][case]
        expected, rates = np.array(known["W"]), np.array(known["R"])
        size = np.maximum(1, np.abs(expected).max(1))
        error = (np.abs(w - expected).max(1) / size).max()
        return {"error": max(error, (np.abs(r - rates) / np.maximum(1, np.abs(rates))).max())}

    return lambda: line(net.w, slope, x, pair, order), describe


def ssm_plane(network, u, x, values, order, at):
    net, x = Network(network, u), np.array(x)
    jacobian = net.w * (1 - np.tanh(x) ** 2) - np.eye(len(x))
    pairs = [eigenpair(jacobian, value) for value in values]
    values, right, left = [p[0] for p in pairs], np.array([p[1] for p in pairs]).T, np.array([p[2] for p in pairs])

    def describe(result):
        w, r = result
        state = sum(powers(at, d) @ w[d] for d in range(order + 1))
        speed = sum(powers(at, d) @ r[d] for d in range(1, order + 1))
        along = lambda e, d: [
            (d - k if e == 0 else k) * at[0] ** max(d - k - (e == 0), 0) * at[1] ** max(k - (e == 1), 0)
            for k in range(d + 1)
        ]
        moved = sum(speed[e] * (np.array(along(e, d)) @ w[d]) for e in (0, 1) for d in range(1, order + 1))
        return {"residual": np.abs(-state + net.w @ np.tanh(state) + net.g - moved).max()}

    return lambda: surface(-np.eye(len(x)), net.w, x, values, right, left, order), describe


def ssm_parameter(network, u, x, value, order, parameter):
    """The input `parameter` as a coordinate of its own that does not move."""
    net, n = Network(network, u), len(x)
    linear = np.zeros((n + 1, n + 1))
    linear[:n, :n] = -np.eye(n)
    linear[:n, n] = net.input[:, parameter]
    gain = np.vstack([net.w, np.zeros((1, n))])
    jacobian = linear.copy()
    jacobian[:, :n] += gain * (1 - np.tanh(x) ** 2)
    pairs = [eigenpair(jacobian, wanted) for wanted in (value, 0.0)]
    scale = [1 / np.linalg.norm(pairs[0][1][:n]), 1 / pairs[1][1][n]]
    right = np.array([v * by for (_, v, _), by in zip(pairs, scale)]).T
    left = np.array([l / by for (_, _, l), by in zip(pairs, scale)])
    start = np.append(x, 0.0)

    def describe(result):
        _, r = result

        def fold(p):
            speed = sum(powers(p, d) @ r[d][:, 0] for d in range(1, order + 1))
            slope = sum(
                sum((d - k) * p[0] ** (d - k - 1) * p[1] ** k * r[d][k, 0] for k in range(d))
                for d in range(1, order + 1)
            )
            return [speed, slope]

        known = [fold["mu"] for fold in reference("ssm_folds")["folds"]]
        nearest = np.inf
        for p in np.linspace(-1.5, 1.5, 31):
            for mu in (-0.01, -0.002, 0.005, 0.015):
                found = root(fold, [p, mu], tol=1e-14)
                if np.abs(fold(found.x)).max() < 1e-12:
                    nearest = min(nearest, *(abs(found.x[1] - mu) for mu in known))
        return {"error": nearest}

    return lambda: surface(linear, gain, start, [value, 0.0], right, left, order), describe


def graph_transform(network, u, points, anchor, left, degree, file):
    """The curve between the extreme fixed points: states at Chebyshev nodes flow for two time constants by RK4 and are
    fitted by a series again, until they stay."""
    net, left, anchor = Network(network, u), np.array(left), np.array(anchor)
    points = np.array(points)
    place = (points - anchor) @ left
    points, place = points[np.argsort(place)], np.sort(place)
    scaled = lambda p: (2 * p - place[0] - place[-1]) / (place[-1] - place[0])
    nodes = np.cos(np.pi * np.arange(degree, -1, -1) / degree)
    at_nodes = chebyshev.chebvander(nodes, degree)
    flow = lambda x: np.tanh(x) @ net.w.T + net.g - x

    def work():
        x = np.array([np.interp(nodes, scaled(place), column) for column in points.T]).T
        for count in range(1, 401):
            moved, h = x, 0.25
            for _ in range(8):
                k1 = flow(moved)
                k2 = flow(moved + h / 2 * k1)
                k3 = flow(moved + h / 2 * k2)
                k4 = flow(moved + h * k3)
                moved = moved + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            series = np.linalg.solve(chebyshev.chebvander(scaled((moved - anchor) @ left), degree), moved)
            before, x = x, at_nodes @ series
            if np.abs(x - before).max() < 2e-9:
                break
        return series, count

    def describe(result):
        series, count = result
        known = np.array(reference(file)["cheb_curve"])
        s = np.linspace(-1, 1, 401)
        values = chebyshev.chebvander(s, degree) @ (series - known)
        return {"error": np.abs(values).max(), "transforms": count}

    return work, describe


def trajectories(file, shape):
    """count × times × n."""
    return np.fromfile(file).reshape(shape)


def fit(data, anchor, cut, degree, interval):
    """Chart by singular vectors; graph and flow by regression on monomials, the derivative by differences of order 4."""
    def regression(x, y):
        features = PolynomialFeatures(degree, include_bias=False)
        model = make_pipeline(features, StandardScaler(with_mean=False), Ridge(alpha=0, fit_intercept=False))
        model.fit(x, y)
        return np.atleast_2d(model[-1].coef_) / model[1].scale_

    shifted = data[:, cut:] - anchor
    states = shifted.reshape(-1, shifted.shape[2])
    chart = np.linalg.svd(states, full_matrices=False)[2][0]
    p = shifted @ chart
    slope = (p[:, :-4] - 8 * p[:, 1:-3] + 8 * p[:, 3:-1] - p[:, 4:]) / (12 * interval)
    graph = regression(p.reshape(-1, 1), states)
    flow = regression(p[:, 2:-2].reshape(-1, 1), slope.reshape(-1))
    return chart, graph, flow[0]


def manifold_fit(file, shape, anchor, train, cut, degree, interval):
    data, anchor = trajectories(file, shape), np.array(anchor)
    return lambda: fit(data[:train], anchor, cut, degree, interval), lambda _: {}


def manifold_roll_out(file, shape, anchor, train, cut, degree, interval):
    """The test trajectories from their first states, by an integrator of variable step."""
    data, anchor = trajectories(file, shape), np.array(anchor)
    chart, graph, flow = fit(data[:train], anchor, cut, degree, interval)
    test = data[train:, cut:] - anchor
    speed = np.append(flow[::-1], 0.0)
    times = interval * np.arange(test.shape[1])

    def work():
        found = []
        for x in test:
            p = solve_ivp(lambda _, p: np.polyval(speed, p), times[[0, -1]], [x[0] @ chart], t_eval=times).y[0]
            found.append((p[:, None] ** np.arange(1, degree + 1)) @ graph.T)
        return np.array(found)

    def describe(found):
        error = np.linalg.norm(found - test, axis=2).mean(1)
        return {"nmte": (error / np.linalg.norm(test, axis=2).max(1)).mean()}

    return work, describe


def continuation(network, u, parameter, start, low, high):
    """The branch through a fixed point of the flow, by pseudo-arclength to either side: bordered Newton, all eigenvalues
    at every point, folds by bisection and then Newton's method on (F, F_x v, l v - 1)."""
    net = Network(network, u)
    along, n = net.input[:, parameter], len(net.w)
    value = lambda z: np.tanh(z[:n]) @ net.w.T + net.g + z[n] * along - z[:n]
    jacobian = lambda z: net.w * (1 - np.tanh(z[:n]) ** 2) - np.eye(n)
    bordered = lambda z, row: np.vstack([np.column_stack([jacobian(z), along]), row])
    last = np.append(np.zeros(n), 1.0)

    def tangent(z, before):
        t = np.linalg.solve(bordered(z, before), last)
        return t / np.linalg.norm(t)

    def corrected(z, t):
        guess = z
        for count in range(1, 9):
            step = np.linalg.solve(bordered(z, t), np.append(value(z), t @ (z - guess)))
            z = z - step
            if np.abs(step).max() < 1e-11:
                return z, count
        return None, count

    def fold(z, t, ds):
        for _ in range(8):
            ds /= 2
            middle, _ = corrected(z + ds * t, t)
            if middle is None:
                break
            turned = tangent(middle, t)
            if turned[n] * t[n] > 0:
                z, t = middle, turned
        l = v = t[:n] / np.linalg.norm(t[:n])
        for _ in range(20):
            a, y = jacobian(z), np.tanh(z[:n])
            second = net.w * (-2 * y * (1 - y**2) * v)
            zero = np.zeros
            system = np.block(
                [
                    [a, along[:, None], zero((n, n))],
                    [second, zero((n, 1)), a],
                    [zero((1, n + 1)), l[None]],
                ]
            )
            step = np.linalg.solve(system, np.concatenate([value(z), a @ v, [l @ v - 1]]))
            z, v = z - step[: n + 1], v - step[n + 1 :]
            if np.abs(step).max() < 1e-13:
                break
        return z[n]

    def work():
        folds, points = [], 0
        for direction in (1.0, -1.0):
            z = np.append(start, 0.0)
            t, ds = direction * tangent(z, last), 0.05
            while low < z[n] < high and points < 5000:
                moved, count = corrected(z + ds * t, t)
                turned = None if moved is None else tangent(moved, t)
                if moved is None or turned @ t < 0.9:
                    ds /= 2
                    continue
                if turned[n] * t[n] < 0:
                    folds.append(fold(z, t, ds))
                np.linalg.eigvals(jacobian(moved))
                z, t, points = moved, turned, points + 1
                ds *= 1.3 if count <= 3 else 1.0
        return folds, points

    def describe(result):
        return {"folds": result[0], "points": result[1]}

    return work, describe


def lorenz(steps, transient, every, dt):
    """The state and three tangent vectors by RK4, QR every so many steps."""

    def slope(z):
        x = z[:, 0]
        jacobian = np.array([[-10.0, 10.0, 0.0], [28.0 - x[2], -1.0, -x[0]], [x[1], x[0], -8 / 3]])
        out = jacobian @ z
        out[:, 0] = 10.0 * (x[1] - x[0]), x[0] * (28.0 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]
        return out

    def work():
        z = np.column_stack([[1.0, 1.0, 20.0], np.eye(3)])
        sums, counted = np.zeros(3), 0
        for step in range(1, transient + steps + 1):
            k1 = slope(z)
            k2 = slope(z + dt / 2 * k1)
            k3 = slope(z + dt / 2 * k2)
            k4 = slope(z + dt * k3)
            z = z + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            if step % every == 0:
                z[:, 1:], r = np.linalg.qr(z[:, 1:])
                if step > transient:
                    sums += np.log(np.abs(np.diag(r)))
                    counted += every
        return sums / (counted * dt)

    return work, lambda found: {"exponents": list(found)}


def lyapunov(file, alpha, start, steps, transient, every):
    """All exponents of x' = x + alpha (-x + J tanh x), QR every so many steps."""
    w = arrays(file)["J"]
    n = len(w)

    def work():
        x, q = np.array(start), np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
        sums, counted = np.zeros(n), 0
        for step in range(1, transient + steps + 1):
            y = np.tanh(x)
            q = (1 - alpha) * q + alpha * (w * (1 - y**2)) @ q
            x = (1 - alpha) * x + alpha * (w @ y)
            if step % every == 0:
                q, r = np.linalg.qr(q)
                if step > transient:
                    sums += np.log(np.abs(np.diag(r)))
                    counted += every
        return sums / (counted * alpha)

    return work, lambda found: {"exponents": sorted(found, reverse=True)}


def ftle(network, u, origin, axes, ranges, size, steps, threads, output):
    """The field of a map on a plane: blocks of states with two tangent vectors each, in PyTorch, a thread a block."""
    net = Network(network, u)
    w, g, alpha = torch.tensor(net.w), torch.tensor(net.g), net.alpha
    origin, axes = torch.tensor(origin, dtype=w.dtype), torch.tensor(axes, dtype=w.dtype)
    a, b = (torch.linspace(low, high, size, dtype=w.dtype) for low, high in ranges)

    @torch.no_grad()
    def block(x):
        t, log = axes[:, None].expand(2, len(x), len(w)), torch.zeros(len(x), dtype=w.dtype)
        for step in range(1, steps + 1):
            y = torch.tanh(x)
            t = (1 - alpha) * t + alpha * (((1 - y * y) * t).reshape(-1, len(w)) @ w.T).view(2, len(x), len(w))
            x = (1 - alpha) * x + alpha * (y @ w.T + g)
            if step % 32 == 0:
                largest = t.abs().amax((0, 2))
                log, t = log + largest.log(), t / largest[None, :, None]
        aa, ab, bb = (t[0] ** 2).sum(1), (t[0] * t[1]).sum(1), (t[1] ** 2).sum(1)
        square = (aa + bb) / 2 + torch.hypot((aa - bb) / 2, ab)
        return (log + 0.5 * square.log()) / (steps * alpha)

    def work():
        start = origin + (a[None, :, None] * axes[0] + b[:, None, None] * axes[1]).reshape(-1, len(w))
        with ThreadPoolExecutor(threads) as pool:
            return torch.cat(list(pool.map(block, start.split(400))))

    def describe(found):
        found.numpy().tofile(output)
        return {}

    return work, describe


def answer(method, least_ms, **arguments):
    work, describe = METHODS[method](**arguments)
    began, count, spent = time.process_time(), 0, 0.0
    while count == 0 or spent < least_ms:
        result = work()
        count += 1
        spent = 1e3 * (time.process_time() - began)
    return {"ms": spent / count, "spent": spent, "found": describe(result)}


METHODS = {
    method.__name__: method
    for method in (
        adam_fixed_points,
        brute_force_cycles,
        ssm_line,
        ssm_plane,
        ssm_parameter,
        graph_transform,
        manifold_fit,
        manifold_roll_out,
        continuation,
        lorenz,
        lyapunov,
        ftle,
    )
}

if __name__ == "__main__":
    for request in sys.stdin:
        print(json.dumps(answer(**json.loads(request)), default=float), flush=True)
