"""Images per second of `extract_shards`: processes that share all cores, and Ray's, a core each.

    python benchmarks/shards.py [images] [backbone] [image size]

Writes docs/measured/shards.json, which the page of costs reads. Measure on a quiet machine. A rate
counts the images of all shards but the first of each worker, in which it starts and traces.
`start_seconds` is what a call of two workers takes that finds all files made. `peak_mb` is the most
that the process of one worker holds. Ray's rates are left out where Ray is not installed.
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
SHARDS = 16


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
        made = tl.extract_shards(base, shards, place / "1")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begin = time.perf_counter()
        tl.extract_shards(base, shards, place / "1", workers=2)
        start = time.perf_counter() - begin
        two = tl.extract_shards(base, shards, place / "2", workers=2)
        rates: dict[str, dict[str, float]] = {
            "workers": {"1": rate(made, 1), "2": rate(two, 2)},
            "ray_workers": {},
        }
        if importlib.util.find_spec("ray"):
            import ray

            ray.init(
                "local",
                num_cpus=2,
                logging_level="ERROR",
                log_to_driver=False,
                include_dashboard=False,
            )
            for workers in (1, 2):
                there = tl.extract_shards(
                    base, shards, place / f"ray {workers}", workers=workers, cluster="auto"
                )
                rates["ray_workers"][str(workers)] = rate(there, workers)
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


def rate(made: tl.FeatureShards, workers: int) -> float:
    """Return images per second from the moment when each worker may have done its first shard."""
    times = [(made.folder / file).stat().st_mtime for file in made.files]
    order = np.argsort(times)
    images = np.array(made.rows)[order[workers:]].sum()
    return float(images / (times[order[-1]] - times[order[workers - 1]]))


if __name__ == "__main__":
    given = [*sys.argv[1:], *["1024", "vgg16", "64"][len(sys.argv) - 1 :]]
    main(int(given[0]), given[1], int(given[2]))
