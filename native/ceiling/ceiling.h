// The pieces of the ceiling: see main.c for what it is.
#ifndef CEILING_H
#define CEILING_H

#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define ESP_HEAD 16      // SPI 4, sequence number 4, IV 8
#define ESP_ICV 16
#define MAX_PACKET 65535 // one packet or super-packet of the TUN
#define MAX_SEND 65507   // bytes of one UDP send
#define MAX_SEGMENTS 64  // frames of one UDP send: what older kernels take

enum crypto { CRYPTO_NONE, CRYPTO_GCM };

// What a run is made of, and what it counted. Each counter has one writer.
struct ceiling {
    int tun;
    int udp;
    enum crypto crypto;
    bool plain; // no vnet header on the TUN: one packet a read, one a write
    atomic_ulong packets_out, sends, packets_in, receives, writes, refused_sends, refused_writes, bad_frames;
};

static inline uint16_t load16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t load32(const uint8_t *p) { return (uint32_t)load16(p) << 16 | load16(p + 2); }
static inline void store16(uint8_t *p, unsigned v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }
static inline void store32(uint8_t *p, uint32_t v) { store16(p, v >> 16); store16(p + 2, v & 0xffff); }

// checksum.c: the Internet checksum (RFC 1071).
uint64_t sum_bytes(uint64_t sum, const uint8_t *data, size_t length);
uint16_t sum_fold(uint64_t sum);
uint64_t sum_pseudo_header(const uint8_t *ip, uint8_t protocol, size_t l4_length);

// esp.c: ESP frames around packets. One state a direction.
struct esp;
struct esp *esp_create(enum crypto crypto);
size_t esp_frame_length(size_t packet_length);
void esp_seal(struct esp *esp, uint8_t *frame, size_t packet_length);                  // the packet stands at frame + ESP_HEAD
bool esp_open(struct esp *esp, uint8_t *frame, size_t length, size_t *packet_length);  // afterwards too

void *outbound(void *ceiling); // outbound.c: TUN → segments → frames → UDP GSO
void *inbound(void *ceiling);  // inbound.c: UDP GRO → frames → coalesced → TUN

#endif
