"""Whether a folder is on a network or FUSE disk, where SQLite's write-ahead log is not safe."""

from __future__ import annotations

from pathlib import Path

NETWORK_TYPES = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "gluster", "lustre", "vboxsf", "drvfs")
"""Beginnings of the names of file systems that are not local."""


def is_network_folder(folder: Path, mounts: str | None = None) -> bool:
    """Return whether a folder is on a network or FUSE file system; False where that cannot be known.

    Args:
        folder: An existing folder.
        mounts: Text in the format of ``/proc/mounts``; None reads that file.

    Example:
        >>> is_network_folder(Path("/data/ws"), "server:/x /data nfs4 rw 0 0")
        True
    """
    if mounts is None:
        table = Path("/proc/mounts")
        if not table.exists():
            return False
        mounts = table.read_text(errors="replace")
    best = ("", "")
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        mount_point = fields[1].replace("\\040", " ")
        is_inside = folder == Path(mount_point) or Path(mount_point) in folder.parents
        if is_inside and len(mount_point) >= len(best[0]):
            best = (mount_point, fields[2])
    return best[1].startswith(NETWORK_TYPES)
