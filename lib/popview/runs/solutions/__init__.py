"""The experiment behind the chapter on solutions: train sets of them, find paths between them, keep what is measured.

`popview topography` computes what is missing, as `popview.runs.experiment.run_experiment` does in Python.
`popview.runs.solutions.load` reads what is there.

>>> from popview.runs.solutions import parts
>>> parts.networks("smoke")
('digits',)
"""
