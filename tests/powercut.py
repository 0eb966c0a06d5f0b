"""Shuts the ext4 file system at a path down as a power cut would: what was not synced is gone, and nothing is
written any more. To be mounted again it has to be unmounted. Called by tests/src/disk.rs; needs root."""

import fcntl
import os
import struct
import sys

# linux/fs.h: _IOR('X', 125, __u32)
FS_IOC_SHUTDOWN = 0x8004587D
# fs/ext4/ext4.h: without writing the journal first
EXT4_GOING_FLAGS_NOLOGFLUSH = 2

root = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
fcntl.ioctl(root, FS_IOC_SHUTDOWN, struct.pack("I", EXT4_GOING_FLAGS_NOLOGFLUSH))
