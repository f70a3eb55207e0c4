"""A forecaster with its quantiles: used on series, saved and loaded as one small file."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.files import write_atomically
from tlhelpers.checks.quantiles import check_quantiles
from tlhelpers.checks.words import announce, check_choice
from tlhelpers.models.forecaster import build_forecaster
from tlhelpers.sources.assets import catalog, fetch, origin_of
from tlhelpers.sources.windows import to_inputs

import keras
import numpy as np

NAME = "forecaster-tourism"


@dataclass(frozen=True, eq=False)
class Forecaster:
    """Forecast series: `forecaster(histories)`. Train `model`, and it uses what was learnt.

    Attributes:
        model: of `build_forecaster`.
        quantiles: those that it was built with.

    Raises:
        ValueError: another number of quantiles than the model's; none of them 0.5.

    Example:
        >>> untrained = tl.Forecaster(tl.build_forecaster(history=24, width=2), (0.1, 0.5, 0.9))
        >>> ahead = untrained([np.arange(1.0, 31.0)])  # as a year ago
        >>> ahead.shape, ahead[0, :3, 1].round(3)
        ((1, 12, 3), array([19., 20., 21.]))
    """

    model: keras.Model
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)

    def __post_init__(self):
        quantiles, width = check_quantiles(self.quantiles), self.model.output_shape[-1]
        if len(quantiles) != width or 0.5 not in quantiles:
            raise ValueError(
                f"`quantiles` must be the model's {width}, 0.5 among them. Received: "
                f"quantiles={self.quantiles}. Pass those that it was built with."
            )
        object.__setattr__(self, "quantiles", quantiles)

    @property
    def history(self) -> int:
        """Months that it reads; a longer series is cut to its last ones."""
        return self.model.input_shape[-1]

    @property
    def horizon(self) -> int:
        """Months that it forecasts."""
        return self.model.output_shape[1]

    @property
    def middle(self) -> int:
        """Which of the quantiles is 0.5, the forecast."""
        return self.quantiles.index(0.5)

    def __call__(self, histories: Iterable) -> np.ndarray:
        """Return forecasts in the unit of the series, float64 `(n, horizon, quantiles)`.

        The quantiles of a month are sorted, so that no interval is turned around. That never
        raises the pinball loss (Chernozhukov et al., Econometrica 78, 2010).

        Args:
            histories: n `Series`, or arrays of numbers above 0, `history` months or more.

        Raises:
            ValueError: what `to_inputs` refuses.
        """
        x, mean = to_inputs(histories, self.history)
        out = self.model.predict(x, batch_size=1024, verbose=0)
        return np.exp(np.sort(out.astype(float), axis=-1) + mean[..., None])

    def __repr__(self) -> str:
        return (
            f"Forecaster({self.model.count_params():,} weights, reads {self.history} months, "
            f"forecasts {self.horizon}, quantiles {', '.join(map(str, self.quantiles))})"
        )


def save_forecaster(path: str | os.PathLike, forecaster: Forecaster) -> Path:
    """Write a forecaster into one file, `.npz`, for `load_forecaster`; return its path.

    Raises:
        ValueError: another ending; no `Forecaster`; a model that `build_forecaster` hasn't built,
            or with more weights than its own, such as LoRA's.

    Example:
        >>> saved = tl.save_forecaster("sales.npz", tl.Forecaster(tl.build_forecaster(width=2)))
        >>> tl.load_forecaster(saved)
        Forecaster(1,434 weights, reads 36 months, forecasts 12, quantiles 0.1, 0.5, 0.9)
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(
            f"`path` must end in .npz. Received: path={str(path)!r}. Use {path.stem + '.npz'!r}."
        )
    if not isinstance(forecaster, Forecaster):
        raise ValueError(
            f"`forecaster` must be a Forecaster. Received: {type(forecaster).__name__}. Wrap the "
            "model: tl.Forecaster(model, quantiles)."
        )
    arrays = {weight.path: weight.numpy() for weight in forecaster.model.weights}
    _fill(arrays, forecaster.quantiles, forecaster.history, path.name)  # it can be loaded
    arrays |= {"quantiles": np.array(forecaster.quantiles), "history": np.array(forecaster.history)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
    return path


def load_forecaster(name: str | os.PathLike = NAME) -> Forecaster:
    """Return our pretrained forecaster of monthly series, or one of `save_forecaster`.

    "forecaster-tourism" has learnt from 209 series of the Tourism competition (`data/README.md`
    has its card): made for series with a season of a year. It reads 36 months, in any unit.

    Args:
        name: "forecaster-tourism", or a file that ends in `.npz`.

    Raises:
        ValueError: another name; a file that isn't there, not whole, or with other weights.

    Example:
        >>> tl.load_forecaster()
        forecaster-tourism: ours, forecaster_tourism.npz of this package; MIT...
        Forecaster(10,404 weights, reads 36 months, forecasts 12, quantiles 0.1, 0.5, 0.9)
    """
    path = Path(name)
    if path.suffix != ".npz":
        path = fetch(check_choice("name", str(name), (NAME,), "Or give a file that ends in .npz."))
        announce(f"{NAME}: {origin_of(NAME)}; {catalog()[NAME]['licence']}")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        quantiles, history = tuple(arrays.pop("quantiles").tolist()), int(arrays.pop("history"))
    except Exception as error:  # a damaged file makes numpy raise all kinds
        raise ValueError(
            "`name` must be a file of save_forecaster, whole. Received: "
            f"name={str(name)!r}: {type(error).__name__}: {error}. Save it again."
        ) from error
    return Forecaster(_fill(arrays, quantiles, history, path.name), quantiles)


def _fill(arrays: dict[str, np.ndarray], quantiles, history: int, name: str) -> keras.Model:
    """Return the model of these weights, all of them."""
    left = dict(arrays)
    try:
        depth = sum(path.endswith("recurrent_kernel") for path in arrays)
        width = len(next(a for path, a in arrays.items() if path.endswith("recurrent_kernel")))
        horizon = len(arrays["correction/bias"]) // len(quantiles)
        model = build_forecaster(history, horizon, quantiles, width, depth)
        model.set_weights([left.pop(weight.path).astype("float32") for weight in model.weights])
        if left:
            raise KeyError(f"left over: {', '.join(left)}")
    except (StopIteration, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{name} must hold the weights of a forecaster. Received: {sorted(arrays)}: "
            f"{error!r:.200}. Build it with tl.build_forecaster, and save it again."
        ) from error
    return model
