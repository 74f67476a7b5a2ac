"""Outer headers: what stands between the Ethernet header and ESP, built and taken off."""

import struct

from . import packets
from .esp import BadEsp, NAT_T_PORT


def wrap(esp, source, destination, *, udp_encapsulated, ports=(NAT_T_PORT, NAT_T_PORT), **fields):
    """An outer IP packet around ESP; with RFC 3948 encapsulation the UDP checksum is zero."""
    if not udp_encapsulated:
        return packets.ip(source, destination, packets.ESP, esp, **fields)
    datagram = packets.udp(source, destination, *ports, esp, with_checksum=False)
    return packets.ip(source, destination, packets.UDP, datagram, **fields)


def unwrap(packet, *, udp_encapsulated, ports=(NAT_T_PORT, NAT_T_PORT)):
    """The ESP packet inside a parsed outer packet; raises BadEsp when the outer headers are wrong."""
    if not udp_encapsulated:
        if packet.protocol != packets.ESP:
            raise BadEsp(f"outer protocol {packet.protocol}, expected ESP")
        return packet.payload
    if packet.protocol != packets.UDP:
        raise BadEsp(f"outer protocol {packet.protocol}, expected UDP")
    *seen, length, _ = struct.unpack_from("!HHHH", packet.payload)
    if tuple(seen) != ports or length != len(packet.payload):
        raise BadEsp(f"UDP ports {seen}, length {length} of {len(packet.payload)}")
    return packet.payload[8:]


def outer_of(frame):
    """The outer packet of a frame that carries ESP, plain or in UDP, else None."""
    packet = packets.ip_of(frame)
    if packet is None:
        return None
    if packet.protocol == packets.ESP:
        return packet
    ports = packet.payload[:4] if packet.protocol == packets.UDP else b""
    nat_t = struct.pack("!H", NAT_T_PORT)
    return packet if nat_t in (ports[:2], ports[2:]) else None
