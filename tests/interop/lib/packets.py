"""Packets as bytes, built and read field by field. Any field can be forced to a wrong value."""

import dataclasses
import ipaddress
import struct

ICMP, IPV4, TCP, UDP, IPV6, FRAGMENT, ESP, ICMPV6, NO_NEXT_HEADER = 1, 4, 6, 17, 41, 44, 50, 58, 59
ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_VLAN, ETHERTYPE_IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD


def checksum(data):
    """Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(destination, source, payload, ethertype=None, vlan=None):
    """A frame around an IP packet; the type follows the packet's version unless it is given."""
    if ethertype is None:
        ethertype = ETHERTYPE_IPV6 if payload[0] >> 4 == 6 else ETHERTYPE_IPV4
    tag = b"" if vlan is None else struct.pack("!HH", ETHERTYPE_VLAN, vlan)
    return mac_bytes(destination) + mac_bytes(source) + tag + struct.pack("!H", ethertype) + payload


def ipv4(source, destination, protocol, payload, *, ttl=64, tos=0, identification=1, fragment=0x4000,
         options=b"", version=4, header_words=None, total_length=None, header_checksum=None):
    """RFC 791. `fragment` is the flags-and-offset field; 0x4000 is don't-fragment."""
    words = 5 + len(options) // 4 if header_words is None else header_words
    length = 20 + len(options) + len(payload) if total_length is None else total_length
    header = struct.pack("!BBHHHBBH4s4s", version << 4 | words, tos, length, identification, fragment, ttl,
                         protocol, 0, packed(source), packed(destination)) + options
    value = checksum(header) if header_checksum is None else header_checksum
    return header[:10] + struct.pack("!H", value) + header[12:] + payload


def ipv6(source, destination, next_header, payload, *, hop_limit=64, traffic_class=0, flow=0, version=6,
         payload_length=None):
    """RFC 8200."""
    length = len(payload) if payload_length is None else payload_length
    first = version << 28 | traffic_class << 20 | flow
    return struct.pack("!IHBB16s16s", first, length, next_header, hop_limit, packed(source),
                       packed(destination)) + payload


def ip(source, destination, protocol, payload, **fields):
    build = ipv6 if ":" in source else ipv4
    return build(source, destination, protocol, payload, **fields)


def _pseudo_header(source, destination, protocol, length):
    if ":" in source:
        return packed(source) + packed(destination) + struct.pack("!II", length, protocol)
    return packed(source) + packed(destination) + struct.pack("!HH", protocol, length)


def udp(source, destination, source_port, destination_port, payload, *, length=None, with_checksum=True):
    """A UDP datagram with its checksum over the addresses it will travel between."""
    size = 8 + len(payload)
    stated = size if length is None else length
    datagram = struct.pack("!HHHH", source_port, destination_port, stated, 0) + payload
    if with_checksum:
        value = checksum(_pseudo_header(source, destination, UDP, size) + datagram) or 0xFFFF
        datagram = datagram[:6] + struct.pack("!H", value) + datagram[8:]
    return datagram


def udp_packet(source, destination, source_port, destination_port, payload, **fields):
    return ip(source, destination, UDP, udp(source, destination, source_port, destination_port, payload),
              **fields)


def echo(source, destination, identifier, sequence, payload=b"", *, reply=False, **fields):
    """An ICMP or ICMPv6 echo request or reply, by the addresses' family."""
    six = ":" in source
    kind = (129 if reply else 128) if six else (0 if reply else 8)
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence) + payload
    covered = _pseudo_header(source, destination, ICMPV6, len(message)) + message if six else message
    message = message[:2] + struct.pack("!H", checksum(covered)) + message[4:]
    return ip(source, destination, ICMPV6 if six else ICMP, message, **fields)


def fragments(packet, payload_bytes, identification=1):
    """The packet cut into fragments of so many bytes of its payload, a multiple of eight."""
    six = packet[0] >> 4 == 6
    header, payload = packet[:40 if six else 20], packet[40 if six else 20:]
    parts = []
    for offset in range(0, len(payload), payload_bytes):
        part = payload[offset:offset + payload_bytes]
        more = offset + len(part) < len(payload)
        if six:
            extension = struct.pack("!BBHI", header[6], 0, offset | more, identification)
            parts.append(header[:4] + struct.pack("!HB", 8 + len(part), FRAGMENT) + header[7:] + extension + part)
        else:
            field = (0x2000 if more else 0) | offset // 8
            whole = header[:2] + struct.pack("!HHH", 20 + len(part), identification, field) + header[8:10]
            value = checksum(whole + b"\0\0" + header[12:])
            parts.append(whole + struct.pack("!H", value) + header[12:] + part)
    return parts


def joined(parts):
    """The IPv4 packet that these fragments are, without options; raises ValueError if they are not one."""
    payload = {}
    total = None
    for part in parts:
        field, = struct.unpack_from("!H", part, 6)
        payload[field % 0x2000 * 8] = part[20:]
        if not field & 0x2000:
            total = field % 0x2000 * 8 + len(part) - 20
    whole = b""
    for offset in sorted(payload):
        if offset != len(whole):
            raise ValueError(f"{offset} after {len(whole)} bytes")
        whole += payload[offset]
    if len(whole) != total:
        raise ValueError(f"{len(whole)} of {total} bytes")
    first = parts[0]
    header = first[:2] + struct.pack("!H", 20 + total) + first[4:6] + b"\0\0" + first[8:10]
    return header + struct.pack("!H", checksum(header + b"\0\0" + first[12:20])) + first[12:20] + whole


@dataclasses.dataclass(frozen=True)
class IpPacket:
    """An IP packet's fields, and its payload without padding behind it."""

    version: int
    source: str
    destination: str
    protocol: int
    hops: int
    traffic_class: int
    payload: bytes
    whole: bytes


def parse_ip(data):
    """Reads an IP packet; raises ValueError when it is not a sound one."""
    if len(data) < 20:
        raise ValueError("too short for an IP packet")
    if data[0] >> 4 == 4:
        size = (data[0] & 15) * 4
        length, hops, protocol = struct.unpack_from("!H4xBB", data, 2)[:3]
        if size < 20 or length < size or length > len(data) or checksum(data[:size]) != 0:
            raise ValueError("malformed IPv4 header")
        return IpPacket(4, str(ipaddress.ip_address(data[12:16])), str(ipaddress.ip_address(data[16:20])),
                        protocol, hops, data[1], data[size:length], data[:length])
    first, length, protocol, hops = struct.unpack_from("!IHBB", data)
    if first >> 28 != 6 or len(data) < 40 + length:
        raise ValueError("malformed IPv6 header")
    return IpPacket(6, str(ipaddress.ip_address(data[8:24])), str(ipaddress.ip_address(data[24:40])),
                    protocol, hops, first >> 20 & 0xFF, data[40:40 + length], data[:40 + length])


def ip_of(frame):
    """The IP packet inside an untagged frame, or None when the frame carries something else."""
    if len(frame) < 34 or frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    try:
        return parse_ip(frame[14:])
    except ValueError:
        return None


def is_ip(**fields):
    """For Wire.expect: frames with an IP packet that has these values: is_ip(source=..., protocol=...)."""
    def accept(frame):
        packet = ip_of(frame)
        return packet is not None and all(getattr(packet, name) == value for name, value in fields.items())
    return accept
