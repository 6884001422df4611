# SPDX-License-Identifier: Apache-2.0
"""Every error that mcugen raises on purpose; the CLI makes a message and an exit code of each."""

from __future__ import annotations


class McugenError(Exception):
    """A user's mistake or a limit of the tool: says where, what, expected, got and what to do.

    The CLI prints the text and exits with 2, without a traceback.
    """


class OptionError(McugenError):
    """A choice that is not known or not possible."""


class ModelError(McugenError):
    """The model file cannot be read, is unsafe, or describes a network that cannot be compiled."""


class UnsupportedOpError(ModelError):
    """Operators or attributes without an integer kernel, all of them in one message."""


class CalibrationError(McugenError):
    """Calibration or evaluation data of the wrong kind, shape, dtype or content."""


class TrainingError(McugenError):
    """Training cannot go on: the loss is no number any more."""


class BudgetError(McugenError):
    """The network does not fit the board; carries needed and available bytes in its text."""


class BoardError(McugenError):
    """An unknown board, or a board file with missing or wrong entries."""


class ToolchainError(McugenError):
    """A compiler or simulator is missing or failed on code that it should accept."""


class MissingToolError(ToolchainError):
    """No compiler or no simulator for what was asked: it could not be done, nothing went wrong."""


class OutputError(McugenError):
    """The output folder cannot be written, or holds files that mcugen did not write."""


class MismatchError(McugenError):
    """Generated C disagreed with the integer reference; names the first layer, index and values."""


class InternalError(Exception):
    """A bug of mcugen itself; the CLI asks for a report and exits with 1."""
