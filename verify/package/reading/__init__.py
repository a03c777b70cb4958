"""What a package reads of a checkpoint: its tensors, and the fields of its configuration.

drawn       tiny checkpoints with nothing at its usual value
numbered    checkpoints whose elements are numbers of their own
arrivals    from which tensors a parameter was filled
checkpoint  whether every tensor is read, and every parameter filled
holders     which operations of a graph compute with a number
fields      what a field of a configuration could say instead
altered     one configuration after another, in transformers and in a package
configuration  which fields a package follows
"""
