"""A port that reads its frames from a capture file: as many at once as the worker takes, and no sender's processor time."""

import struct

MAC = "02:70:63:61:70:00"  # of the first; the byte after "pcap" counts them


def capture_file(path, frames):
    """A pcap file (little-endian, microseconds, Ethernet)."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
