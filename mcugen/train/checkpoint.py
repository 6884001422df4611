# SPDX-License-Identifier: Apache-2.0
"""The file from which an interrupted training run goes on: written in one step, holds no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mcugen.errors import OutputError
from mcugen.files import replacing

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where a run keeps its state. `run` tells runs apart: every choice that changes the result."""

    path: Path
    run: Mapping[str, str]

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file in one step. Raises OutputError where it cannot be written."""
        content = {"format": FORMAT, "run": dict(self.run), "state": dict(state)}
        try:
            with replacing(self.path) as temporary:
                torch.save(content, temporary)
        except RuntimeError as error:  # how torch reports a full disk
            msg = f"cannot write {self.path}: {str(error).splitlines()[0]}"
            raise OutputError(msg) from error

    def load(self) -> dict[str, Any] | None:
        """The state, None where there is no file.

        Raises OutputError where the file is damaged or belongs to a run with other choices.
        """
        if not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            found, state = dict(content["run"]), dict(content["state"])
            known = content["format"] == FORMAT
        except Exception as error:  # a damaged file can raise anything
            msg = f"{self.path} is no checkpoint of a training run; remove it and start again"
            raise OutputError(msg) from error
        if not known:
            msg = f"{self.path} is of another version of mcugen; remove it and start again"
            raise OutputError(msg)
        changed = [
            f"  {name}: {found.get(name, 'not given')} then, {self.run.get(name, 'not given')} now"
            for name in sorted({*found, *self.run})
            if found.get(name) != self.run.get(name)
        ]
        if changed:
            msg = f"{self.path} is of a run with other choices, so it cannot go on:\n"
            msg += "\n".join(changed) + "\nmake the same choices, or remove the file to start again"
            raise OutputError(msg)
        return state

    def remove(self) -> None:
        """The run is finished."""
        self.path.unlink(missing_ok=True)
