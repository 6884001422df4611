# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mcugen.emit import write
from mcugen.emit.write import check_target, staging, write_files
from mcugen.errors import OutputError


def make(out: Path, text: str) -> None:
    with staging(out) as folder:
        write_files(folder, {"net.c": text})
        (folder / "report.json").write_text(json.dumps({"files": ["net.c"]}))


def test_a_folder_appears_complete_and_replaces_an_older_one(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "net"
    make(out, "old")
    make(out, "new")
    assert (out / "net.c").read_text() == "new"
    assert [p.name for p in out.parent.iterdir()] == ["net"], "nothing is left beside it"


def test_without_an_atomic_swap_it_is_two_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "_exchange", lambda _one, _other: False)
    make(tmp_path / "net", "old")
    make(tmp_path / "net", "new")
    assert (tmp_path / "net" / "net.c").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "net"
    make(out, "old")
    with pytest.raises(RuntimeError), staging(out) as folder:
        write_files(folder, {"net.c": "half"})
        raise RuntimeError
    assert (out / "net.c").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_a_kill_leaves_the_old_folder(tmp_path: Path) -> None:
    out = tmp_path / "net"
    make(out, "old")
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        from mcugen.emit.write import staging, write_files
        with staging(Path({str(out)!r})) as folder:
            write_files(folder, {{"net.c": "half"}})
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (out / "net.c").read_text() == "old"
    make(out, "new")
    assert (out / "net.c").read_text() == "new"


@pytest.mark.parametrize("report", [None, "{}", "not json", '{"files": "notes.txt"}'])
def test_a_folder_with_foreign_files_is_refused_and_kept(
    tmp_path: Path, report: str | None
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    if report is not None:
        (tmp_path / "report.json").write_text(report)
    with pytest.raises(OutputError, match=r"notes\.txt"), staging(tmp_path):
        pytest.fail("the body must not run")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_one_foreign_file_among_our_own_is_enough(tmp_path: Path) -> None:
    make(tmp_path / "net", "old")
    (tmp_path / "net" / "main.c").write_text("mine")
    with pytest.raises(OutputError, match=r"main\.c"):
        make(tmp_path / "net", "new")
    assert (tmp_path / "net" / "net.c").read_text() == "old"


def test_a_file_or_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("file", "link"):
        with pytest.raises(OutputError, match="not a plain folder"):
            check_target(tmp_path / name)


def test_a_parent_that_cannot_hold_folders_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot write output folder"):
        make(tmp_path / "file" / "net", "new")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_parent_is_one_message(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            make(tmp_path / "net", "new")
    finally:
        tmp_path.chmod(0o755)


def test_a_full_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    make(tmp_path / "net", "old")
    # a limit on the file size is how a process can fill its disk without the machine's
    script = textwrap.dedent(
        f"""
        import resource, signal
        from pathlib import Path
        from mcugen.emit.write import staging, write_files
        from mcugen.errors import OutputError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with staging(Path({str(tmp_path / "net")!r})) as folder:
                write_files(folder, {{"net.c": "x" * 5000}})
        except OutputError as error:
            print(error)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert "File too large; nothing was changed" in done.stdout
    assert (tmp_path / "net" / "net.c").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["net"]
