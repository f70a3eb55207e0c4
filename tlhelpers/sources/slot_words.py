"""Words for the open slots of a voice assistant's templates, each in its own language.

A word of another language would tell the classes apart by itself, or hide them. They are put in as
they are: no case and no article is fitted, so that some sentences are clumsy.
"""

LANGUAGES = ("en", "de", "es", "fr", "nl", "it", "ru", "pl", "uk")

# A slot, or what kind of thing a name stands for: words of each language in turn.
SLOT_WORDS: dict[str, tuple[tuple[str, ...], ...]] = {
    "area": (
        ("kitchen", "bedroom", "living room", "garage"),
        ("Küche", "Schlafzimmer", "Wohnzimmer", "Garage"),
        ("cocina", "dormitorio", "salón", "garaje"),
        ("cuisine", "chambre", "salon", "garage"),
        ("keuken", "slaapkamer", "woonkamer", "garage"),
        ("cucina", "camera da letto", "soggiorno", "garage"),
        ("кухня", "спальня", "гостиная", "гараж"),
        ("kuchnia", "sypialnia", "salon", "garaż"),
        ("кухня", "спальня", "вітальня", "гараж"),
    ),
    "floor": (
        ("ground", "first", "top"), ("Erdgeschoss", "Obergeschoss", "Keller"),
        ("planta baja", "primera planta", "sótano"), ("rez-de-chaussée", "premier", "sous-sol"),
        ("begane grond", "eerste", "kelder"), ("piano terra", "primo", "seminterrato"),
        ("первый", "второй", "подвал"), ("parter", "pierwsze", "piwnica"),
        ("перший", "другий", "підвал"),
    ),
    "search_query": (
        ("some jazz", "the evening news", "a song about the sea"),
        ("etwas Jazz", "die Abendnachrichten", "ein Lied über das Meer"),
        ("algo de jazz", "las noticias de la noche", "una canción sobre el mar"),
        ("du jazz", "les informations du soir", "une chanson sur la mer"),
        ("wat jazz", "het avondnieuws", "een lied over de zee"),
        ("del jazz", "le notizie della sera", "una canzone sul mare"),
        ("немного джаза", "вечерние новости", "песню про море"),
        ("trochę jazzu", "wieczorne wiadomości", "piosenkę o morzu"),
        ("трохи джазу", "вечірні новини", "пісню про море"),
    ),
    "timer_name": (
        ("pizza", "tea", "laundry"), ("Pizza", "Tee", "Wäsche"), ("pizza", "té", "colada"),
        ("pizza", "thé", "lessive"), ("pizza", "thee", "was"), ("pizza", "tè", "bucato"),
        ("пицца", "чай", "стирка"), ("pizza", "herbata", "pranie"), ("піца", "чай", "прання"),
    ),
    "timer_command": (
        ("open the door", "call my mother"), ("öffne die Tür", "ruf meine Mutter an"),
        ("abre la puerta", "llama a mi madre"), ("ouvre la porte", "appelle ma mère"),
        ("open de deur", "bel mijn moeder"), ("apri la porta", "chiama mia madre"),
        ("открой дверь", "позвони маме"), ("otwórz drzwi", "zadzwoń do mamy"),
        ("відчини двері", "подзвони мамі"),
    ),
    "zone": (
        ("work", "school"), ("der Arbeit", "der Schule"), ("el trabajo", "la escuela"),
        ("travail", "école"), ("werk", "school"), ("lavoro", "scuola"), ("работа", "школа"),
        ("praca", "szkoła"), ("робота", "школа"),
    ),
    "switch": (
        ("coffee machine", "heater", "charger"), ("Kaffeemaschine", "Heizlüfter", "Ladegerät"),
        ("cafetera", "calefactor", "cargador"), ("machine à café", "radiateur", "chargeur"),
        ("koffiemachine", "kachel", "oplader"), ("macchina del caffè", "stufa", "caricatore"),
        ("кофемашина", "обогреватель", "зарядка"), ("ekspres do kawy", "grzejnik", "ładowarka"),
        ("кавоварка", "обігрівач", "зарядка"),
    ),
    "light": (
        ("desk lamp", "ceiling light"), ("Schreibtischlampe", "Deckenlampe"),
        ("lámpara de mesa", "luz del techo"), ("lampe de bureau", "plafonnier"),
        ("bureaulamp", "plafondlamp"), ("lampada da tavolo", "luce del soffitto"),
        ("настольная лампа", "люстра"), ("lampa biurkowa", "lampa sufitowa"),
        ("настільна лампа", "люстра"),
    ),
    "media_player": (
        ("television", "radio", "speaker"), ("Fernseher", "Radio", "Lautsprecher"),
        ("televisor", "radio", "altavoz"), ("téléviseur", "radio", "enceinte"),
        ("televisie", "radio", "luidspreker"), ("televisore", "radio", "altoparlante"),
        ("телевизор", "радио", "колонка"), ("telewizor", "radio", "głośnik"),
        ("телевізор", "радіо", "колонка"),
    ),
    "cover": (
        ("left blind", "garage door"), ("linkes Rollo", "Garagentor"),
        ("persiana izquierda", "puerta del garaje"), ("store de gauche", "porte de garage"),
        ("linker rolgordijn", "garagedeur"), ("tapparella sinistra", "porta del garage"),
        ("левая штора", "гаражные ворота"), ("lewa roleta", "brama garażowa"),
        ("ліва штора", "гаражні ворота"),
    ),
    "lock": (
        ("front door",), ("Haustür",), ("puerta principal",), ("porte d'entrée",), ("voordeur",),
        ("porta d'ingresso",), ("входная дверь",), ("drzwi wejściowe",), ("вхідні двері",),
    ),
    "valve": (
        ("garden valve",), ("Gartenventil",), ("válvula del jardín",), ("vanne du jardin",),
        ("tuinklep",), ("valvola del giardino",), ("садовый клапан",), ("zawór ogrodowy",),
        ("садовий клапан",),
    ),
    "fan": (
        ("ceiling fan",), ("Deckenventilator",), ("ventilador de techo",),
        ("ventilateur de plafond",), ("plafondventilator",), ("ventilatore da soffitto",),
        ("потолочный вентилятор",), ("wentylator sufitowy",), ("стельовий вентилятор",),
    ),
    "climate": (
        ("thermostat",), ("Thermostat",), ("termostato",), ("thermostat",), ("thermostaat",),
        ("termostato",), ("термостат",), ("termostat",), ("термостат",),
    ),
    "weather": (
        ("London", "Paris"), ("London", "Paris"), ("Londres", "París"), ("Londres", "Paris"),
        ("Londen", "Parijs"), ("Londra", "Parigi"), ("Лондон", "Париж"), ("Londyn", "Paryż"),
        ("Лондон", "Париж"),
    ),
    "person": (
        ("Anna", "Peter"), ("Anna", "Peter"), ("Ana", "Pedro"), ("Anne", "Pierre"),
        ("Anna", "Pieter"), ("Anna", "Pietro"), ("Анна", "Пётр"), ("Anna", "Piotr"),
        ("Анна", "Петро"),
    ),
}  # fmt: skip


def words_for(slot: str, language: str) -> tuple[str, ...]:
    """Return the words of a language for a slot, or for a kind of thing; () if there are none."""
    return SLOT_WORDS[slot][LANGUAGES.index(language)] if slot in SLOT_WORDS else ()
