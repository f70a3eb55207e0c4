"""What people say to a voice assistant, in nine languages: sentences drawn from templates."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from tlhelpers.checks.words import announce, check_choice, check_seed, check_whole
from tlhelpers.sources.assets import fetch, origin_and_licence
from tlhelpers.sources.slot_words import LANGUAGES, words_for
from tlhelpers.sources.templates import sample

import numpy as np

INTENTS = {  # our names -> Home Assistant's: 4 templates or more in English, 2 or more in each of
    # de, es, fr, nl, it, ru and pl. Left out: HassRespond, a mixture of questions.
    "cancel timer": "HassCancelTimer",
    "ask for temperature": "HassClimateGetTemperature",
    "set temperature": "HassClimateSetTemperature",
    "shorten timer": "HassDecreaseTimer",
    "set fan speed": "HassFanSetSpeed",
    "ask for state": "HassGetState",
    "ask for weather": "HassGetWeather",
    "lengthen timer": "HassIncreaseTimer",
    "set light": "HassLightSet",
    "next track": "HassMediaNext",
    "pause music": "HassMediaPause",
    "previous track": "HassMediaPrevious",
    "play music": "HassMediaSearchAndPlay",
    "resume music": "HassMediaUnpause",
    "pause timer": "HassPauseTimer",
    "set position": "HassSetPosition",
    "set volume": "HassSetVolume",
    "change volume": "HassSetVolumeRelative",
    "start timer": "HassStartTimer",
    "ask for timer": "HassTimerStatus",
    "turn off": "HassTurnOff",
    "turn on": "HassTurnOn",
    "resume timer": "HassUnpauseTimer",
}
_TRIES = 12  # draws for each sentence wanted: a short template gives the same one again


@dataclass(frozen=True)
class Intents:
    """Sentences of one language and what is wanted by them.

    Attributes:
        language: "en", "de", ...
        texts: n sentences, each once.
        y: int64 `(n,)`, an index of `class_names`.
        templates: int64 `(n,)`, the template that each sentence was drawn from: what `group_split`
            keeps on one side.
        class_names: the intents.
    """

    language: str
    texts: list[str]
    y: np.ndarray
    templates: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)


def load_intents(
    languages: Iterable[str] = ("en", "de"),
    per_class: int = 40,
    seed: int = 0,
    class_names: Iterable[str] = tuple(INTENTS),
) -> dict[str, Intents]:
    """Draw sentences of a voice assistant's intents, the same ones in each language.

    For each sentence a template is drawn, then its choices; open slots get words of the same
    language. A sentence that two intents share is left out, and equal ones stand once. So a class
    with few templates has fewer than `per_class`. They are made by rules, not spoken: clumsy ones
    are among them. The first use downloads 0.8 MB.

    Args:
        languages: codes out of en, de, es, fr, nl, it, ru, pl, uk.
        per_class: sentences of each intent in each language, at most.
        seed: draws the sentences; each language draws by itself.
        class_names: intents, names of `tlhelpers.sources.intents.INTENTS`; all 23 by default. "uk"
            lacks some of them.

    Returns:
        Language -> `Intents`.

    Raises:
        ValueError: an unknown language or intent; an intent without a template in a language.

    Example:
        >>> data = tl.load_intents(["en", "pl"], per_class=20)  # doctest: +SKIP
        assistant-intents: mirror, home-assistant-intents==2026.10.27 ...; Apache-2.0
        >>> data["en"].texts[0], data["en"].class_names[data["en"].y[0]]  # doctest: +SKIP
        ('cancel the timer in kitchen', 'cancel timer')

    Reference:
        Home Assistant's intents, https://github.com/home-assistant/intents, Apache-2.0.
    """
    languages, class_names = (
        _as_names("languages", languages),
        _as_names("class_names", class_names),
    )
    for language in languages:
        check_choice("languages", language, LANGUAGES)
    for name in class_names:
        check_choice("class_names", name, INTENTS)
    per_class, seed = check_whole("per_class", per_class, 1), check_seed(seed)
    folder, asset = fetch("assistant-intents"), "assistant-intents"
    announce(f"{asset}: {origin_and_licence(asset)}")
    drawn = {}
    for language in languages:
        file = json.loads((folder / f"{language}.json").read_text(encoding="utf-8"))
        random = np.random.default_rng([seed, LANGUAGES.index(language)])
        drawn[language] = _draw(file, language, class_names, per_class, random)
    return drawn


def _as_names(name: str, values: Iterable[str]) -> tuple[str, ...]:
    values = (values,) if isinstance(values, str) else tuple(values)
    if not values or len(set(values)) < len(values):
        raise ValueError(f"`{name}` must be one or more, each once. Received: {name}={values!r}.")
    return values


def _draw(file: dict, language: str, class_names, per_class: int, random) -> Intents:
    rows: dict[str, tuple[int, int]] = {}  # sentence -> its class and its template
    shared: set[str] = set()
    start = 0
    for label, name in enumerate(class_names):
        blocks = file["intents"].get(INTENTS[name], {"data": []})["data"]
        templates = [(text, block) for block in blocks for text in block["sentences"]]
        if not templates:
            raise ValueError(
                f"`class_names` must have templates in each language. Received: {name!r}, which "
                f"{language!r} lacks. Leave one of them out."
            )
        found = 0
        for _ in range(_TRIES * per_class):
            number = int(random.integers(len(templates)))
            text, block = templates[number]
            fill = partial(_fill, file=file, language=language, block=block, random=random)
            sentence = sample(text, random, file["expansion_rules"], fill)
            if sentence not in rows:
                rows[sentence] = label, start + number
                found += 1
            elif rows[sentence][0] != label:
                shared.add(sentence)
            if found == per_class:
                break
        start += len(templates)
    kept = {text: where for text, where in rows.items() if text not in shared}
    y, numbers = np.array(list(kept.values()), "int64").reshape(-1, 2).T
    return Intents(language, list(kept), y, numbers, class_names)


def _fill(slot: str, file: dict, language: str, block: dict, random) -> str:
    """Return a word for a slot: of the file's list, a number of its range, or one of ours."""
    known = file["lists"].get(slot, {"wildcard": True})
    if "values" in known:
        values = [v["in"] if isinstance(v, dict) else v for v in known["values"]]
        return f"({values[random.integers(len(values))]})"
    if "range" in known:
        span = known["range"]
        numbers = range(span["from"], span["to"] + 1, span.get("step", 1))
        return str(numbers[random.integers(len(numbers))])
    domains = block.get("requires_context", {}).get("domain", ["switch"])
    kinds = [kind for kind in ([slot] if slot != "name" else domains) if words_for(kind, language)]
    words = words_for(kinds[random.integers(len(kinds))] if kinds else "switch", language)
    return words[random.integers(len(words))]
