"""What quantiles must be."""

from collections.abc import Sequence

from tlhelpers.checks.words import check_number


def check_quantiles(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Return quantiles as floats, or say that each must be in (0, 1) and above the one before."""
    values = tuple(check_number("quantiles", q, "(0, 1)", "0.5 is the middle.") for q in quantiles)
    if not values or list(values) != sorted(set(values)):
        raise ValueError(
            "`quantiles` must grow, and be one at least. Received: "
            f"quantiles={tuple(quantiles)!r}. Try (0.1, 0.5, 0.9)."
        )
    return values
