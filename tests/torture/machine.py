"""A disk that can be cut off the power: an image on a file system that copies at once (XFS reflinks), mounted by loop.

What a copy holds is what had reached the disk at that instant; what the system still kept in memory is missing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

_NEEDED = ("mkfs.xfs", "mkfs.ext4", "mount", "umount")


def lacks():
    """Return whether something that is needed isn't there."""
    return os.geteuid() != 0 or not all(map(shutil.which, _NEEDED)) or not Path("/dev/loop-control").exists()


class Machine:
    """`disk` is where it writes; `cut` takes a copy, `after` shows what is there when the power is back."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.disk = self.folder / "disk"
        self._host = self.folder / "host"
        self._mounted = []
        self._cuts = 0

    async def start(self):
        """Make the disk; skip the test where that can't be done."""
        if lacks():
            pytest.skip("a power cut needs root, loop devices and XFS (deploy/test-packages.sh)")
        self.folder.chmod(0o755)
        await self._make("1G", self.folder / "host.img", ("mkfs.xfs", "-q", "-m", "reflink=1"), self._host)
        await self._make("400M", self._host / "disk.img", ("mkfs.ext4", "-q"), self.disk)

    async def _make(self, size, image, make, where):
        where.mkdir()
        try:
            await _run("truncate", "-s", size, image)
            await _run(*make, image)
            await self._mount(image, where)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine doesn't let us: {error}")

    async def _mount(self, image, where):
        await _run("mount", "-o", "loop", image, where)
        self._mounted.append(where)

    async def cut(self):
        """Cut the power for a copy, and return it; the machine itself goes on."""
        self._cuts += 1
        image = self._host / f"cut{self._cuts}.img"
        await _run("cp", "--reflink=always", self._host / "disk.img", image)
        return image

    @asynccontextmanager
    async def after(self, image):
        """Lend the disk as it is after that cut; the image goes away."""
        where = self.folder / image.stem
        where.mkdir()
        await self._mount(image, where)
        try:
            yield where
        finally:
            await self._umount(where)
            image.unlink()

    async def _umount(self, where):
        self._mounted.remove(where)
        await _run("umount", where)

    async def close(self):
        """Take everything down."""
        for where in reversed(self._mounted.copy()):
            await self._umount(where)


async def _run(*command):
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[0], stderr=said)
