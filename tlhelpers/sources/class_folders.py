"""A folder for each class: which files lie there."""

from collections.abc import Collection
from pathlib import Path


def find_classes(
    folder: Path, suffixes: Collection[str], things: str = "pictures", example: str = "cat/1.jpg"
) -> dict[str, list[Path]]:
    """Return the files of each class, sorted: class name -> paths; `things` is what they are.

    Raises:
        ValueError: no folder, no classes in it, one class only, a class without such files.
    """
    required = f"`folder` must hold a folder of {things} for each class."
    if not folder.is_dir():
        what = "a file" if folder.exists() else "which does not exist"
        raise ValueError(f"{required} Received: {str(folder)!r}, {what}.")
    inside = sorted(path for path in folder.iterdir() if is_visible(path.name))
    classes = {path.name: files_below(path, suffixes) for path in inside if path.is_dir()}
    kinds = f"({' '.join(sorted(suffixes))})"
    if not any(classes.values()):
        here = sum(path.suffix.lower() in suffixes for path in inside)
        got = f"{here} {things} without such folders" if here else f"no {things} {kinds}"
        raise ValueError(
            f"{required} Received: {str(folder)!r} with {got}. Put the {things} of each class into "
            f"a folder of its name: {folder.name or 'folder'}/{example}."
        )
    empty = [name for name, paths in classes.items() if not paths]
    if empty:
        raise ValueError(
            f"{required} Received: no {things.removesuffix('s')} {kinds} in "
            f"{', '.join(map(repr, empty))}. Put some there, or take the folder away."
        )
    if len(classes) < 2:
        raise ValueError(
            f"{required} Received: one class, {next(iter(classes))!r}. A classifier needs two: add "
            "a folder of what it is not."
        )
    return classes


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files of some kinds in a folder and below it, sorted; hidden ones don't count."""
    below = (path for path in folder.rglob("*") if path.suffix.lower() in suffixes)
    visible = (p for p in below if all(map(is_visible, p.relative_to(folder).parts)))
    return sorted(path for path in visible if path.is_file())


def is_visible(name: str) -> bool:
    """Whether a file or folder of this name is the reader's, and not one of the system."""
    return not name.startswith((".", "__MACOSX"))
