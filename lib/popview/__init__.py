"""popview: optimizers compared as populations of models.

Import the module that you need (``popview.optimizers``, ``popview.landscapes``, …); this one stays empty so that a
chapter depends on no more than what it imports.
"""
