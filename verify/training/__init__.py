"""The checkpoints of a fine-tuning, verified in MAX: `python -m verify training FOLDER`.

    found_checkpoints    which there are, and what `training.json` says of them
    one_program          the model of `impl`, compiled once, and given each checkpoint's weights
    judged_checkpoints   each judged as `python -m verify` judges a model, and what that comes to
    over_training        the command line, its records and its page

Every checkpoint of a fine-tuning has the same shapes, hence the same program: it is compiled once,
and new weights are bound to it in milliseconds. Each checkpoint has its own truth and its own
envelopes, since both depend on the weights.
"""
