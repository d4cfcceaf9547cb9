// ceiling: the most that ESP over TUN and UDP can carry on this kernel, in the plainest C that does the work.
//
//   out   TUN (vnet header, TSO, USO) ─ segments, checksums ─ ESP, AES-128-GCM by intel-ipsec-mb ─ UDP GSO
//   in    UDP GRO ─ ESP ─ checksums verified, segments gathered ─ TUN
//
// One thread a direction. It does the work that no data plane can leave out, and nothing else: no policies, one SA with a fixed key, no replay
// window, no lifetimes, no DSCP, ECN or path MTU, no IPv6 extension headers, IPv4 outside. It protects nothing: it is a yardstick.
#include "ceiling.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static const char usage[] =
    "usage: ceiling --tun NAME --local ADDRESS --peer ADDRESS [--port N] [--crypto gcm|none] [--plain]\n"
    "  --tun NAME       TUN device to make\n"
    "  --local, --peer  IPv4 addresses of the two ends\n"
    "  --port N         UDP port of both ends (4500)\n"
    "  --crypto         gcm: AES-128-GCM by intel-ipsec-mb (default); none: frames of the same size in clear\n"
    "  --plain          no offloads on the TUN: one packet a read, one packet a write\n"
    "It prints `ready`, carries packets until SIGTERM or SIGINT, and prints its counters.\n";

static void fail(const char *what) {
    fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void wrong(const char *what) {
    fprintf(stderr, "ceiling: %s (ceiling --help)\n", what);
    exit(2);
}

static int open_tun(const char *name, bool plain) {
    int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = {0};
    if (tun < 0) {
        fail("/dev/net/tun");
    }
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    request.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (plain ? 0 : IFF_VNET_HDR));
    if (ioctl(tun, TUNSETIFF, &request) < 0) {
        fail(name);
    }
    const unsigned long tso = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (!plain && ioctl(tun, TUNSETOFFLOAD, tso | TUN_F_USO4 | TUN_F_USO6) < 0 && ioctl(tun, TUNSETOFFLOAD, tso) < 0) {
        fail("TUNSETOFFLOAD");
    }
    return tun;
}

static struct sockaddr_in address(const char *text, int port) {
    struct sockaddr_in result = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, text, &result.sin_addr) != 1) {
        wrong("--local and --peer take an IPv4 address");
    }
    return result;
}

static int open_udp(const char *local, const char *peer, int port) {
    struct sockaddr_in here = address(local, port), there = address(peer, port);
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, buffer = 4 << 20;
    if (udp < 0 || bind(udp, (struct sockaddr *)&here, sizeof here) < 0 || connect(udp, (struct sockaddr *)&there, sizeof there) < 0) {
        fail("UDP");
    }
    if (setsockopt(udp, IPPROTO_UDP, UDP_GRO, &on, sizeof on) < 0) {
        fail("UDP_GRO");
    }
    if (setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) < 0 || setsockopt(udp, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) < 0) {
        fail("socket buffers");
    }
    return udp;
}

static void print_counters(const struct ceiling *c) {
    printf("out: %lu packets in %lu sends (%lu refused); in: %lu packets of %lu receives in %lu writes (%lu refused); %lu bad frames\n",
           c->packets_out, c->sends, c->refused_sends, c->packets_in, c->receives, c->writes, c->refused_writes, c->bad_frames);
}

int main(int count, char **arguments) {
    static const struct option options[] = {
        {"tun", required_argument, 0, 't'},    {"local", required_argument, 0, 'l'}, {"peer", required_argument, 0, 'p'},
        {"port", required_argument, 0, 'o'},   {"plain", no_argument, 0, 'n'},       {"crypto", required_argument, 0, 'c'},
        {"help", no_argument, 0, 'h'},         {0, 0, 0, 0}};
    const char *tun = NULL, *local = NULL, *peer = NULL;
    int port = 4500;
    static struct ceiling ceiling = {.crypto = CRYPTO_GCM};
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        switch (option) {
        case 't': tun = optarg; break;
        case 'l': local = optarg; break;
        case 'p': peer = optarg; break;
        case 'o': port = atoi(optarg); break;
        case 'n': ceiling.plain = true; break;
        case 'c':
            if (strcmp(optarg, "gcm") != 0 && strcmp(optarg, "none") != 0) {
                wrong("--crypto takes gcm or none");
            }
            ceiling.crypto = optarg[0] == 'g' ? CRYPTO_GCM : CRYPTO_NONE;
            break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (tun == NULL || local == NULL || peer == NULL || port < 1 || port > 65535 || optind < count) {
        wrong("--tun, --local and --peer are needed, and nothing else but the options");
    }

    // Blocked before the threads start, so that only sigwait sees them.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ending, NULL);

    ceiling.tun = open_tun(tun, ceiling.plain);
    ceiling.udp = open_udp(local, peer, port);
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, outbound, &ceiling) != 0 || pthread_create(&threads[1], NULL, inbound, &ceiling) != 0) {
        fail("threads");
    }
    puts("ready");
    fflush(stdout);

    int signal;
    sigwait(&ending, &signal);
    print_counters(&ceiling); // the end of the process ends the threads and takes the TUN away
    return 0;
}
