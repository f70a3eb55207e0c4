"""MovieLens: what people thought of films, from the first source that has it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tlhelpers.sources.assets import fetch, find_asset, origin_of
from tlhelpers.sources.network import NotHere
from tlhelpers.sources.origins import official_folder, prepared_folder

ASSET = "movielens"
SIZES = {"movielens-1m": "1m", "movielens-100k": "100k"}
_TABLES = ("ratings", "movies")
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
    ratings, films = (prepared_folder(f"movielens/{size}-{what}") for what in _TABLES)
    return _read_tfds(ratings[0], films[0], ratings[1])


def _official(size: str) -> Films:
    ratings, films = (official_folder(f"movielens/{size}-{what}", _HOST) for what in _TABLES)
    return _read_tfds(ratings[0], films[0], ratings[1])


def _read_tfds(ratings: Path, films: Path, origin: str) -> Films:
    """Read the prepared tables of ratings and of films."""
    import tensorflow_datasets as tfds

    keys = ("user_id", "movie_title", "user_rating", "timestamp")
    wanted = tfds.decode.PartialDecoding(dict.fromkeys(keys, True))
    try:
        builders = [tfds.builder_from_directory(str(folder)) for folder in (ratings, films)]
        ratings_set = builders[0].as_dataset(split="train", batch_size=-1, decoders=wanted)
        table = tfds.as_numpy(ratings_set)
        about = list(tfds.as_numpy(builders[1].as_dataset(split="train")))
        read = [len(table["user_id"]), len(about)]
        if read != [builder.info.splits["train"].num_examples for builder in builders]:
            raise EOFError(f"{read[0]} ratings of {read[1]} films")
        names = builders[1].info.features["movie_genres"].feature.names
        genres = {
            row["movie_title"].decode(): tuple(names[number] for number in row["movie_genres"])
            for row in about
        }
        users, titles = ([each.decode() for each in table[key]] for key in keys[:2])
        numbers = (table[key].tolist() for key in keys[2:])
        return Films(zip(users, titles, *numbers, strict=True), genres, origin)
    except Exception as error:  # a damaged folder makes TFDS raise all kinds
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise ValueError(
            f"The prepared TFDS folders of movielens must be whole. Received: {ratings}, {films}: "
            f"{reason}. Remove them, or prepare them with tfds.load."
        ) from error
