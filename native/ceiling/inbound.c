// UDP GRO → ESP frames of one size → opened in place → consecutive segments of a flow, each with its checksum verified, gathered from where
// they lie into one write to the TUN. Nothing is copied and nothing is kept from one receive to the next.
#include "ceiling.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define TCP_PSH 0x08
#define TCP_ACK 0x10

// Where a packet's parts are. Only TCP with no flags but ACK and PSH, and UDP, have l4 > 0.
struct parts {
    uint8_t *packet;
    size_t length, l4, head;
    bool tcp;
};

// Consecutive segments of one flow: the first whole, of the others the payload.
struct run {
    struct ceiling *ceiling;
    struct parts first;
    size_t segment, total; // payload bytes of the first, length of the whole
    uint32_t next_sequence;
    bool closed; // a shorter segment or PSH ends it
    unsigned count;
    struct iovec vectors[1 + MAX_SEGMENTS];
};

static bool checksum_right(const struct parts *p, uint8_t protocol) {
    size_t l4_length = p->length - p->l4;
    return sum_fold(sum_bytes(sum_pseudo_header(p->packet, protocol, l4_length), p->packet + p->l4, l4_length)) == 0xffff;
}

static struct parts parse(uint8_t *packet, size_t length) {
    struct parts p = {.packet = packet, .length = length};
    bool v4 = packet[0] >> 4 == 4;
    size_t ip = v4 ? 20 : 40;
    if (length < ip + 8 || (v4 && (packet[0] != 0x45 || load16(packet + 2) != length || (load16(packet + 6) & 0x3fff) != 0)) ||
        (v4 && sum_fold(sum_bytes(0, packet, ip)) != 0xffff) || (!v4 && (packet[0] >> 4 != 6 || load16(packet + 4) != length - ip))) {
        return p; // options, a fragment, or wrong: written as it is
    }
    uint8_t protocol = packet[v4 ? 9 : 6];
    size_t head = 8;
    if (protocol == IPPROTO_TCP) {
        head = length >= ip + 20 ? (size_t)(packet[ip + 12] >> 4) * 4 : 0;
        if (head < 20 || (packet[ip + 13] & ~TCP_PSH) != TCP_ACK) {
            return p;
        }
    } else if (protocol != IPPROTO_UDP || load16(packet + ip + 6) == 0 || load16(packet + ip + 4) != length - ip) {
        return p;
    }
    struct parts found = {packet, length, ip, ip + head, protocol == IPPROTO_TCP};
    return found.head < length && checksum_right(&found, protocol) ? found : p;
}

static bool same_but(const uint8_t *a, const uint8_t *b, size_t from, size_t to) { return memcmp(a + from, b + from, to - from) == 0; }

// True if both are segments of one flow with equal fields, but for lengths, ID, sequence number, PSH and checksums.
static bool same_flow(const struct parts *a, const struct parts *b) {
    if (a->l4 != b->l4 || a->head != b->head || a->tcp != b->tcp || a->packet[0] != b->packet[0]) {
        return false;
    }
    bool ip = a->l4 == 20 ? same_but(a->packet, b->packet, 1, 2) && same_but(a->packet, b->packet, 6, 10) && same_but(a->packet, b->packet, 12, 20)
                          : same_but(a->packet, b->packet, 0, 4) && same_but(a->packet, b->packet, 6, 40);
    const uint8_t *x = a->packet + a->l4, *y = b->packet + a->l4;
    return ip && same_but(x, y, 0, 4) &&
           (!a->tcp || (same_but(x, y, 8, 13) && same_but(x, y, 14, 16) && same_but(x, y, 18, a->head - a->l4)));
}

static void write_run(struct run *run) {
    if (run->count == 0) {
        return;
    }
    struct parts *p = &run->first;
    struct virtio_net_hdr vnet = {.flags = p->l4 > 0 ? VIRTIO_NET_HDR_F_DATA_VALID : 0};
    if (run->count > 1) {
        bool v4 = p->l4 == 20;
        uint8_t *ip = p->packet, *l4 = ip + p->l4;
        if (v4) {
            store16(ip + 2, (unsigned)run->total);
            store16(ip + 10, 0);
            store16(ip + 10, (uint16_t)~sum_fold(sum_bytes(0, ip, 20)));
        } else {
            store16(ip + 4, (unsigned)(run->total - 40));
        }
        if (!p->tcp) {
            store16(l4 + 4, (unsigned)(run->total - p->l4));
        }
        vnet = (struct virtio_net_hdr){
            .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
            .gso_type = !p->tcp ? VIRTIO_NET_HDR_GSO_UDP_L4 : v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
            .hdr_len = (uint16_t)p->head, .gso_size = (uint16_t)run->segment,
            .csum_start = (uint16_t)p->l4, .csum_offset = p->tcp ? 16 : 6};
        store16(l4 + vnet.csum_offset, sum_fold(sum_pseudo_header(ip, p->tcp ? IPPROTO_TCP : IPPROTO_UDP, run->total - p->l4)));
    }
    run->vectors[0] = (struct iovec){&vnet, run->ceiling->plain ? 0 : sizeof vnet};
    run->ceiling->writes++;
    if (writev(run->ceiling->tun, run->vectors, (int)run->count + 1) < 0) {
        run->ceiling->refused_writes++;
    }
    run->count = 0;
}

static bool fits(const struct run *run, const struct parts *p) {
    size_t payload = p->length - p->head;
    return run->count > 0 && run->count < MAX_SEGMENTS && !run->closed && p->l4 > 0 && run->first.l4 > 0 && payload <= run->segment &&
           run->total + payload <= MAX_PACKET && same_flow(&run->first, p) && (!p->tcp || load32(p->packet + p->l4 + 4) == run->next_sequence);
}

static void offer(struct run *run, uint8_t *packet, size_t length) {
    struct parts p = run->ceiling->plain ? (struct parts){.packet = packet, .length = length} : parse(packet, length);
    size_t payload = length - p.head;
    bool pushed = p.tcp && packet[p.l4 + 13] & TCP_PSH;
    if (fits(run, &p)) {
        run->vectors[++run->count] = (struct iovec){packet + p.head, payload};
        run->total += payload;
        run->next_sequence += (uint32_t)payload;
        run->closed = payload < run->segment || pushed;
        if (pushed) {
            run->first.packet[p.l4 + 13] |= TCP_PSH;
        }
        return;
    }
    write_run(run);
    run->first = p;
    run->segment = payload;
    run->total = length;
    run->next_sequence = p.tcp ? load32(packet + p.l4 + 4) + (uint32_t)payload : 0;
    run->closed = pushed || p.l4 == 0;
    run->count = 1;
    run->vectors[1] = (struct iovec){packet, length};
}

static size_t receive(int udp, uint8_t *bytes, size_t *frame) {
    char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
    struct iovec vector = {bytes, MAX_PACKET};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(udp, &message, 0);
    if (got <= 0) {
        return 0; // an ICMP error of the peer, or a signal
    }
    *frame = (size_t)got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            *frame = (size_t)size;
        }
    }
    return (size_t)got;
}

void *inbound(void *argument) {
    static struct run run;
    static uint8_t bytes[MAX_PACKET];
    struct ceiling *ceiling = argument;
    struct esp *esp = esp_create(ceiling->crypto);
    if (esp == NULL) {
        perror("ceiling: no crypto");
        _exit(1);
    }
    run.ceiling = ceiling;
    for (;;) {
        size_t frame = 0, got = receive(ceiling->udp, bytes, &frame);
        ceiling->receives++;
        for (size_t offset = 0; offset < got; offset += frame) {
            size_t length = got - offset < frame ? got - offset : frame, packet_length;
            if (esp_open(esp, bytes + offset, length, &packet_length) && packet_length >= 20) {
                ceiling->packets_in++;
                offer(&run, bytes + offset + ESP_HEAD, packet_length);
            } else {
                ceiling->bad_frames++;
            }
        }
        write_run(&run);
    }
}
