"""Medical pictures of TFDS, for those with a network: malaria, bowel tissue, lymph nodes."""

from itertools import islice
from pathlib import Path

from tlhelpers.checks.words import announce, check_choice, check_whole
from tlhelpers.sources.network import is_reachable
from tlhelpers.sources.origins import tfds_folder
from tlhelpers.sources.pictures import check_size

import numpy as np
from PIL import Image, ImageOps

MEDICAL = {  # name there -> where its files lie, and how many megabytes they are
    "malaria": ("https://data.lhncbc.nlm.nih.gov", 353),
    "colorectal_histology": ("https://zenodo.org", 258),
    "patch_camelyon": ("https://zenodo.org", 8_028),
}


def load_medical(
    name: str, count: int = 1_000, size: tuple[int, int] = (96, 96), download: bool = False
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return labelled medical pictures of TFDS: what is prepared, or a download that you allow.

    TFDS gives no patient for any of them. So no split of these pictures keeps patients apart, but
    for the official test split of patch_camelyon, which was cut by slides.

    Args:
        name: "malaria" (blood cells, 2 classes), "colorectal_histology" (tissue, 8 classes) or
            "patch_camelyon" (lymph nodes, 2 classes).
        count: how many, the first of its training split as TFDS has shuffled it.
        size: `(height, width)`; the middle of each picture is kept.
        download: fetch it where it isn't prepared. Its size is printed first; patch_camelyon's is
            8 GB.

    Returns:
        Pictures uint8 `(n, height, width, 3)`, labels int64 `(n,)`, and the names of the classes.

    Raises:
        ValueError: an unknown name; not prepared, and no download allowed or its host silent (found
            out within three seconds).

    Example:
        >>> tl.load_medical("malaria", 100)  # doctest: +SKIP
        Traceback (most recent call last):
        ValueError: `name` must be prepared for TFDS. Received: name='malaria', which is not ...

    Reference:
        Rajaraman et al., PeerJ 6, 2018 (malaria); Kather et al., Scientific Reports 6, 2016
        (colorectal_histology); Veeling et al., MICCAI 2018 (patch_camelyon).
    """
    check_choice("name", name, MEDICAL)
    count, (height, width) = check_whole("count", count, 1), check_size(size)
    host, megabytes = MEDICAL[name]
    folder = _prepared(name)
    if folder is None:
        _check_download(name, host, megabytes, download)
    import tensorflow_datasets as tfds

    if folder is None:
        print(f"{name}: downloading {megabytes:,} MB from {host}")
        builder = tfds.builder(name, data_dir=str(tfds_folder()))
        builder.download_and_prepare()
    else:
        builder = tfds.builder_from_directory(str(folder))
    announce(f"{name}: {'prepared' if folder else 'official'}, TFDS")
    rows = list(islice(tfds.as_numpy(builder.as_dataset(split="train")), count))
    fitted = (ImageOps.fit(Image.fromarray(row["image"]), (width, height)) for row in rows)
    names = tuple(builder.info.features["label"].names)
    return (
        np.stack([np.asarray(picture) for picture in fitted]),
        np.array([row["label"] for row in rows], "int64"),
        names,
    )


def _prepared(name: str) -> Path | None:
    found = sorted((tfds_folder() / name).glob("*.*.*/dataset_info.json"))
    return found[-1].parent if found else None


def _check_download(name: str, host: str, megabytes: int, allowed: bool) -> None:
    if allowed and is_reachable(host):
        return
    what = f"whose host, {host}, does not answer" if allowed else "which is not"
    cure = "Prepare it where there is a network" if allowed else "Pass download=True"
    raise ValueError(
        f"`name` must be prepared for TFDS. Received: name={name!r}, {what}. {cure}: "
        f"{megabytes:,} MB, into {tfds_folder().name}/ (or TFDS_DATA_DIR)."
    )
