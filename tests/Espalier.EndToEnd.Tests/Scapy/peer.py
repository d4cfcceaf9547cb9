"""An ESP peer made of scapy: answers each ping that comes through one of its SAs by a reply through the SA back.

   peer.py LINK SAS

LINK is the interface of this namespace that packets come from. SAS is a list in JSON: spi (of what arrives here), back (the SPI of what is sent), crypt, key, auth,
authKey (names of scapy, keys in hexadecimal, null = none), high (the high half of extended sequence numbers, null = there are none), unusual (pad with zeros,
16 bytes more than needed). Prints "ready". Ends when it is killed.
"""
import json
import socket
import sys

from scapy.layers.inet import ICMP, IP, IPOption_NOP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.ipsec import ESP, CryptAlgo, SecurityAssociation
from scapy.packet import Raw

PORT = 4500
usual_padding = CryptAlgo.pad


def unusual_padding(algorithm, esp):
    esp = usual_padding(algorithm, esp)
    esp.padlen += 16
    esp.padding = bytes(esp.padlen)
    return esp


def association(sa, spi, **more):
    def key(name):
        return bytes.fromhex(sa[name]) if sa[name] else None
    return SecurityAssociation(ESP, spi=spi, crypt_algo=sa["crypt"], crypt_key=key("key"), auth_algo=sa["auth"], auth_key=key("authKey"),
                               esn_en=sa["high"] is not None, esn=sa["high"] or 0, **more)


def without_payload(header):
    """A copy of an IP header, its length, protocol and checksum to be computed anew."""
    header = header.copy()
    header.remove_payload()
    for field in ("len", "chksum", "proto") if header.version == 4 else ("plen", "nh"):
        header.delfieldval(field)
    return header


def as_protocol_50(header, esp):
    """A whole packet of a header and ESP bytes. scapy 2.5 writes a wrong length into the UDP header of NAT traversal, so UDP is put on and off here."""
    header = without_payload(header)
    header.setfieldval("proto" if header.version == 4 else "nh", socket.IPPROTO_ESP)
    return type(header)(bytes(header / Raw(esp)))


def reply_to(request):
    """The reply, with an IPv4 option or an IPv6 extension header in front of it."""
    if request.version == 4:
        message = request[ICMP].copy()
        message.type, message.chksum = 0, None
        return IP(src=request.dst, dst=request.src, options=[IPOption_NOP()] * 4) / message
    ping = request[ICMPv6EchoRequest]
    return IPv6(src=request.dst, dst=request.src) / IPv6ExtHdrDestOpt() / ICMPv6EchoReply(id=ping.id, seq=ping.seq, data=ping.data)


def answer(outer, associations, sent):
    """The packet to send for one that arrived, or None where it is not for us."""
    is_udp = UDP in outer
    esp = bytes(outer[UDP].payload) if is_udp else bytes(outer.payload)
    if is_udp and outer[UDP].dport != PORT or not is_udp and ESP not in outer or len(esp) < 8:
        return None
    sa = associations.get(int.from_bytes(esp[:4], "big"))
    if sa is None:
        return None
    inner = association(sa, sa["spi"], tunnel_header=without_payload(outer)).decrypt(as_protocol_50(outer, esp))
    tunnel = type(outer)(src=outer.dst, dst=outer.src)
    back = association(sa, sa["back"], tunnel_header=tunnel)
    sent[sa["back"]] = sent.get(sa["back"], 0) + 1
    CryptAlgo.pad = unusual_padding if sa["unusual"] else usual_padding
    sealed = back.encrypt(reply_to(inner), seq_num=sent[sa["back"]])
    # As scapy itself does, without checksum, over IPv6 too.
    return tunnel / UDP(sport=PORT, dport=PORT, chksum=0) / Raw(bytes(sealed[ESP])) if is_udp else sealed


def main(link, sas):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((link, 3))
    associations = {sa["spi"]: sa for sa in json.loads(sas)}
    sent = {}
    print("ready", flush=True)
    while True:
        frame, address = wire.recvfrom(65535)
        kind = {b"\x08\x00": IP, b"\x86\xdd": IPv6}.get(frame[12:14])
        if address[2] == socket.PACKET_OUTGOING or kind is None:
            continue
        packet = answer(kind(frame[14:]), associations, sent)
        if packet is not None:
            wire.send(frame[6:12] + frame[:6] + frame[12:14] + bytes(packet))


main(*sys.argv[1:])
