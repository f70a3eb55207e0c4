"""The two common files of boxes, Pascal VOC's XML and COCO's JSON, read with care."""

import json
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from tlhelpers.sources.pictures import SUFFIXES

_LARGEST = 64 * 2**20  # bytes of an XML file
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Annotated:
    """What a file says of one picture: boxes (left, top, right, bottom), a class name for each.

    `size` is (height, width), where it is told. `categories` are all names of a COCO file.
    """

    file: Path
    picture: Path
    boxes: list[list[float]]
    names: list[str]
    size: tuple[int, int] | None = None
    categories: tuple[str, ...] | None = None


def read_voc(file: Path) -> Annotated:
    """Read one XML file of Pascal VOC.

    Its picture is the one with the file's own name (`a.xml`: `a.jpg`), else the one that it names.
    A document type, with which an XML file can grow without end or read other files, is refused.

    Raises:
        ValueError: no XML, or not of this form; a file of over 64 MB; no picture.

    Example:
        >>> folder = tl.make_example("boxes", "boxed", size=2)
        mnist: ...
        >>> read_voc(folder / "0001.xml").picture
        PosixPath('boxed/0001.png')
    """
    root = _tree(file)
    boxes, names = [], []
    for thing in root.iter("object"):
        name, place = (thing.findtext("name") or "").strip(), thing.find("bndbox")
        corners = [place.findtext(corner) if place is not None else None for corner in _CORNERS]
        try:
            boxes.append([float(corner) for corner in corners])  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise _wrong(
                file, f"a <bndbox> of {dict(zip(_CORNERS, corners, strict=True))}"
            ) from None
        if not name:
            raise _wrong(file, "an <object> without a <name>")
        names.append(name)
    sides = [root.findtext(f"size/{side}") for side in ("height", "width")]
    try:
        height, width = (int(float(side)) for side in sides if side is not None)
        size = (height, width) if height and width else None  # some programs write 0
    except ValueError:
        size = None
    return Annotated(file, _picture_of(file, root.findtext("filename")), boxes, names, size)


def _tree(file: Path) -> ElementTree.Element:
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"An XML file of boxes must be below 64 MB. Received: {file}.")
    text, parser = file.read_bytes(), expat.ParserCreate()

    def refuse(*_):
        raise _wrong(file, "a document type (<!DOCTYPE ...>)")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
        root = ElementTree.fromstring(text)
    except (expat.ExpatError, ElementTree.ParseError) as error:
        raise _wrong(file, f"{error}" if text.strip() else "an empty file") from error
    if root.tag != "annotation":
        raise _wrong(file, f"<{root.tag}> at its beginning")
    return root


def _wrong(file: Path, received: str) -> ValueError:
    return ValueError(
        f"{file} must be an XML file of Pascal VOC: <annotation>, in it an <object> for each box, "
        f"with <name> and <bndbox>. Received: {received}. Export it again, or take it away."
    )


def _picture_of(file: Path, named: str | None) -> Path:
    same = [
        p
        for p in sorted(file.parent.glob(f"{_escaped(file.stem)}.*"))
        if p.suffix.lower() in SUFFIXES
    ]
    if same:
        return same[0]
    named = Path(named or "").name
    if named and (file.parent / named).is_file():
        return file.parent / named
    raise ValueError(
        f"{file} must have its picture beside it. Received: neither {file.stem}.png (or .jpg, ...) "
        f"nor {named or 'a <filename>'!r} there. Put it there, or take the file away."
    )


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


def read_coco(file: Path) -> list[Annotated]:
    """Read one JSON file of COCO, in the order of the pictures' names.

    Raises:
        ValueError: no JSON, or not of this form; a picture that is not there, or is there twice; an
            annotation of an unknown image or category.

    Example:
        >>> read_coco(Path("none.json"))
        Traceback (most recent call last):
        ValueError: none.json must be a JSON file of COCO...
    """
    try:
        told = json.loads(file.read_text(encoding="utf8"))
        images, categories = told["images"], sorted(told["categories"], key=lambda c: c["id"])
        names = {category["id"]: str(category["name"]) for category in categories}
        things = [t for t in told["annotations"] if not t.get("iscrowd")]
        by_image: dict = {image["id"]: [] for image in images}
        for thing in things:
            left, top, width, height = map(float, thing["bbox"])  # four, or a ValueError
            box = [left, top, left + width, top + height]
            by_image[thing["image_id"]].append((box, names[thing["category_id"]]))
        pictures = [
            (
                str(image["file_name"]), by_image[image["id"]],
                (int(image["height"]), int(image["width"])) if "height" in image else None,
            )
            for image in images
        ]  # fmt: skip
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        why = f"{error} is not there" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{file} must be a JSON file of COCO: images, annotations (bbox, image_id, "
            f"category_id) and categories. Received: one in which {why}. Export it again."
        ) from error
    found = [
        Annotated(file, _beside(file, name), *_columns(things), size, tuple(names.values()))
        for name, things, size in pictures
    ]
    if not found:
        raise ValueError(f'{file} must have pictures under "images". Received: none.')
    return sorted(found, key=lambda each: each.picture)


def _columns(pairs: list) -> tuple[list, list]:
    return [box for box, _ in pairs], [name for _, name in pairs]


def _beside(file: Path, name: str) -> Path:
    places = [file.parent / name, file.parent / "images" / name]
    there = [path for path in places if path.is_file()]
    if not there:
        raise ValueError(
            f"{file} must name pictures beside it, or in images/. Received: {name!r}, which is in "
            "neither. Put it there."
        )
    return there[0]
