"""What `advise` knows: the table of strategies, their reasons and papers, recipes and code."""

MACHINES = ("minutes", "laptop", "gpu")

STRATEGIES = {
    "early": "feature extraction from an earlier layer",
    "features": "feature extraction",
    "block": "fine-tuning of the last block",
    "half": "fine-tuning of the upper half",
    "whole": "fine-tuning of the whole network",
    "lora": "LoRA adapters",
    "adapt": "domain adaptation",
}

# (labelled samples per class, similar to the source): a strategy for each of MACHINES.
TABLES = {
    "image": {
        ("few", True): ("features", "features", "features"),
        ("few", False): ("early", "early", "early"),
        ("some", True): ("features", "block", "block"),
        ("some", False): ("early", "half", "half"),
        ("many", True): ("features", "block", "whole"),
        ("many", False): ("early", "half", "whole"),
    },
    "text": {
        ("few", True): ("features", "features", "features"),
        ("few", False): ("features", "lora", "lora"),
        ("some", True): ("features", "lora", "lora"),
        ("some", False): ("features", "lora", "whole"),
        ("many", True): ("features", "lora", "whole"),
        ("many", False): ("features", "lora", "whole"),
    },
}

RECIPES = {
    "image": {
        "early": "choosing_a_backbone",
        "features": "feature_extraction",
        "block": "fine_tuning",
        "half": "fine_tuning",
        "whole": "fine_tuning",
        "adapt": "domain_adaptation",
    },
    "text": {
        "features": "text_classification",
        "lora": "lora",
        "whole": "text_classification",
        "adapt": "domain_adaptation",
    },
}

PAPERS = {
    "Yosinski 2014": "Yosinski, Clune, Bengio, Lipson, How transferable are features in deep "
    "neural networks?, NeurIPS 2014",
    "Kornblith 2019": "Kornblith, Shlens, Le, Do Better ImageNet Models Transfer Better?, "
    "CVPR 2019",
    "He 2019": "He, Girshick, Dollar, Rethinking ImageNet Pre-training, ICCV 2019",
    "Neyshabur 2020": "Neyshabur, Sedghi, Zhang, What is being transferred in transfer learning?, "
    "NeurIPS 2020",
    "Howard 2018": "Howard, Ruder, Universal Language Model Fine-tuning for Text Classification, "
    "ACL 2018",
    "Peters 2019": "Peters, Ruder, Smith, To Tune or Not to Tune? Adapting Pretrained "
    "Representations to Diverse Tasks, RepL4NLP 2019",
    "Hu 2021": "Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685",
    "Ben-David 2010": "Ben-David et al., A theory of learning from different domains, Machine "
    "Learning 79, 2010",
    "Ganin 2016": "Ganin et al., Domain-Adversarial Training of Neural Networks, JMLR 17, 2016",
}

_FEW = (
    "With few samples a linear classifier on frozen features does about as well as fine-tuning, "
    "or better, and costs next to nothing. [Kornblith 2019]"
)
_FEW_TEXTS = (
    "With few texts a whole encoder overfits when it is tuned, and forgets what it knew. "
    "[Howard 2018]"
)
_ONE_PASS = (
    "In these minutes the network can run over the data once: that is what frozen features take, "
    "and they are a strong start. [Kornblith 2019]"
)
_ENOUGH = "You have enough samples for fine-tuning to beat frozen features. [Kornblith 2019]"
_CARRY_OVER = "Features carry over the better, the nearer the two tasks are. [Yosinski 2014]"
_TOP_IS_SPECIAL = (
    "Lower layers hold edges and textures that serve any picture; the upper ones belong to the "
    "classes that they were trained on, and yours are others. [Yosinski 2014]"
)
_CLOSENESS = (
    "Whether an encoder serves better frozen or tuned depends on how near your task is to what it "
    "was trained for. [Peters 2019]"
)
_ADAPTERS = (
    "Small matrices beside the frozen weights learn about as well as all weights do, in less "
    "memory, and fit into a small file. [Hu 2021]"
)
_HEAD_FIRST = "The head learns first: a random one would spoil the layers below it. [Howard 2018]"
_STEADY = (
    "Begin from the pre-trained weights though all of them may move: training stays near them, "
    "and is the steadier for it. [Neyshabur 2020]"
)
_SCRATCH = (
    "So far from the source, random weights may catch up, given samples and time: train them too, "
    "as a control. [He 2019]"
)
_BOUND = (
    "Errors in the new domain are bounded by errors in the old one plus the distance of the two: "
    "so make their features alike while learning the labels. [Ben-David 2010]"
)
_REVERSAL = (
    "A discriminator whose gradient is reversed does that, and reads no target label. [Ganin 2016]"
)


def reasons_for(choice: str, task: str, size: str, similar: bool, machine: str) -> tuple[str, ...]:
    """Return why, in one sentence for each paper that speaks for this choice in this situation."""
    if choice == "adapt":
        return _BOUND, _REVERSAL
    image, hurried = task == "image", machine == "minutes"
    tuned = choice in ("block", "half", "whole")
    rules = [
        (hurried, _ONE_PASS),
        (image and size == "few" and not hurried, _FEW),
        (not image and size == "few" and choice != "whole", _FEW_TEXTS),
        (image and tuned, _ENOUGH),
        (image, _CARRY_OVER if similar else _TOP_IS_SPECIAL),
        (not image, _CLOSENESS),
        (choice == "lora", _ADAPTERS),
        (tuned, _HEAD_FIRST),
        (choice == "whole", _STEADY),
        (image and choice == "whole" and not similar, _SCRATCH),
    ]
    return tuple(reason for holds, reason in rules if holds)


_IMAGES = """\
base = tl.load_backbone("vgg16", input_shape=x.shape[1:])
"""
_TUNE_IMAGES = (
    _IMAGES
    + """\
model = tl.build_classifier(base, {classes})
print(tl.fine_tune(model, (x, y), (x_val, y_val), unfreeze=@))
"""
)
_TEXTS = """\
bert = tl.load_bert()
model = tl.build_text_classifier(bert, {classes}, sequence_length=128)
tokens, tokens_val = bert.preprocessor(128)(texts), bert.preprocessor(128)(texts_val)
"""
_ADAPT = """\
model = tl.DANN(encoder, classifier)  # inputs to features, features to logits
model.compile("adam")
model.fit(tl.paired_batches(x_source, y_source, x_target, batch_size=64), epochs=10)
logits = model.predict(x_target)
"""

# What to run, for `str.format`; x and y are your images (0..255) and labels, texts your strings.
CODE = {
    "image": {
        "early": _IMAGES
        + """\
cuts = tl.cut_at_blocks(base)
ranking = tl.rank_backbones(cuts, x, y, by="probe")
print(ranking)
features = tl.extract_features(cuts[ranking.names[0]], x)
""",
        "features": _IMAGES
        + """\
features, labels = tl.extract_features(base, x, y)
print(tl.linear_probe(features=features.mean(axis=(1, 2)), labels=labels))
""",
        "block": _TUNE_IMAGES.replace("@", "1"),
        "half": _TUNE_IMAGES.replace("@", '{{"fraction": 0.5}}'),
        "whole": _TUNE_IMAGES.replace("@", '{{"fraction": 1.0}}'),
        "adapt": _ADAPT,
    },
    "text": {
        "features": _TEXTS
        + """\
print(tl.fine_tune(model, (tokens, y), (tokens_val, y_val), unfreeze=None))
""",
        "lora": "import keras\n"
        + _TEXTS
        + """\
tl.add_lora(model, rank=8, targets=["query", "value"])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.AdamW(1e-3), loss, metrics=["accuracy"])
model.fit(tokens, y, validation_data=(tokens_val, y_val), epochs=3)
""",
        "whole": _TEXTS
        + """\
data = (tokens, y), (tokens_val, y_val)
print(tl.fine_tune(model, *data, unfreeze={{"fraction": 1.0}}, epochs=3, learning_rate=2e-5))
""",
        "adapt": _ADAPT,
    },
}

# The features that say how similar the data are, by tl.linear_probe(features=features, labels=y).
MEASURE = {
    "image": "features = tl.extract_features(base, x).mean(axis=(1, 2))",
    "text": 'features = tl.extract_features(tl.split_at(model, "pooling")[0], tokens)',
}
CHECK = (
    "Then compare, over several seeds and on data that chose nothing: always the largest class, "
    "the frozen network under a linear classifier, and the same network from random weights."
)
CHECK_ADAPTATION = (
    "Then compare, over several seeds, with the same network trained on the labelled domain alone: "
    "where tl.proxy_a_distance finds the domains alike, that may be all you need. Choose the epoch "
    "with tl.validators, never with target labels, and label a few target samples to test on. It "
    "can harm where the two domains do not have the same classes."
)
CAN_WAIT = (
    "The samples without labels can wait: with so many labels of its own, the target needs no "
    "other domain's."
)
