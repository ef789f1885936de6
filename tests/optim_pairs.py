"""Random optimizers and schedules beside PyTorch's: ``python tests/optim_pairs.py --count 100`` runs so many of each.

Both move the same parameters along the same losses for 25 steps. At step 12 each is replaced by a new one that loads
its state. Parameters, state and options must agree, in float64.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygraph import Parameter, optim

STEPS, HALFWAY = 25, 12  # of a run, and before the state is loaded into a new one
SHAPES = [(4, 3), (3,), (), (2, 2)]
Options = dict[str, Any]
Draw = Callable[[np.random.Generator], Options]


def some(rng, **choices):
    """Options drawn from their choices, each left out half of the time."""
    return {key: values[rng.integers(len(values))] for key, values in choices.items() if rng.random() < 0.5}


COMMON = {"weight_decay": [0.1, 0.01], "maximize": [True, False], "foreach": [True, False, None]}
BETAS = [(0.9, 0.99), (0.5, 0.6), (0.0, 0.9), (0.8, 0.3)]
ADAM = {"lr": [0.02, 0.003], "betas": BETAS, "eps": [1e-3, 1e-8], **COMMON}
RECTIFIED = ADAM | {"betas": [(0.9, 0.99), (0.5, 0.8), (0.0, 0.9)]}


def draw_sgd(rng):
    options = some(rng, lr=[0.02, 0.005], momentum=[0.9, 0.5], dampening=[0.3], **COMMON)
    if options.get("momentum") and not options.get("dampening"):
        options |= some(rng, nesterov=[True])
    return options


def draw_lbfgs(rng):
    return {
        "line_search_fn": [None, "strong_wolfe"][rng.integers(2)],
        "max_iter": [1, 2, 5][rng.integers(3)],
        "tolerance_grad": [1e-1, 1e-3][rng.integers(2)],  # nearer to the minimum, differences are noise
        **some(rng, lr=[0.3, 0.9], max_eval=[3, 6, 20], history_size=[1, 2, 5], tolerance_change=[1e-3, 1e-9]),
    }


OPTIMIZERS: dict[str, Draw] = {
    "SGD": draw_sgd,
    "Adam": lambda rng: some(rng, amsgrad=[True, False], decoupled_weight_decay=[True], **ADAM),
    "AdamW": lambda rng: some(rng, amsgrad=[True, False], **ADAM),
    "NAdam": lambda rng: some(rng, momentum_decay=[0.01, 0.0], decoupled_weight_decay=[True], **ADAM),
    "RAdam": lambda rng: some(rng, decoupled_weight_decay=[True], **RECTIFIED),
    "Adamax": lambda rng: some(rng, **ADAM),
    "Adadelta": lambda rng: some(rng, lr=[0.5, 2.0], rho=[0.5, 0.95], eps=[1e-4, 1e-6], **COMMON),
    "Adagrad": lambda rng: some(
        rng, lr=[0.1, 0.02], lr_decay=[0.05], initial_accumulator_value=[0.2], eps=[1e-5], **COMMON
    ),
    "RMSprop": lambda rng: some(
        rng, lr=[0.005], alpha=[0.9, 0.5], eps=[1e-2, 1e-4], momentum=[0.5], centered=[True], **COMMON
    ),
    "ASGD": lambda rng: some(rng, lr=[0.02], lambd=[0.1, 1e-3], alpha=[0.5, 1.0], t0=[5.0, 0.0], **COMMON),
    "Rprop": lambda rng: some(
        rng, lr=[0.02], etas=[(0.3, 1.1), (0.5, 1.5)], step_sizes=[(1e-3, 0.05)], maximize=[True], foreach=[True]
    ),
    "LBFGS": draw_lbfgs,
}


def rate(rng):
    return float(rng.choice([0.5, 0.7, 0.9, 1.1]))


def two_schedules(lr_scheduler, optimizer, rng):
    """Two schedules of one optimizer, made alike in either library."""
    return [
        lr_scheduler.ConstantLR(optimizer, factor=float(rng.choice([0.2, 0.5])), total_iters=int(rng.integers(1, 9))),
        [
            lambda: lr_scheduler.ExponentialLR(optimizer, gamma=rate(rng)),
            lambda: lr_scheduler.CosineAnnealingLR(optimizer, T_max=int(rng.integers(2, 20))),
            lambda: lr_scheduler.StepLR(optimizer, step_size=int(rng.integers(1, 5)), gamma=rate(rng)),
            lambda: lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.9),
            lambda: lr_scheduler.LinearLR(optimizer, start_factor=0.3, total_iters=6),
            lambda: lr_scheduler.PolynomialLR(optimizer, total_iters=30, power=2.0),
            lambda: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=3, T_mult=2),
        ][rng.integers(7)](),
    ]


def sequential(lr_scheduler, optimizer, rng):
    return lr_scheduler.SequentialLR(optimizer, two_schedules(lr_scheduler, optimizer, rng), [int(rng.integers(1, 15))])


def chained(lr_scheduler, optimizer, rng):
    return lr_scheduler.ChainedScheduler(two_schedules(lr_scheduler, optimizer, rng), optimizer)


def lambdas(rng):
    a, b = rng.random(2)
    return {"lr_lambda": [lambda epoch: 1 / (1 + a * epoch), lambda epoch: b**epoch]}


SCHEDULES: dict[str, Draw | Callable[..., Any]] = {
    "StepLR": lambda rng: {"step_size": int(rng.integers(1, 9)), "gamma": rate(rng)},
    "MultiStepLR": lambda rng: {"milestones": [int(i) for i in rng.integers(1, 25, 4)], "gamma": rate(rng)},
    "ConstantLR": lambda rng: {"factor": float(rng.choice([0.2, 1.0])), "total_iters": int(rng.integers(1, 30))},
    "LinearLR": lambda rng: {
        "total_iters": int(rng.integers(1, 30)),
        **some(rng, start_factor=[0.1, 1.0], end_factor=[0.2, 0.7]),
    },
    "ExponentialLR": lambda rng: {"gamma": rate(rng)},
    "PolynomialLR": lambda rng: {"total_iters": int(rng.integers(2, 30)), "power": float(rng.choice([0.5, 1, 2.5]))},
    "CosineAnnealingLR": lambda rng: {"T_max": int(rng.integers(2, 30)), **some(rng, eta_min=[0.01])},
    "CosineAnnealingWarmRestarts": lambda rng: {
        "T_0": int(rng.integers(1, 9)),
        **some(rng, T_mult=[2, 3], eta_min=[0.01]),
    },
    "LambdaLR": lambdas,
    "MultiplicativeLR": lambdas,
    "CyclicLR": lambda rng: {
        "base_lr": [0.01, [0.01, 0.02]][rng.integers(2)],
        "max_lr": [0.1, [0.3, 0.2]][rng.integers(2)],
        "step_size_up": int(rng.integers(1, 9)),
        **some(
            rng,
            step_size_down=[3, 7],
            mode=["triangular2", "exp_range"],
            gamma=[0.9],
            cycle_momentum=[False],
            base_momentum=[0.5],
            max_momentum=[[0.7, 0.8]],
        ),
    },
    "OneCycleLR": lambda rng: {
        "max_lr": [0.1, [0.3, 0.2]][rng.integers(2)],
        "total_steps": int(rng.integers(26, 60)),
        **some(
            rng,
            pct_start=[0.2, 0.45],
            anneal_strategy=["linear"],
            cycle_momentum=[False],
            base_momentum=[0.7],
            div_factor=[5.0],
            final_div_factor=[100.0],
            three_phase=[True],
        ),
    },
    "ReduceLROnPlateau": lambda rng: some(
        rng,
        mode=["max"],
        factor=[0.5],
        patience=[0, 3],
        threshold=[0.05],
        threshold_mode=["abs"],
        cooldown=[2],
        min_lr=[0.02, [0.01, 0.05]],
    ),
    "SWALR": lambda rng: {
        "swa_lr": [0.05, [0.02, 0.5]][rng.integers(2)],
        **some(rng, anneal_epochs=[0, 1, 6, 40], anneal_strategy=["linear"]),
    },
    "SequentialLR": sequential,
    "ChainedScheduler": chained,
}


def curved(p, q, r, s, x):
    """A loss that is curved in every parameter, and pulls by another x elsewhere; for arrays of either library."""
    y = x @ p + q
    return ((y * y).sum() * 0.1 + (r * p).sum() * 0.3 + (x[0, :3] * q).sum() + (r - x[1, 1]) ** 2 + (s * s).sum()) * 0.5


def valley(p, q, r, s, x):
    """A convex loss that is much steeper in some directions than in others, so that steps do not end in noise."""
    y = x @ p + q
    return (y * y).sum() * 0.5 + (y * y * y * y).sum() * 0.01 + (r - p.sum()) ** 2 + ((s - 1) ** 2).sum() * 0.01


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Where two states differ, whose arrays may be of either library."""
    if isinstance(theirs, dict):
        for key in theirs:
            if theirs[key] is not None and key not in ("al", "params", "milestones"):
                a, b = ours[key], theirs[key]
                if key == "ro":  # 1 / y·s, which is larger than any rounding where y and s are small
                    a, b = [1 / v for v in a], [1 / v for v in b]
                yield from differences(a, b, f"{path}.{key}")
    elif isinstance(theirs, list | tuple):
        if len(ours) != len(theirs):
            yield f"{path}: {len(ours)} and {len(theirs)} entries"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(a, b, f"{path}.{i}")
    elif isinstance(theirs, str | bool) or theirs is None:
        if ours != theirs:
            yield f"{path}: {ours!r} and {theirs!r}"
    else:
        a, b = np.asarray(ours, float), np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs, float)
        if a.shape != b.shape:
            yield f"{path}: shapes {a.shape} and {b.shape}"
        elif not np.allclose(a, b, rtol=1e-9, atol=1e-9):
            yield f"{path}: {abs(a - b).max():.1e} apart"


def common(ours: Options, theirs: Options) -> Options:
    """Of a group or a schedule of PyTorch's, what we have too; and no public key of its is missing here."""
    ways = {"foreach", "fused", "capturable", "differentiable"}
    missing = {key for key in theirs.keys() - ours.keys() - ways if not key.startswith("_")}
    if missing:
        raise AssertionError(f"no {missing} in our state")
    return {key: value for key, value in theirs.items() if key in ours}


def make_optimizer(library: Any, name: str, params: list[Any], options: Options) -> Any:
    """An optimizer of either library, with two groups where there may be two."""
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.013}]
    return getattr(library, name)(params if name == "LBFGS" else groups, **options)


def lose(optimizer: Any, params: list[Any], x: Any) -> Any:
    """Compute the gradients and the loss, as a closure does."""
    optimizer.zero_grad()
    loss = (valley if type(optimizer).__name__ == "LBFGS" else curved)(*params, x)
    loss.backward()
    return loss


def make_schedule(library: Any, name: str, seed: int) -> tuple[Any, Any]:
    """An optimizer with two groups and a random schedule, in either library."""
    rng = np.random.default_rng(seed)
    params = [Parameter(np.ones(1)), Parameter(np.ones(1))]
    if library is not optim:
        params = [library.swa_utils.torch.ones(1, requires_grad=True) for _ in range(2)]
    kind, options = [("SGD", {"momentum": 0.9}), ("Adam", {})][rng.integers(2)]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "lr": 0.3}]
    optimizer = getattr(library, kind)(groups, lr=0.1, **options)
    if name in ("SequentialLR", "ChainedScheduler"):
        return optimizer, SCHEDULES[name](library.lr_scheduler, optimizer, rng)
    home = library.swa_utils if name == "SWALR" else library.lr_scheduler
    return optimizer, getattr(home, name)(optimizer, **SCHEDULES[name](rng))


def compare_optimizer(torch: Any, name: str, seed: int) -> list[str]:
    """Run one random optimizer in both libraries; return where they differ."""
    rng = np.random.default_rng([seed, len(name)])
    options, start = OPTIMIZERS[name](rng), [rng.standard_normal(shape) for shape in SHAPES]
    xs = rng.standard_normal((STEPS, 5, 4))
    if options.get("maximize"):
        xs = xs * 0.3
    if name == "LBFGS":
        xs = xs[:1].repeat(STEPS // options["max_iter"], 0)
    ours, theirs = [Parameter(a.copy()) for a in start], [torch.tensor(a, requires_grad=True) for a in start]
    runs = []
    for library, params, convert in ((optim, ours, np.asarray), (torch.optim, theirs, torch.tensor)):
        optimizer = make_optimizer(library, name, params, options)
        for i, x in enumerate(map(convert, xs)):
            if i == (len(xs) // 2 if name == "LBFGS" else HALFWAY):
                state, optimizer = optimizer.state_dict(), make_optimizer(library, name, params, options)
                optimizer.load_state_dict(state)
            if i % 2 or name == "LBFGS":
                optimizer.step(functools.partial(lose, optimizer, params, x))
            else:
                lose(optimizer, params, x)
                optimizer.step()
        runs.append(optimizer.state_dict())
    found = [*differences([p.data for p in ours], [q.detach() for q in theirs], "parameters")]
    found += differences(runs[0]["state"], runs[1]["state"], "state")
    for a, b in zip(runs[0]["param_groups"], runs[1]["param_groups"], strict=True):
        found += differences(a, common(a, b), "options")
    return [f"{name} {options}: {line}" for line in found]


def compare_schedule(torch: Any, name: str, seed: int) -> list[str]:
    """Run one random schedule in both libraries; return where the rates, momenta or states differ."""
    runs = []
    measures = np.random.default_rng(seed).standard_normal(STEPS).cumsum() * -0.1 + 3
    for library in (optim, torch.optim):
        (optimizer, schedule), found = make_schedule(library, name, seed), []
        for i in range(STEPS):
            if i == HALFWAY:
                states = optimizer.state_dict(), schedule.state_dict()
                optimizer, schedule = make_schedule(library, name, seed)
                optimizer.load_state_dict(states[0])
                schedule.load_state_dict(states[1])
            groups = optimizer.param_groups
            found.append([[g["lr"], *g.get("betas", ()), g.get("momentum", 0.0)] for g in groups])
            optimizer.step()
            schedule.step(*([measures[i]] if name == "ReduceLROnPlateau" else []))
        runs.append((found, schedule.state_dict()))
    (rates, state), (their_rates, their_state) = runs
    wrong = [*differences(rates, their_rates, "rates")]
    wrong += differences(state, common(state, public(their_state)), "state")
    return [f"{name} {seed}: {line}" for line in wrong]


def public(state: Options) -> Options:
    """Of a schedule's state, what PyTorch documents; infinite bests are left out."""
    return {k: v for k, v in state.items() if not k.startswith("_") and v not in (math.inf, -math.inf)}


def arguments_of(thing: Any) -> list[str]:
    """The names of the arguments of a constructor, in their order, without those that only pick an implementation."""
    skipped = {"self", "foreach", "fused", "capturable", "differentiable", "how"}
    return [name for name in inspect.signature(thing).parameters if name not in skipped]


def defaults_of(thing: Any) -> Options:
    """The defaults of these arguments, by name."""
    parameters = inspect.signature(thing).parameters
    found = {name: parameters[name].default for name in arguments_of(thing)}
    return {name: value for name, value in found.items() if value is not inspect.Parameter.empty}


def failures(torch: Any, count: int, first: int = 0) -> Iterator[str]:
    """Compare so many random ones of each optimizer and schedule; yield each difference."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # PyTorch keeps a few numbers of a state in the default dtype
    try:
        for compare, table in ((compare_optimizer, OPTIMIZERS), (compare_schedule, SCHEDULES)):
            for name in table:
                for seed in range(first, first + count):
                    yield from compare(torch, name, seed)
    finally:
        torch.set_default_dtype(before)


def main() -> int:
    """Compare as many as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="how many of each")
    parser.add_argument("--seed", type=int, default=0, help="number of the first one")
    options = parser.parse_args()
    try:
        import torch
    except ModuleNotFoundError:
        print("PyTorch is not installed: pip install torch")
        return 2
    found = 0
    for line in failures(torch, options.count, options.seed):
        found += 1
        print(line, flush=True)
    print(
        f"{options.count} of each of {len(OPTIMIZERS)} optimizers and {len(SCHEDULES)} schedules; {found} differences"
    )
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
