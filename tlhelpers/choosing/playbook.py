"""What `advise` knows: the table of strategies, their reasons and papers, and the recipes."""

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

# The program to start from, recipes/*.py, and what the strategy changes in it.
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

CHANGES = {
    "image": {
        "early": "Then feature_extraction.py, with the best cut: "
        'base = tl.cut_at_blocks(base)["vgg16_block3"].',
        "half": 'In its call of fine_tune, write unfreeze={"fraction": 0.5}.',
        "whole": 'In its call of fine_tune, write unfreeze={"fraction": 1.0}.',
    },
    "text": {
        "features": "In its call of fine_tune, write unfreeze=None.",
        "whole": 'In its call of fine_tune, write unfreeze={"fraction": 1.0}, learning_rate=2e-5.',
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
    "In these minutes the network can run over the data once. Frozen features take no more, and "
    "they are a strong start. [Kornblith 2019]"
)
_ENOUGH = "You have enough samples for fine-tuning to beat frozen features. [Kornblith 2019]"
_CARRY_OVER = "The nearer the two tasks are, the better features carry over. [Yosinski 2014]"
_TOP_IS_SPECIAL = (
    "Lower layers hold edges and textures that serve any picture. The upper ones belong to the "
    "classes that they were trained on, and your classes are others. [Yosinski 2014]"
)
_CLOSENESS = (
    "Whether an encoder serves better frozen or tuned depends on how near your task is to what it "
    "was trained for. [Peters 2019]"
)
_ADAPTERS = (
    "Small matrices beside the frozen weights learn about as well as all weights do. They take "
    "less memory and fit into a small file. [Hu 2021]"
)
_HEAD_FIRST = "The head learns first: a random one would spoil the layers below it. [Howard 2018]"
_STEADY = (
    "Begin from the pretrained weights although all of them may move: training stays near them "
    "and is steadier. [Neyshabur 2020]"
)
_SCRATCH = (
    "So far from the source, random weights may catch up, given samples and time. Train them too, "
    "as a control. [He 2019]"
)
_BOUND = (
    "Errors in the new domain are bounded by errors in the old one plus the distance of the two. "
    "So make their features alike while the labels are learned. [Ben-David 2010]"
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
    "where tl.proxy_a_distance finds the domains alike, you may need no more. Choose the epoch "
    "with tl.validators, never with target labels, and label a few target samples to test on. It "
    "can harm where the two domains do not have the same classes."
)
CAN_WAIT = (
    "The samples without labels can wait: with so many labels of its own, the target needs no "
    "other domain's."
)
