"""Tells of every UDP datagram that a program of this network sends, as one JSON object a line:
{"event": "datagram", "from": "IP:PORT", "to": "IP:PORT", "data": HEX}, after a first {"event": "listening"}.

Ends when its standard input does. Needs the right to look: a network of its own, or root.
"""
import ctypes
import ipaddress
import json
import os
import socket
import struct
import sys
import threading

ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
OUTGOING = 4
UDP = 17

# Lets UDP through, be it over IPv4 (whose protocol is byte 9) or IPv6 (byte 6): TCP is far more than can be read here.
FILTER = [
    (0x30, 0, 0, 0),  # load byte 0
    (0x54, 0, 0, 0xF0),  # its upper half
    (0x15, 0, 2, 0x40),  # 4?
    (0x30, 0, 0, 9),
    (0x05, 0, 0, 1),  # go on after the next
    (0x30, 0, 0, 6),
    (0x15, 0, 1, UDP),
    (0x06, 0, 0, 0xFFFF),  # all of it
    (0x06, 0, 0, 0),  # nothing
]


def say(**what):
    print(json.dumps(what), flush=True)


def attach(capture):
    code = b"".join(struct.pack("HBBI", *step) for step in FILTER)
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HL", len(FILTER), ctypes.addressof(buffer))
    capture.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def tell(packet):
    if packet[0] >> 4 == 4:
        start, family = (packet[0] & 15) * 4, (12, 16, 20)
    else:
        start, family = 40, (8, 24, 40)
    ips = [ipaddress.ip_address(packet[family[i] : family[i + 1]]) for i in (0, 1)]
    ports = struct.unpack("!HH", packet[start : start + 4])
    places = [("[%s]:%d" if ip.version == 6 else "%s:%d") % (ip, port) for ip, port in zip(ips, ports)]
    say(**{"event": "datagram", "from": places[0], "to": places[1], "data": packet[start + 8 :].hex()})


def until_stdin_ends():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=until_stdin_ends, daemon=True).start()
capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
attach(capture)
capture.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
say(event="listening")
while True:
    packet, where = capture.recvfrom(65535)
    if where[2] == OUTGOING:
        tell(packet)
