// The Internet checksum, RFC 1071, summed 32 bits at a time in machine order: the compiler makes vectors of it.
#include "ceiling.h"

#include <arpa/inet.h>
#include <string.h>

// Adds bytes to a running sum. All but the last piece of a sum must have even length.
uint64_t sum_bytes(uint64_t sum, const uint8_t *data, size_t length) {
    size_t i = 0;
    for (; i + 4 <= length; i += 4) {
        uint32_t word;
        memcpy(&word, data + i, 4);
        sum += word;
    }
    uint32_t rest = 0;
    memcpy(&rest, data + i, length - i);
    return sum + rest;
}

// Folds a sum to 16 bits, in host order and not complemented.
uint16_t sum_fold(uint64_t sum) {
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ntohs((uint16_t)sum);
}

// Sum of the pseudo-header of TCP and UDP: RFC 9293 §3.1, RFC 8200 §8.1.
uint64_t sum_pseudo_header(const uint8_t *ip, uint8_t protocol, size_t l4_length) {
    uint64_t sum = ip[0] >> 4 == 4 ? sum_bytes(0, ip + 12, 8) : sum_bytes(0, ip + 8, 32);
    return sum + htonl((uint32_t)l4_length) + htons(protocol);
}
