"""Choosing a backbone: rank networks, and places to cut them, on your pictures, untrained.

    python choosing_a_backbone.py photographs/ --backbones mobilenetv2-dogs vgg16 resnet50

The right start when you don't know which network fits your pictures. Each runs over them once;
a score says what its features promise, and a count what it costs. Without a folder it makes an
example, and shows how yours should look.
"""

import sys

import tlhelpers as tl

parser = tl.recipe_parser(__doc__)
add = parser.add_argument
add("folder", nargs="?", help="holds a folder of pictures for each class; none: an example")
add("--backbones", nargs="+", default=["mobilenetv2-dogs", "vgg16"], metavar="NAME",
    help="names of load_backbone, such as those of keras.applications")  # fmt: skip
add("--size", type=int, default=96, help="of the pictures, in pixels")
add("--cuts", action="store_true", help="try each network cut behind each of its blocks, too")
add("--skip-unreadable", action="store_true", help="leave out files that cannot be read")


def train(options, results):
    folder = options.folder or tl.make_example("pictures", results.path / "example", 300)
    size = (options.size, options.size)
    data = tl.load_folder(
        folder, size, validation=0, test=0, skip_unreadable=options.skip_unreadable,
        seed=options.seed,
    )  # fmt: skip
    results.note("data", f"{folder}: {data}")

    candidates = {}
    for name in options.backbones[:1] if options.quick else options.backbones:
        base = tl.load_backbone(name, (*size, 3))
        cuts = options.cuts or options.quick
        candidates |= tl.cut_at_blocks(base) if cuts else {name: base}
    random = f"{options.backbones[0]}, random weights"  # the control
    candidates[random] = tl.load_backbone(options.backbones[0], (*size, 3), weights=None)

    ranking = tl.rank_backbones(
        candidates, data.x_train, data.y_train, cache=results.state, seed=options.seed
    )
    results.report(ranking)
    results.figure("ranking", tl.plot_ranking(ranking))
    good = ", ".join(ranking.pareto("multiply_adds"))
    results.note("choice", f"No other is both better and cheaper than: {good}.", show=True)
    probes = ranking.scores("probe")
    best = next(name for name in ranking.names if name != random)
    results.compare({name: probes[name] for name in (best, random)})
    limits = "Scores are noisy: fine-tune the first two or three of the table, and compare them."
    results.finish("A ranking of networks", limits)


if __name__ == "__main__":
    sys.exit(tl.run_recipe(parser, train))
