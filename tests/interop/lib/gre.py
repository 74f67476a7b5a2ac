"""GRE around an IP packet (RFC 2784, RFC 2890), written here and nowhere near the gateway."""

import struct

from . import packets

PROTOCOL = 47


def wrap(packet, key=None, checksum=False, sequence=None, protocol=None):
    flags = (0x8000 if checksum else 0) | (0x2000 if key is not None else 0) | (0x1000 if sequence is not None else 0)
    protocol = protocol or (0x86DD if packet[0] >> 4 == 6 else 0x0800)
    rest = (b"" if key is None else struct.pack("!I", key)) + (b"" if sequence is None else struct.pack("!I", sequence))
    if not checksum:
        return struct.pack("!HH", flags, protocol) + rest + packet
    value = packets.checksum(struct.pack("!HHI", flags, protocol, 0) + rest + packet)
    return struct.pack("!HHHH", flags, protocol, value, 0) + rest + packet
