"""Measuring a model on a data set: rows for every case, a summary with intervals, pictures, and inputs it was not for.

Everything that a model card says in numbers comes from an :class:`~medai.segment.assessment.result.Assessment`, and
``medai models measure`` makes one from a model and a data set.
"""
