"""Full disks: a file that takes every free block of a machine's file system, without writing to this host's."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from localcloud.backend import BackendError

NAME = ".m2-ballast"


def fill(directory: Path) -> None:
    """Not one block is left; the file system has to know blocks that were never written (ext4 and xfs do)."""
    file = os.open(directory / NAME, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        block = os.fstatvfs(file).f_frsize
        size = os.fstatvfs(file).f_blocks * block
        while size >= block:
            if not _grow(file, size):
                size //= 2
    finally:
        os.close(file)


def free(directory: Path) -> None:
    (directory / NAME).unlink(missing_ok=True)


def _grow(file: int, size: int) -> bool:
    """False when there is no room for `size` bytes more."""
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG):
            return False
        raise BackendError(f"the disk cannot be filled: {error.strerror}") from None
    return True


def mounted_at(process: int, device: int) -> Path | None:
    """Where the machine with this first process has the device, as a path of this host."""
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path(f"/proc/{process}/mountinfo").read_text().splitlines():
        _, _, its, root, place, *_ = line.split(" ")
        if its == number and root == "/":
            return Path(f"/proc/{process}/root{place}")
    return None
