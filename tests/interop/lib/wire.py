"""A raw Ethernet port: one end of a virtual cable as frames in and frames out."""

import errno
import select
import socket
import struct
import time

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_VLAN_VALID = 0x10
_RECEIVE_BUFFER_BYTES = 64 << 20


class Wire:
    """A packet socket on one device of a namespace, opened once; thousands of frames a second."""

    def __init__(self, namespace, device):
        self.namespace = namespace
        self.mac = namespace.mac(device)
        self._socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.bind((device, _ETH_P_ALL))
        self._socket.setblocking(False)

    def close(self):
        self._socket.close()

    def fileno(self):
        return self._socket.fileno()

    def send(self, *frames):
        for frame in frames:
            while True:
                try:
                    self._socket.send(frame)
                    break
                except (BlockingIOError, OSError) as error:
                    if error.errno not in (errno.EAGAIN, errno.ENOBUFS):  # the queue is full for a moment
                        raise
                    time.sleep(0.0005)

    def receive(self, timeout_s=2.0):
        """The next frame, or None."""
        ready, _, _ = select.select([self._socket], [], [], timeout_s)
        try:
            return self._read() if ready else None
        except OSError as error:
            if error.errno != errno.ENETDOWN:  # the device went: nothing more comes
                raise
            return None

    def expect(self, accept, timeout_s=2.0):
        """The first frame for which accept(frame) holds, or None. Others are thrown away."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            frame = self.receive(left_s)
            if frame is not None and accept(frame):
                return frame
        return None

    def drain(self, quiet_s=0.0):
        """All frames waiting, until none came for quiet_s."""
        frames = []
        while (frame := self.receive(quiet_s)) is not None:
            frames.append(frame)
        return frames

    def _read(self):
        frame, ancillary, _, _ = self._socket.recvmsg(65536, 64)
        # The kernel takes a VLAN tag out of the frame and hands it over beside it.
        for level, kind, data in ancillary:
            if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
                status, tag, tag_type = struct.unpack_from("=I12xHH", data)
                if status & _VLAN_VALID:
                    frame = frame[:12] + struct.pack("!HH", tag_type or 0x8100, tag) + frame[12:]
        return frame


def tags_of(port):
    """The VLAN tags of a port of the configuration, as bytes of its frames."""
    service, customer = port.get("service_vlan"), port.get("vlan")
    return b"".join(struct.pack("!HH", *tag) for tag in ((0x88A8, service), (0x8100, customer)) if tag[1])


class TaggedWire(Wire):
    """A port whose frames all carry these VLAN tags (b"": none), which the test need not see."""

    def __init__(self, namespace, device, tags):
        super().__init__(namespace, device)
        self._tags = tags

    def send(self, *frames):
        super().send(*(frame[:12] + self._tags + frame[12:] for frame in frames))

    def send_as_they_are(self, *frames):
        super().send(*frames)

    def _read(self):
        frame = super()._read()
        end = 12 + len(self._tags)
        if frame[12:end] != self._tags or frame[end:end + 2] in (b"\x81\x00", b"\x88\xa8"):
            raise AssertionError(f"a frame with other VLAN tags than {self._tags.hex()}: {frame.hex()}")
        return frame[:12] + frame[end:]
