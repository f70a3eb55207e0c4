"""MovieLens: what people thought of films, from the first source that has it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tlhelpers.sources.assets import fetch, find_asset, origin_of
from tlhelpers.sources.network import NotHere, is_reachable
from tlhelpers.sources.origins import tfds_folder

ASSET = "movielens"
SIZES = {"movielens-1m": "1m", "movielens-100k": "100k"}
_HOST = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"


class Films(NamedTuple):
    """Rows of (user, title with its year, rating, seconds), and title -> its genres."""

    rows: Iterable[tuple[str, str, float, int]]
    genres: dict[str, tuple[str, ...]]
    origin: str


def find_films(name: str) -> Films:
    """Return the first source of a data set of `SIZES` that answers; see `load_ratings`."""
    tried = []
    sources = [_prepared, _official, _mirror]
    if find_asset(ASSET):
        sources = [_prepared, _mirror]
    for source in sources:
        try:
            return source(SIZES[name])
        except NotHere as reason:
            tried.append(str(reason))
    raise ValueError(
        f"`name` must be a data set that a source has. Received: name={name!r}. Tried: "
        f"{'; '.join(tried)}. Connect to the network."
    )


def _mirror(size: str) -> Films:
    try:
        folder = fetch(ASSET)
    except ValueError as error:
        raise NotHere(str(error)) from error
    genres = {row[0]: tuple(row[3].split()) for row in _lines(folder / f"films-{size}.tsv")}
    rows = (
        (user, title, float(rating), int(float(seconds)))
        for user, title, rating, seconds in _lines(folder / f"ratings-{size}.tsv")
    )
    return Films(rows, genres, origin_of(ASSET))


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the fields of each line below the first."""
    with path.open(encoding="utf-8") as file:
        next(file)
        for line in file:
            yield line.rstrip("\n").split("\t")


def _prepared(size: str) -> Films:
    folders = [tfds_folder() / "movielens" / f"{size}-{what}" for what in ("ratings", "movies")]
    found = [sorted(folder.rglob("dataset_info.json")) for folder in folders]
    if not all(found):
        raise NotHere("not prepared for TFDS")
    return _read_tfds([files[-1].parent for files in found], "prepared, TFDS")


def _official(size: str) -> Films:
    if not is_reachable(_HOST):
        raise NotHere("official host does not answer")
    import tensorflow_datasets as tfds

    try:
        folders = []
        for what in ("ratings", "movies"):
            builder = tfds.builder(f"movielens/{size}-{what}", data_dir=str(tfds_folder()))
            builder.download_and_prepare()
            folders.append(Path(builder.data_path))
    except Exception as error:  # a network fails in many ways
        raise NotHere(f"TFDS could not prepare it ({type(error).__name__})") from error
    return _read_tfds(folders, "official, TFDS")


def _read_tfds(folders: list[Path], origin: str) -> Films:
    """Read the prepared tables of ratings and of films."""
    import tensorflow_datasets as tfds

    ratings, films = (tfds.builder_from_directory(str(folder)) for folder in folders)
    names = films.info.features["movie_genres"].feature.names
    genres = {
        row["movie_title"].decode(): tuple(names[number] for number in row["movie_genres"])
        for row in tfds.as_numpy(films.as_dataset(split="train"))
    }
    keys = ("user_id", "movie_title", "user_rating", "timestamp")
    wanted = tfds.decode.PartialDecoding(dict.fromkeys(keys, True))
    table = tfds.as_numpy(ratings.as_dataset(split="train", batch_size=-1, decoders=wanted))
    users, titles = ([each.decode() for each in table[key]] for key in keys[:2])
    numbers = (table[key].tolist() for key in keys[2:])
    return Films(zip(users, titles, *numbers, strict=True), genres, origin)
