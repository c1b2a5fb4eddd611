"""Circulant matrices, the shift and the Fourier transform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer

from gencli.files.tables import ImageTable
from gencli.machine import require_memory
from gencli.randomness import Draws
from gencli.theory.base import Claim, Floats, Row

_SOLVED = 10  # the equation MS = SM is solved in full up to this size, by a matrix of n² rows


@dataclass(frozen=True)
class Circulant(Claim):
    """Circulant is what commutes with the shift; the DFT diagonalizes it.

    \b
    (Sx)_i = x_{i-1}, the cyclic shift;  <Sx, y> = <x, S'y>,  S'S = I;
    C = circ(c) = sum over k of c_k S^k;
    M S = S M  if and only if  M is circulant;
    C = F* diag(F c) F / n,  F the discrete Fourier transform;
    C x = ifft(fft(c) fft(x)).

    "Only if" is measured: P M, the mean of M along its wrapped diagonals, is the nearest circulant matrix, and every M
    has 2 sin(pi/n) |M - PM| <= |MS - SM| <= 2 |M - PM|, with equality on the left if the diagonals of M are the slowest
    wave. Up to n = 10, MS = SM is also solved as n^2 linear equations, which have n independent solutions, the
    circulant matrices. --break takes Toeplitz matrices that do not wrap around. Reads nothing; writes a table of
    claims.

    Source: Davis 1979, Circulant Matrices; the constant 2 sin(pi/n) is the smallest |w - 1| > 0 of the n-th roots w of
    one, which are the eigenvalues of S.

    \b
    Example:
      gencli check circulant --size 128 --format table
    """

    name = "circulant"
    family = "symmetry"
    packages = ("scipy",)
    size: Annotated[
        int, typer.Option(min=3, max=100_000, metavar="N", help="Number of rows and columns of the matrices.")
    ] = 64

    def __post_init__(self) -> None:
        need = 8 * self.size**2 * 2 * np.dtype(self.dtype).itemsize
        require_memory(need, f"--size {self.size}: eight complex matrices")

    def check(self, draws: Draws, broken: bool, table: ImageTable | None) -> Iterator[Row]:
        for number, random in self.numbered(draws):
            n = self.size
            yield from self._rows(f"{number}: n={n}", random, n, broken)
            n = min(3 + number % (_SOLVED - 2), self.size)
            dimension, apart = _commuting(n)
            yield Row(f"{number}: n={n}, solved", "dimension of the M with MS = SM, n", dimension, "=", n)
            yield Row(f"{number}: n={n}, solved", "their distance from circulant", apart, "<=", 1e-12)

    def _rows(self, instance: str, random: np.random.Generator, n: int, broken: bool) -> Iterator[Row]:
        from scipy import linalg

        c, x, y = random.standard_normal((3, n)).astype(self.dtype)
        dense = np.tril(linalg.circulant(c)) if broken else linalg.circulant(c)
        rounding = 10 * n**0.5 * self.eps
        shift = np.roll(np.eye(n, dtype=self.dtype), 1, 0)
        adjoint = float(np.roll(x, 1) @ y - x @ (shift.T @ y))
        yield Row(instance, "<Sx, y> - <x, S'y>", adjoint, "=", 0.0, rounding * n**0.5)
        yield Row(instance, "|S'S - I|", _norm(shift.T @ shift - np.eye(n)), "<=", 0.0)
        yield Row(instance, "|CS - SC| / |C|", _commutator(dense) / _norm(dense), "<=", rounding)
        yield Row(instance, "|C - PC| / |C|", _norm(dense - _projected(dense)) / _norm(dense), "<=", rounding)
        powers = np.outer(np.arange(n), np.arange(n)) % n
        transform = np.exp(-2j * np.pi / n * powers).astype(np.result_type(self.dtype, np.complex64))
        values = np.fft.fft(c)
        apart = _norm(transform @ dense @ transform.conj().T / n - np.diag(values)) / _norm(dense)
        yield Row(instance, "|F C F*/n - diag(F c)| / |C|", apart, "<=", rounding)
        product, expected = np.fft.ifft(values * np.fft.fft(x)).real, dense @ x
        apart = _norm(product - expected) / _norm(expected)
        yield Row(instance, "|ifft(fft c fft x) - Cx| / |Cx|", apart, "<=", 10 * rounding)
        slowest, least = _slowest_wave(n, random).astype(self.dtype), 2 * np.sin(np.pi / n)
        for name, matrix in (("any M", random.standard_normal((n, n)).astype(self.dtype)), ("slow M", slowest)):
            apart, commutator = _norm(matrix - _projected(matrix)), _commutator(matrix)
            room = rounding * _norm(matrix)
            yield Row(instance, f"{name}: 2 sin(pi/n) |M - PM|, |MS - SM|", least * apart, "<=", commutator, room)
            yield Row(instance, f"{name}: |MS - SM|, 2 |M - PM|", commutator, "<=", 2 * apart, room)
        yield Row(instance, "slow M: the lower bound is met", commutator, "=", least * apart, room)


def _norm(matrix: Floats) -> float:
    return float(np.linalg.norm(matrix))


def _commutator(matrix: Floats) -> float:
    return _norm(np.roll(matrix, -1, 1) - np.roll(matrix, 1, 0))  # MS moves columns back, SM moves rows on


def _projected(matrix: Floats) -> Floats:
    """The nearest circulant matrix: the mean along the wrapped diagonals."""
    from scipy.linalg import circulant

    places = np.arange(len(matrix))
    return circulant(matrix[(places[:, None] + places) % len(matrix), places].mean(1))


def _slowest_wave(n: int, random: np.random.Generator) -> Floats:
    """A matrix each of whose wrapped diagonals is one period of a cosine, of random height and phase."""
    places = np.arange(n)
    heights, phases = random.standard_normal(n), random.uniform(0, 2 * np.pi, n)
    matrix = np.empty((n, n))
    wave = heights[:, None] * np.cos(2 * np.pi * places / n + phases[:, None])
    matrix[(places[:, None] + places) % n, places] = wave
    return matrix


def _commuting(n: int) -> tuple[int, float]:
    """How many independent M solve MS = SM, and the largest distance of one of length one from its projection."""
    from scipy.linalg import null_space

    shift = np.roll(np.eye(n), 1, 0)
    solutions = null_space(np.kron(np.eye(n), shift.T) - np.kron(shift, np.eye(n))).T.reshape(-1, n, n)
    return len(solutions), max(_norm(each - _projected(each)) for each in solutions)
