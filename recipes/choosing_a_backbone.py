"""Choosing a backbone: compare networks, and places to cut them, before any is trained.

Replace `data` by a few hundred images of your own, `(n, height, width, 3)`, 0..255, with integer
labels. Candidates are names of keras.applications ("resnet50", "efficientnetb0") or your models.
"""

import tlhelpers as tl

data = tl.load_dataset("cifar10", train=300, test=10)
vgg16 = tl.load_backbone("vgg16", input_shape=(32, 32, 3))
candidates = {
    **tl.cut_at_blocks(vgg16),
    "dogs, 32 pixels": "mobilenetv2-dogs",
    "dogs, 96 pixels": tl.load_backbone("mobilenetv2-dogs", input_shape=(96, 96, 3)),
    "random VGG16": tl.load_backbone("vgg16", input_shape=(32, 32, 3), weights=None),  # the control
}
ranking = tl.rank_backbones(candidates, data.x_train, data.y_train)
print(ranking)
print("no other is both better and cheaper than:", ", ".join(ranking.pareto("multiply_adds")))
tl.plot_ranking(ranking).savefig("ranking.png")

best = ranking.names[0]
print(f"fine-tune {best} first, and the next one or two as well: scores are noisy")
