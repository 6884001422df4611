# SPDX-License-Identifier: Apache-2.0
"""Words that nobody said: sequences of sounds as a keyword network sees them.

A word is four sounds of ten, each a target for ten cepstral coefficients; words 2i and 2i + 1
differ in one sound. Each time it is said, sounds have other lengths, the word begins elsewhere, a
voice of its own mixes the coefficients, and there is noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAMES, COEFFICIENTS = 49, 10
WORDS, SOUNDS, LENGTH = 12, 10, 4
NOISE, VOICE = 1.2, 0.25  # standard deviations; sounds have 1
LANGUAGE = 7  # the seed of the sounds and of the words


def words(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """So many words: float32 [count, 1, 49, 10], and which ones they are, int64 [count]."""
    language = np.random.default_rng(LANGUAGE)
    sounds = language.standard_normal((SOUNDS, COEFFICIENTS))
    spelled = _spelled(language)
    rng = np.random.default_rng(seed)
    labels = rng.integers(WORDS, size=count)
    said = np.stack([_said(sounds[spelled[word]], rng) for word in labels])
    return said[:, None].astype(np.float32), labels.astype(np.int64)


def _spelled(rng: np.random.Generator) -> NDArray[np.int64]:
    """The sounds of each word [WORDS, LENGTH]."""
    pairs = []
    for _ in range(WORDS // 2):
        word = rng.permutation(SOUNDS)[: LENGTH + 1]
        twin = word[:LENGTH].copy()
        twin[rng.integers(LENGTH)] = word[LENGTH]
        pairs += [word[:LENGTH], twin]
    return np.stack(pairs)


def _said(word: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Coefficients [FRAMES, COEFFICIENTS] of a word [LENGTH, COEFFICIENTS] said once."""
    lengths = rng.integers(6, 12, LENGTH)
    begin = rng.integers(FRAMES - lengths.sum() + 1)
    clean = np.zeros((FRAMES, COEFFICIENTS))
    clean[begin : begin + lengths.sum()] = word.repeat(lengths, axis=0)
    glide = np.ones(3) / 3.0  # from sound to sound
    clean = np.apply_along_axis(np.convolve, 0, clean, glide, mode="same")
    voice = np.eye(COEFFICIENTS) + VOICE * rng.standard_normal((COEFFICIENTS, COEFFICIENTS))
    heard: NDArray[np.float64] = clean @ voice + NOISE * rng.standard_normal(clean.shape)
    return heard
