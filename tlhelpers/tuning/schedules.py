"""Learning rates over the steps of a training: warm-up, then down."""

import math

from tlhelpers.checks.words import check_choice, check_number, check_whole

import keras


def warmup_cosine(
    peak: float, steps: int, warmup: float = 0.1, final: float = 0.0
) -> keras.optimizers.schedules.CosineDecay:
    r"""Return Keras' schedule `CosineDecay` that rises in a line and falls along half a cosine.

    $$\eta(t) = \begin{cases} \eta_{\max}\, t / w & t < w \\
    \eta_{\mathrm{end}} + \tfrac12 (\eta_{\max} - \eta_{\mathrm{end}})
    \left(1 + \cos \pi \frac{t - w}{T - w}\right) & w \le t < T \\
    \eta_{\mathrm{end}} & t \ge T \end{cases}$$
    where $t$ counts batches, $T$ is `steps`, $w$ = `round(warmup * steps)`, $\eta_{\max}$ is `peak`
    and $\eta_{\mathrm{end}}$ is `final`.

    Args:
        peak: highest learning rate, above 0.
        steps: batches in the whole training, epochs times batches per epoch; at least 1.
        warmup: share of the steps that rise, in [0, 1). 0 starts at the peak.
        final: learning rate at the end, in 0..peak.

    Raises:
        ValueError: an argument out of its range.

    Example:
        >>> rate = tl.warmup_cosine(1e-3, steps=5 * math.ceil(len(x_train) / 4))  # 5 epochs
        >>> model.compile(keras.optimizers.AdamW(rate), loss)

    Reference:
        Loshchilov and Hutter 2017, SGDR (arXiv 1608.03983), eq. 5; Goyal et al. 2017, Accurate,
        Large Minibatch SGD (arXiv 1706.02677), section 2.2.
    """
    peak, steps, rising = _check(peak, steps, warmup)
    alpha = _check_rate("final", final, peak) / peak
    first, target = (0.0, peak) if rising else (peak, None)
    return keras.optimizers.schedules.CosineDecay(
        first, steps - rising, alpha, warmup_target=target, warmup_steps=rising
    )


@keras.saving.register_keras_serializable("tlhelpers")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):
    """Up to a peak and down again, along half cosines or straight lines; see `one_cycle`."""

    def __init__(self, peak, steps, rising, start, final, shape):
        super().__init__()
        self.peak, self.steps, self.rising = peak, steps, rising
        self.start, self.final, self.shape = start, final, shape

    def __call__(self, step):
        """Return the learning rate of a step."""
        step = keras.ops.cast(step, "float32")
        up = keras.ops.clip(step / max(self.rising, 1), 0.0, 1.0)
        down = keras.ops.clip((step - self.rising) / (self.steps - self.rising), 0.0, 1.0)
        if self.shape == "cosine":
            up, down = ((1 - keras.ops.cos(math.pi * part)) / 2 for part in (up, down))
        rise = self.start * (1 - up) + self.peak * up
        fall = self.peak * (1 - down) + self.final * down
        return keras.ops.where(step < self.rising, rise, fall)

    def get_config(self):
        """Return the arguments of the constructor."""
        return dict(vars(self))


def one_cycle(
    peak: float,
    steps: int,
    warmup: float = 0.25,
    start: float | None = None,
    final: float | None = None,
    shape: str = "cosine",
) -> OneCycle:
    r"""Return a registered schedule that goes up to a peak once and down to almost nothing.

    $$\eta(t) = \begin{cases} \eta_0 + (\eta_{\max} - \eta_0)\, s(t / w) & t < w \\
    \eta_{\max} + (\eta_{\mathrm{end}} - \eta_{\max})\, s\left(\frac{t - w}{T - w}\right)
    & w \le t < T \\ \eta_{\mathrm{end}} & t \ge T \end{cases}$$
    where $s(p) = (1 - \cos \pi p) / 2$ for shape "cosine" and $s(p) = p$ for "linear", $\eta_0$ is
    `start`, and the rest as in `warmup_cosine`. The momentum of the optimizer stays as it is.

    Args:
        peak, steps, warmup: as in `warmup_cosine`.
        start: first learning rate, in 0..peak. Defaults to peak / 25.
        final: last learning rate, in 0..peak. Defaults to peak / 100,000.
        shape: "cosine" or "linear".

    Raises:
        ValueError: an argument out of its range.

    Example:
        The slanted triangle of ULMFiT (cut_frac 0.1, ratio 32):

        >>> rate = tl.one_cycle(0.032, 100, 0.1, start=1e-3, final=1e-3, shape="linear")
        >>> [round(float(rate(step)), 4) for step in (0, 5, 10, 100)]
        [0.001, 0.0165, 0.032, 0.001]

    Reference:
        Smith 2018, A disciplined approach to neural network hyper-parameters (arXiv 1803.09820),
        section 4; Howard and Ruder 2018 (arXiv 1801.06146), eq. 3.
    """
    peak, steps, rising = _check(peak, steps, warmup)
    start = peak / 25 if start is None else _check_rate("start", start, peak)
    final = peak / 1e5 if final is None else _check_rate("final", final, peak)
    check_choice("shape", shape, ("cosine", "linear"))
    return OneCycle(peak, steps, rising, start, final, shape)


def _check(peak: float, steps: int, warmup: float) -> tuple[float, int, int]:
    """Return the peak, the number of steps, and how many of them rise."""
    peak = check_number("peak", peak, "(0, inf)")
    steps = check_whole("steps", steps, 1, cure="Take epochs times batches per epoch.")
    warmup = check_number("warmup", warmup, "[0, 1)", "It is a share of the steps: 0.1 is a tenth.")
    return peak, steps, min(round(warmup * steps), steps - 1)


def _check_rate(name: str, rate: float, peak: float) -> float:
    return check_number(name, rate, f"[0, {peak}]", "No learning rate lies above the peak.")
