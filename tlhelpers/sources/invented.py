"""Invented sentences in which names are marked: in most, only the name itself tells its kind."""

from pathlib import Path

from tlhelpers.sources.conll import Tagged, write_conll

import numpy as np

_FIRST = (
    "Anna Boris Carla David Elena Farid Grace Hassan Irina Jorge Karen Louis Maria Nikolai Olga "
    "Pedro Rachel Samuel Teresa Victor Wendy Yusuf Alice Bruno Chloe Daniel Emma Felix Hannah Ivan "
    "Julia Kevin Laura Martin Nadia Oscar Paula Robert Sophie Thomas"
)
_LAST = (
    "Almeida Bergman Castillo Dubois Eriksen Fischer Gupta Hoffman Ivanov Jensen Kowalski Larsen "
    "Moretti Novak Okafor Petrov Quinn Rossi Schmidt Tanaka Ulrich Vargas Wagner Yamamoto Zhang "
    "Andersson Baker Cohen Diaz Evans Ferrari Garcia Hughes Ito Johnson Keller Lopez Murphy Nguyen"
)
_PLACES = (
    "Lisbon Nairobi Oslo Quito Vienna Havana Cairo Prague Seoul Athens Dublin Warsaw Jakarta Lima "
    "Norway Kenya Peru Portugal Vietnam Chile Finland Morocco Austria Denmark Hungary Thailand "
    "Glasgow Hamburg Naples Toronto Sydney Kyoto Geneva Valencia Bergen Marseille Florida Texas "
    "Tuscany Bavaria Scotland Siberia Brazil Egypt Ghana Iceland Nepal Bolivia Madrid Zagreb"
)
_FIRMS = (
    "Toyota Siemens Nokia Unesco Unicef Microsoft Volkswagen Samsung Renault Reuters Bayer Intel "
    "Google Sony Ikea Boeing Airbus Pfizer Oracle Honda Philips Ericsson Nestle Shell Danone Lego "
    "Greenpeace Interpol Nasa Novartis Adidas Canon Hitachi Cisco Netflix Fiat Mazda Heineken"
)
_OPEN = (  # whichever kind it is
    "We talked about {} all evening .", "Nobody mentioned {} again .", "She wrote a book on {} .",
    "I have never liked {} much .", "The film is about {} and {} .", "{} is in the news again .",
    "What do you know of {} ?", "Our plan depends on {} .", "There is a song about {} .",
    "He compares {} with {} .", "It all began with {} .", "My sister dreams of {} .",
    "Yesterday {} made the headlines .", "The article praised {} , not {} .",
)  # fmt: skip
_PLAIN = (
    "It rained for most of the week .", "The meeting was moved to Monday .", "Prices rose again .",
    "Please close the door when you leave .", "The 12 new chairs came without screws .",
)  # fmt: skip
_SHARES = {"train.txt": 0.7, "valid.txt": 0.15, "test.txt": 0.15}


def write_invented(folder: Path, size: int, seed: int) -> None:
    """Write train.txt, valid.txt and test.txt, with people, places and organisations.

    No name stands in two of the files: what is learned by heart doesn't help.

    Args:
        folder: where; it is there.
        size: sentences in all.
        seed: draws them.

    Example:
        >>> write_invented(Path("."), 20, seed=0)
        >>> len(Path("train.txt").read_text().split("\\n\\n"))
        14
    """
    rng = np.random.default_rng(seed)
    lists = {"PER": _FIRST, "LAST": _LAST, "LOC": _PLACES, "ORG": _FIRMS}
    mixed = {kind: rng.permutation(names.split()).tolist() for kind, names in lists.items()}
    begin = 0.0
    for file, share in _SHARES.items():
        part = {
            kind: names[round(begin * len(names)) : round((begin + share) * len(names))]
            for kind, names in mixed.items()
        }
        made = [_sentence(part, rng) for _ in range(max(round(share * size), 1))]
        write_conll(folder / file, Tagged([w for w, _ in made], [t for _, t in made]))
        begin += share


def _sentence(names: dict[str, list[str]], rng: np.random.Generator) -> tuple:
    plain = rng.random() < 0.1
    frame = (_PLAIN if plain else _OPEN)[rng.integers(len(_PLAIN if plain else _OPEN))]
    words, tags = [], []
    for word in frame.split():
        new, kind = ([word], "") if word != "{}" else _name(names, rng)
        words += new
        tags += ["O"] if not kind else [f"B-{kind}", *[f"I-{kind}"] * (len(new) - 1)]
    return words, tags


def _name(names: dict[str, list[str]], rng: np.random.Generator) -> tuple[list[str], str]:
    kind = ("PER", "LOC", "ORG")[rng.integers(3)]
    name = [str(rng.choice(names[kind]))]
    if kind == "PER" and rng.random() < 0.3:
        name.append(str(rng.choice(names["LAST"])))
    return name, kind
