"""Data sets that TFDS prepares: here before the network is gone, or what their absence changes."""

from tlhelpers.sources import spoken_digits
from tlhelpers.sources.network import NotHere
from tlhelpers.sources.origins import OFFICIAL, official_folder, prepared_folder

SETS = {name: OFFICIAL[name] for name in ("cifar10", "fashion_mnist", "mnist")}
SETS["spoken_digit"] = spoken_digits.OFFICIAL
INSTEAD = {  # what takes its place where it is not, and in which lessons
    "cifar10": ("Fashion-MNIST in its shape", "00, 01, 02, 05, 06, 07"),
    "fashion_mnist": ("a part of it", "05, 06, 07"),
    "mnist": ("a part of it", "04, 05, 06, 07, 10, 11"),
    "spoken_digit": ("synthetic voices", "30, 31"),
}


def is_prepared(name: str) -> bool:
    """Tell whether TFDS has prepared a data set of `SETS`."""
    try:
        return bool(prepared_folder(SETS[name][0]))
    except NotHere:
        return False


def prepare(name: str) -> str:
    """Let TFDS prepare a data set of `SETS` where it isn't yet, and return its origin.

    Raises:
        NotHere: it isn't prepared and can't be; the message says why.
    """
    dataset, url = SETS[name]
    try:
        return prepared_folder(dataset)[1]
    except NotHere:
        return official_folder(dataset, url)[1]


def prepare_all() -> list[str]:
    """Prepare each of `SETS`, print a line for it, and return the names that can't be had.

    Example:
        >>> absent = prepare_all()
        cifar10: ...
    """
    absent = []
    for name in SETS:
        try:
            print(f"{name}: ready ({prepare(name)})")
        except NotHere as reason:
            other, lessons = INSTEAD[name]
            print(f"{name}: not here ({reason}). Lessons {lessons} take {other}, so numbers differ")
            absent.append(name)
    return absent
