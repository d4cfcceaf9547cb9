// ESP frames (RFC 4303) with AES-128-GCM (RFC 4106) by intel-ipsec-mb, one call a packet.
//
//   SPI 4 | sequence number 4 | IV 8 | packet | padding 0 to 3 | pad length 1 | next header 1 | ICV 16
//
// The key is the same for everybody and both directions: this measures, it protects nothing.
#include "ceiling.h"

#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

struct esp {
    struct gcm_key_data key __attribute__((aligned(64)));
    struct gcm_context_data context;
    IMB_MGR *manager; // NULL: no crypto
    uint32_t sequence;
};

struct esp *esp_create(enum crypto crypto) {
    struct esp *esp = aligned_alloc(64, (sizeof *esp + 63) & ~(size_t)63);
    if (esp == NULL) {
        return NULL;
    }
    memset(esp, 0, sizeof *esp);
    if (crypto == CRYPTO_GCM) {
        static const uint8_t key[16] = "ceiling, no key";
        IMB_ARCH arch;
        esp->manager = alloc_mb_mgr(0);
        if (esp->manager == NULL) {
            free(esp);
            return NULL;
        }
        init_mb_mgr_auto(esp->manager, &arch);
        IMB_AES128_GCM_PRE(esp->manager, key, &esp->key);
    }
    return esp;
}

// RFC 4303 §2.4: packet, padding, pad length and next header end on 4 bytes.
size_t esp_frame_length(size_t packet_length) { return ESP_HEAD + ((packet_length + 2 + 3) & ~(size_t)3) + ESP_ICV; }

static void nonce(const uint8_t *frame, uint8_t out[12]) {
    memset(out, 0, 4); // salt
    memcpy(out + 4, frame + 8, 8);
}

void esp_seal(struct esp *esp, uint8_t *frame, size_t packet_length) {
    size_t sealed = esp_frame_length(packet_length) - ESP_HEAD - ESP_ICV;
    uint8_t *packet = frame + ESP_HEAD;
    uint8_t pad = (uint8_t)(sealed - packet_length - 2);
    store32(frame, 0x1000);
    store32(frame + 4, ++esp->sequence);
    store32(frame + 8, 0);
    store32(frame + 12, esp->sequence);
    for (uint8_t i = 0; i < pad; i++) {
        packet[packet_length + i] = (uint8_t)(i + 1);
    }
    packet[sealed - 2] = pad;
    packet[sealed - 1] = packet[0] >> 4 == 4 ? 4 : 41;
    if (esp->manager != NULL) {
        uint8_t iv[12];
        nonce(frame, iv);
        IMB_AES128_GCM_ENC(esp->manager, &esp->key, &esp->context, packet, packet, sealed, iv, frame, 8, packet + sealed, ESP_ICV);
    }
}

bool esp_open(struct esp *esp, uint8_t *frame, size_t length, size_t *packet_length) {
    if (length < ESP_HEAD + 4 + ESP_ICV) {
        return false;
    }
    size_t sealed = length - ESP_HEAD - ESP_ICV;
    uint8_t *packet = frame + ESP_HEAD;
    if (esp->manager != NULL) {
        uint8_t iv[12], icv[ESP_ICV];
        nonce(frame, iv);
        IMB_AES128_GCM_DEC(esp->manager, &esp->key, &esp->context, packet, packet, sealed, iv, frame, 8, icv, ESP_ICV);
        if (memcmp(icv, packet + sealed, ESP_ICV) != 0) {
            return false;
        }
    }
    size_t trailer = (size_t)packet[sealed - 2] + 2;
    if (trailer > sealed) {
        return false;
    }
    *packet_length = sealed - trailer;
    return true;
}
