"""Real tasks: `catalogue` says what each is, `setup` makes it a `Problem`: data, model, loss and metric.

Import the module that you need; this one stays empty, since the catalogue needs no torch.
"""
