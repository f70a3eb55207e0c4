"""What a model is made of, and how to build one."""
