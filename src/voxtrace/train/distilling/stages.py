"""The loop of one stage: windows, loss, step, average; told, saved, resumed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor, nn

from voxtrace.errors import TrainingError
from voxtrace.train.cases import LoadedCase
from voxtrace.train.distilling.plan import Plan, Stage
from voxtrace.train.failing import CPU_MEMORY
from voxtrace.train.optim import Average, decayed, rate_at
from voxtrace.train.samples import Batch, Options, Sampler
from voxtrace.train.state import NAME, State
from voxtrace.train.stepping import fast_bfloat16
from voxtrace.train.stopping import save_every_s, stoppable
from voxtrace.train.synth import SynthPool
from voxtrace.train.telling import Step, Tell

SAVE_EVERY_S = 60.0
Lose = Callable[[Tensor, Tensor, int], tuple[Tensor, dict[str, float]]]
"""Windows (B, 3, S, S) uint8, truth (B, S, S) uint8, step -> what to minimise, and figures for the log."""


class Windows:
    """Windows of the cases by number, the same for the same seed; after `views` of them they come again."""

    def __init__(self, cases: Sequence[LoadedCase], options: Options, plan: Plan, frames: int) -> None:
        pool = SynthPool(seed=plan.seed) if options.synthetic else None
        self.sampler = Sampler(cases, pool, plan.seed, 1, replace(options, objects=1))
        self.frames, self.workers = frames, plan.workers
        self.period = max(1, plan.views // frames) if plan.views else 2**31

    def after(self, step: int) -> Iterator[Batch]:
        """Batches from number `step` on, without end."""
        while True:
            yield from self.sampler.batches(self.frames, self.workers, start=step % self.period, stop=self.period)
            step = 0

    def held_out(self, count: int) -> Iterator[Batch]:
        """Windows that are never trained on (pictures may be the same)."""
        return self.sampler.batches(self.frames, 0, start=2**31 - count, stop=2**31)


def carry_out(
    net: nn.Module, stage: Stage, plan: Plan, windows: Windows, lose: Lose, out: Path, tell: Tell | None, way: str
) -> State:
    """Train `net` in place until the stage's end; goes on from `out` where a run was stopped. Leaves its average in it.

    Raises TrainingError where a step does not fit into memory, or the state in `out` is another net's.
    """
    device = next(net.parameters()).device
    state = State(net, _adamw(net, stage.rate, plan.weight_decay), Average(net, plan.average))
    if stage.skipped:
        return state
    out.mkdir(parents=True, exist_ok=True)
    state.resume(out / NAME, device)
    net.train()
    saved = last = time.monotonic()
    drawn = windows.after(state.step)
    every = save_every_s(stage.minutes, SAVE_EVERY_S)
    with _log(out / "log.jsonl", state.step) as log, stoppable() as stop:
        while state.step < stage.steps and state.seconds < stage.minutes * 60:
            progress = max(state.step / stage.steps, state.seconds / (stage.minutes * 60))
            rate = stage.rate * rate_at(progress, plan.warm_up)
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            batch = next(drawn)
            with enough_memory(stage.frames):
                loss, parts, norm = _step(state, plan, lose, batch, device)
            state.average.update(net)
            state.step += 1
            now = time.monotonic()
            state.seconds, last = state.seconds + now - last, now
            sets = tuple(meta["set"] for meta in batch.metas)
            told = Step(
                state.step, progress, loss, parts, seconds=state.seconds, rate=rate, norm=norm, way=way, sets=sets
            )
            log.write(json.dumps(asdict(told)) + "\n")
            log.flush()
            if tell is not None:
                tell(told)
            if stop.asked or now - saved > every:
                saved = now
                state.save(out / NAME)
            if stop.asked:
                raise stop.stopped(state.step)
    state.save(out / NAME)
    net.load_state_dict(state.average.state)
    return state


def _adamw(net: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """One rate for all; what does not decay is the same as in any other training."""
    matrices = {id(weight) for weight in decayed(net)}
    taught = [weight for weight in net.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in taught if (id(w) in matrices) == decays], "weight_decay": weight_decay * decays}
        for decays in (True, False)
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


def _log(path: Path, step: int) -> TextIO:
    """The log, without rows after `step`: those of a run that was killed come again."""
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True)[:step] if path.exists() else []
    path.write_text("".join(rows), encoding="utf-8")
    return path.open("a", encoding="utf-8")


def _step(
    state: State, plan: Plan, lose: Lose, batch: Batch, device: torch.device
) -> tuple[float, dict[str, float], float]:
    loss, parts = lose(batch.images[:, 0].to(device), batch.masks[:, 0].to(device), state.step)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(state.net.parameters(), plan.clip_norm)
    if torch.isfinite(norm):
        state.optimiser.step()
    else:
        state.forget_statistics()
    return float(loss.detach()), parts, float(norm)


def fast(device: torch.device) -> torch.autocast:
    """bfloat16 where it is faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device))


@contextmanager
def enough_memory(frames: int) -> Iterator[None]:
    """Turn what torch raises where memory ends into what to change. Raises TrainingError."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not out_of_memory and not any(sign in str(error) for sign in CPU_MEMORY):
            raise
        raise TrainingError(
            f"a step of {frames} pictures does not fit into memory. Ask for fewer (--frames {max(1, frames // 2)}), a "
            "smaller --student-size or --teacher-size, or --device cpu; what was trained so far is kept, and the same "
            "command with the change goes on from it"
        ) from error
