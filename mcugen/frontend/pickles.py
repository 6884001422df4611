# SPDX-License-Identifier: Apache-2.0
"""Looks into pickles without running them: what would they import, and is that harmless."""

from __future__ import annotations

import io
import pickletools
import re

from mcugen.errors import ModelError
from mcugen.frontend.archive import ModelFile

# Writers of torch.save put these five pickles one after the other before zip archives came.
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PICKLES = 5

_STORAGES = re.compile(r"torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage")
_DTYPES = re.compile(r"torch (b?float(16|32|64)|int(8|16|32|64)|uint8|bool)")
_TENSOR_NAMES = frozenset(
    {
        "collections OrderedDict",
        "torch Size",
        "torch Tensor",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch.nn.parameter Parameter",
        "torch.storage UntypedStorage",
    }
)
_STRINGS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_STRINGS |= {"STRING", "BINSTRING", "SHORT_BINSTRING"}
_NEUTRAL = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"})
_CALLS_BY_NUMBER = frozenset({"EXT1", "EXT2", "EXT4"})


def foreign_names(file: ModelFile) -> list[str]:
    """`module.name` of everything that loading would import beyond what tensors need, sorted.

    Raises ModelError where the bytes are no complete pickle.
    """
    if file.kind == "pickle zip":
        names = _names(io.BytesIO(file.members["data.pkl"]))
    else:
        stream = io.BytesIO(file.data)
        names = set().union(*(_names(stream) for _ in range(_LEGACY_PICKLES)))
    return sorted(name.replace(" ", ".") for name in names if not _makes_tensors(name))


def _makes_tensors(name: str) -> bool:
    patterns = (_STORAGES, _DTYPES)
    return name in _TENSOR_NAMES or any(pattern.fullmatch(name) for pattern in patterns)


def check_written_by_torch(data: bytes) -> None:
    """Raises ModelError for a pickle that torch.save did not write."""
    head = _first_number(data)
    if head != _LEGACY_MAGIC:
        msg = "this is a Python pickle that torch.save did not write; it is not loaded"
        raise ModelError(msg)


def _first_number(data: bytes) -> object:
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name not in ("PROTO", "FRAME"):
                return argument
    except ValueError:
        pass
    return None


def _names(stream: io.BytesIO) -> set[str]:
    """The names that one pickle imports, `module name` each; the stream stands behind it then."""
    found: set[str] = set()
    strings: list[str] = []
    memo: dict[object, str] = {}
    last = ""
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                found.add(str(argument))
            elif opcode.name == "STACK_GLOBAL":
                found.add(" ".join(strings[-2:]) if len(strings) > 1 else "unknown name")
            elif opcode.name in _CALLS_BY_NUMBER:
                found.add(f"copyreg extension_{argument}")
            elif opcode.name in _STRINGS:
                last = str(argument)
                strings.append(last)
            elif opcode.name in _NEUTRAL:
                memo[len(memo) if argument is None else argument] = last
            elif opcode.name in ("BINGET", "LONG_BINGET", "GET"):
                strings.append(memo.get(argument, "unknown"))
    except (ValueError, EOFError, IndexError, UnicodeDecodeError) as error:
        msg = f"the file is damaged or cut short ({error}); copy or save it again"
        raise ModelError(msg) from error
    return found
