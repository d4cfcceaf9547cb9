// TUN → one packet or super-packet a read → segments with lengths, IDs, sequence numbers, flags and checksums of their own → ESP frames
// in a row → one UDP send with UDP_SEGMENT for frames of one size. The TUN is drained before a row that is not full is sent.
#include "ceiling.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

// A row of frames of one size; only the last may be shorter.
struct row {
    struct ceiling *ceiling;
    struct esp *esp;
    size_t frame, length;
    unsigned count;
    uint8_t bytes[MAX_SEND];
};

static void send_row(struct row *row) {
    if (row->count == 0) {
        return;
    }
    struct iovec vector = {row->bytes, row->length};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(uint16_t))];
    } control = {0};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (row->count > 1) {
        uint16_t size = (uint16_t)row->frame;
        message.msg_control = &control;
        message.msg_controllen = sizeof control.room;
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof size), .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT};
        memcpy(CMSG_DATA(&control.header), &size, sizeof size);
    }
    row->ceiling->sends++;
    if (sendmsg(row->ceiling->udp, &message, 0) < 0) {
        row->ceiling->refused_sends++; // a full queue, or no peer yet
    }
    row->count = 0;
    row->length = 0;
}

// Makes room for the next frame, sends what cannot share a send with it, and returns where its packet goes.
static uint8_t *next_packet(struct row *row, size_t packet_length) {
    size_t frame = esp_frame_length(packet_length);
    bool last_was_shorter = row->length != row->count * row->frame;
    if (row->count > 0 && (frame > row->frame || last_was_shorter || row->count == MAX_SEGMENTS || row->length + frame > MAX_SEND)) {
        send_row(row);
    }
    if (row->count == 0) {
        row->frame = frame;
    }
    return row->bytes + row->length + ESP_HEAD;
}

static void seal(struct row *row, size_t packet_length) {
    esp_seal(row->esp, row->bytes + row->length, packet_length);
    row->length += esp_frame_length(packet_length);
    row->count++;
    row->ceiling->packets_out++;
}

static void finish_ip(uint8_t *ip, size_t length, unsigned segment) {
    if (ip[0] >> 4 == 4) {
        store16(ip + 2, (unsigned)length);
        store16(ip + 4, load16(ip + 4) + segment); // RFC 791: an ID of its own
        store16(ip + 10, 0);
        store16(ip + 10, (uint16_t)~sum_fold(sum_bytes(0, ip, (size_t)(ip[0] & 15) * 4)));
    } else {
        store16(ip + 4, (unsigned)(length - 40));
    }
}

// Cuts a super-packet. The transport header stands at csum_start.
static void segment(struct row *row, const struct virtio_net_hdr *vnet, const uint8_t *packet, size_t length) {
    bool tcp = vnet->gso_type != VIRTIO_NET_HDR_GSO_UDP_L4;
    size_t l4 = vnet->csum_start, head = l4 + (tcp ? (size_t)(packet[l4 + 12] >> 4) * 4 : 8);
    uint8_t protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
    unsigned number = 0;
    for (size_t offset = head; offset < length; number++) {
        size_t payload = length - offset < vnet->gso_size ? length - offset : vnet->gso_size;
        bool last = offset + payload == length;
        uint8_t *out = next_packet(row, head + payload), *header = out + l4;
        memcpy(out, packet, head);
        memcpy(out + head, packet + offset, payload);
        finish_ip(out, head + payload, number);
        if (tcp) {
            store32(header + 4, load32(header + 4) + (uint32_t)(offset - head));
            header[13] &= (uint8_t) ~((last ? 0 : TCP_FIN | TCP_PSH) | (number == 0 ? 0 : TCP_CWR));
            store16(header + 16, 0);
        } else {
            store16(header + 4, (unsigned)(8 + payload));
            store16(header + 6, 0);
        }
        size_t l4_length = head - l4 + payload;
        uint16_t checksum = (uint16_t)~sum_fold(sum_bytes(sum_pseudo_header(out, protocol, l4_length), header, l4_length));
        store16(header + (tcp ? 16 : 6), !tcp && checksum == 0 ? 0xffff : checksum); // RFC 768: 0 means none
        seal(row, head + payload);
        offset += payload;
    }
}

// A packet that is one already; the kernel may have left its checksum to us.
static void single(struct row *row, const struct virtio_net_hdr *vnet, const uint8_t *packet, size_t length) {
    uint8_t *out = next_packet(row, length);
    memcpy(out, packet, length);
    size_t start = vnet->csum_start, at = start + vnet->csum_offset;
    if (vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && at + 2 <= length) {
        uint16_t checksum = (uint16_t)~sum_fold(sum_bytes(0, out + start, length - start)); // the pseudo-header's sum stands in the field
        store16(out + at, checksum == 0 ? 0xffff : checksum);
    }
    seal(row, length);
}

static void wait_for_tun(int tun) {
    struct pollfd poll_tun = {tun, POLLIN, 0};
    poll(&poll_tun, 1, -1);
}

void *outbound(void *argument) {
    static struct row row;
    static uint8_t packet[MAX_PACKET + 1];
    struct ceiling *ceiling = argument;
    row.ceiling = ceiling;
    row.esp = esp_create(ceiling->crypto);
    if (row.esp == NULL) {
        perror("ceiling: no crypto");
        _exit(1);
    }
    for (;;) {
        struct virtio_net_hdr vnet = {0};
        size_t prefix = ceiling->plain ? 0 : sizeof vnet;
        struct iovec vectors[2] = {{&vnet, prefix}, {packet, sizeof packet}};
        ssize_t got = readv(ceiling->tun, vectors, 2);
        if (got <= (ssize_t)prefix) {
            send_row(&row);
            if (got < 0 && errno != EAGAIN && errno != EINTR) {
                perror("ceiling: TUN");
                _exit(1);
            }
            wait_for_tun(ceiling->tun);
        } else if (vnet.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
            single(&row, &vnet, packet, (size_t)got - prefix);
        } else {
            vnet.gso_type &= (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
            segment(&row, &vnet, packet, (size_t)got - prefix);
        }
    }
}
