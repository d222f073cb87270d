"""What a model of series has to beat: a linear autoregression by least squares, and the line between what is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST = 32  # vectors that an autoregression reads, where nobody says how many


@dataclass(frozen=True, eq=False)
class Autoregression:
    """x_t = bias + Σ_k weights[k - 1] x_{t-k}, k = 1 … order: weights fp64 [order, C, C], bias [C]. apart: each number
    is told from its own column alone."""

    weights: np.ndarray
    bias: np.ndarray
    apart: bool

    @property
    def order(self) -> int:
        """How many vectors it reads."""
        return len(self.weights)

    @property
    def title(self) -> str:
        """For people."""
        own = " of each column" if self.apart and len(self.bias) > 1 else ""
        return f"linear autoregression of the last {self.order}{own}"

    @classmethod
    def fit(cls, values: np.ndarray, order: int, *, apart: bool = False) -> Autoregression:
        """By least squares (of least norm where several do as well) of all rows [T, C] that have `order` before them.
        ValueError where there are too few."""
        length, channels = values.shape
        if not 1 <= order < length:
            raise ValueError(f"an autoregression of {order} needs more than as many rows, and there are {length}")
        weights, bias = np.zeros((order, channels, channels)), np.zeros(channels)
        for columns in [[one] for one in range(channels)] if apart else [list(range(channels))]:
            found = np.linalg.lstsq(lagged(values[:, columns], order), values[order:, columns], rcond=None)[0]
            bias[columns] = found[0]
            weights[np.ix_(range(order), columns, columns)] = found[1:].reshape(order, len(columns), -1).swapaxes(1, 2)
        return cls(weights, bias, apart)

    def told(self, values: np.ndarray, first: int) -> np.ndarray:
        """What it tells of each row from `first` on, at least `order`, by those before it: [T - first, C]."""
        inputs = lagged(values[first - self.order :], self.order)[:, 1:]  # [T - first, order · C]
        flat = self.weights.swapaxes(1, 2).reshape(inputs.shape[1], -1)  # [order · C, C]
        return self.bias + inputs @ flat

    def error(self, values: np.ndarray, first: int, known: np.ndarray | None = None) -> float:
        """Its mean squared error from row `first` on. known: see `squared_errors`, of all rows."""
        return squared_error(self.told(values, first), values[first:], None if known is None else known[first:])


def squared_errors(told: np.ndarray, was: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """The mean squared error of each row's numbers, [.., C] -> [N]. known: which of them count, bool as they are; None:
    all. A row of which none does is left out."""
    squares = np.square(told - was)
    if known is None:
        return squares.mean(axis=-1).ravel()
    counts = known.sum(axis=-1)
    return (squares * known).sum(axis=-1)[counts > 0] / counts[counts > 0]


def squared_error(told: np.ndarray, was: np.ndarray, known: np.ndarray | None = None) -> float:
    """The mean of those, as a model's held-out loss is."""
    return float(squared_errors(told, was, known).mean())


def lagged(values: np.ndarray, order: int) -> np.ndarray:
    """1 and the `order` rows before each, the nearest first: [T, C] -> [T - order, 1 + order · C]."""
    rows = [values[order - lag : len(values) - lag] for lag in range(1, order + 1)]
    return np.concatenate([np.ones((len(values) - order, 1)), *rows], axis=1)


def autoregression(values: np.ndarray, *, most: int = MOST, share: float = 0.15) -> Autoregression:
    """The linear autoregression of a series [T, C]. How many rows it reads, at most `most`, and whether columns are
    read apart are chosen by its error on the last `share` of the rows when fitted to the others; then it is fitted to
    all. A fit has at least twice as many rows as numbers for each column. ValueError for fewer than 8 rows."""
    length, channels = values.shape
    cut = length - max(1, round(share * length))
    if length < 8:
        raise ValueError(f"{length} rows are too few for an autoregression: at least 8")
    best = (np.inf, 1, True)
    for apart in (True, False) if channels > 1 else (True,):
        for order in range(1, most + 1):
            if 2 * (1 + order * (1 if apart else channels)) > cut - order:
                break
            error = Autoregression.fit(values[:cut], order, apart=apart).error(values, cut)
            best = min(best, (error, order, apart))
    return Autoregression.fit(values, best[1], apart=best[2])


def line_between(rows: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Rows [B, T, C] with the hidden places, bool [B, T], on the straight line between the nearest that are not; at an
    edge as the nearest one is. A row of which all is hidden is 0."""
    found, at = rows.copy(), np.arange(rows.shape[1])
    for row, gaps in zip(found, hidden, strict=True):
        for column in row.T:
            column[gaps] = np.interp(at[gaps], at[~gaps], column[~gaps]) if not gaps.all() else 0.0
    return found
