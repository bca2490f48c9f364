"""Regularised logistic regression by Newton's method (Hastie et al. 2009, 4.4.1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

STEPS = 30
"""Of Newton's method; a tenth is enough."""


def logistic_regression(
    columns: Numbers, right: Numbers, ridge: Numbers, weights: Numbers | None = None
) -> Numbers:
    """The coefficients (C,) by which the log-odds of what is right are a sum of columns.

    Args:
        columns: (N, C), the constant among them.
        right: (N,) 1 where it is, 0 where it is not; between, as likely as it is.
        ridge: (C,) how strongly each coefficient is drawn to 0.
        weights: (N,) times that each row counts; once by default.
    """
    times = np.ones(len(columns)) if weights is None else weights
    coefficients = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        probability = sigmoid(columns @ coefficients)
        gradient = columns.T @ (times * (probability - right)) + ridge * coefficients
        curvature = times * probability * (1 - probability)
        hessian = (columns * curvature[:, None]).T @ columns + np.diag(ridge)
        coefficients -= np.linalg.solve(hessian, gradient)
    return coefficients


def sigmoid(log_odds: Numbers) -> Numbers:
    """Log-odds as probabilities, never quite 0 or 1."""
    return 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))
