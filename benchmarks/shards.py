"""Images per second of `extract_shards`, on one core and two, here and on Ray.

    python benchmarks/shards.py [images] [backbone] [image size]

Writes docs/measured/shards.json, which the page of costs reads. Measure on a quiet machine: a rate
is that of one call over all images, without the time that the workers take to start. That time,
`start_seconds`, is of a call of two workers that finds all files made. `peak_mb` is what the
process that calls holds at most, with the model, in one worker. Ray's rates are left out where Ray
is not installed.
"""

import importlib.util
import json
import platform
import resource
import sys
import tempfile
import time
from pathlib import Path

import tlhelpers as tl

import numpy as np

OUT = Path(__file__).parents[1] / "docs" / "measured" / "shards.json"
SHARDS = 8


def seconds(*arguments, **options) -> tuple[float, tl.FeatureShards]:
    begin = time.perf_counter()
    made = tl.extract_shards(*arguments, **options)
    return time.perf_counter() - begin, made


def main(images: int, backbone: str, side: int) -> None:
    base = tl.load_backbone(backbone, (side, side, 3), weights=None)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shards = place / "shards"
        shards.mkdir()
        for number in range(SHARDS):
            x = rng.integers(0, 256, (images // SHARDS, side, side, 3)).astype("uint8")
            np.save(shards / f"{number}.npy", x)
        few = sorted(shards.glob("*.npy"))[:1]
        tl.extract_shards(base, few, place / "warm")  # what is traced and allocated only once
        spent, made = seconds(base, shards, place / "1")
        rates: dict[str, dict[str, float]] = {"workers": {"1": len(made) / spent}}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start, _ = seconds(base, shards, place / "1", workers=2)
        rates["workers"]["2"] = rate(base, shards, place / "2", workers=2)
        rates["ray_workers"] = {}
        if importlib.util.find_spec("ray"):
            import ray

            ray.init("local", num_cpus=2, log_to_driver=False, include_dashboard=False)
            for workers in (1, 2):
                rates["ray_workers"][str(workers)] = rate(
                    base, shards, place / f"ray {workers}", workers=workers, cluster="auto"
                )
            ray.shutdown()
        size = sum((made.folder / file).stat().st_size for file in made.files)
        features = next(iter(made))
    measured = {
        "machine": f"{platform.machine()}, {platform.processor() or platform.system()}",
        "backbone": backbone,
        "image_size": side,
        "images": len(made),
        "features_per_image": int(np.prod(features.shape[1:])),
        "bytes_per_image": size / len(made),
        **rates,
        "peak_mb": {"1": peak},
        "start_seconds": start,
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(measured, indent=1) + "\n")
    print(OUT.read_text())


def rate(base, shards: Path, out: Path, **options) -> float:
    """Return images per second, less what a call takes that finds everything made."""
    spent, made = seconds(base, shards, out, **options)
    start, _ = seconds(base, shards, out, **options)
    return len(made) / max(spent - start, 1e-3)


if __name__ == "__main__":
    given = [*sys.argv[1:], *["2048", "mobilenetv2", "96"][len(sys.argv) - 1 :]]
    main(int(given[0]), given[1], int(given[2]))
