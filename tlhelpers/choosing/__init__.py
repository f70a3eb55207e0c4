"""Choose a pretrained model and a strategy before training."""
