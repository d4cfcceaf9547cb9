/* Sockets of IKE daemons that are none of XFRM: UDP encapsulation. */
#include "harness.h"
#include <sys/wait.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>

static int open_udp(int family, const char *address, uint16_t port)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    int fd = socket(family, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && inet_pton(family, address, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr) == 1);
    if (family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof v4) : bind(fd, (struct sockaddr *)&v6, sizeof v6)) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static int udp_port(int fd)
{
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    CHECK(getsockname(fd, (struct sockaddr *)&name, &length) == 0);
    return ntohs(name.sin_port);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    CHECK(getsockopt(fd, level, name, &value, &length) == 0 && length == sizeof value);
    return value;
}

static int encap(int fd, int type)
{
    return setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &type, sizeof type);
}

/* What the data plane knows over the lease of this socket: number of ports, family and port of the last one. */
static uint32_t ports(int fd, uint32_t *family, uint32_t *port)
{
    uint32_t answer[7];
    CHECK(ask(fd, PORTS, 0, 1) > 0);
    CHECK(recv(fd, answer, sizeof answer, MSG_DONTWAIT) == sizeof answer);
    if (family)
        *family = answer[5];
    if (port)
        *port = answer[6];
    return answer[4];
}

static void encapsulation_goes_to_the_data_plane(void)
{
    int requests = open_bound(0), events = open_bound(1), udp = open_udp(AF_INET, "127.0.0.1", 0), unbound = socket(AF_INET, SOCK_DGRAM, 0);
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    uint32_t family, port;
    CHECK(option(udp, SOL_SOCKET, SO_REUSEADDR) == 0 && option(udp, IPPROTO_UDP, UDP_ENCAP) == 0);
    CHECK(encap(udp, UDP_ENCAP_ESPINUDP) == 0);
    CHECK(ports(requests, &family, &port) == 1 && family == AF_INET && (int)port == udp_port(udp));
    CHECK(ports(events, NULL, NULL) == 1);              /* over every lease */
    CHECK(option(udp, IPPROTO_UDP, UDP_ENCAP) == UDP_ENCAP_ESPINUDP && option(udp, SOL_SOCKET, SO_REUSEADDR) == 1);
    CHECK(encap(udp, UDP_ENCAP_ESPINUDP) == 0 && ports(requests, NULL, NULL) == 1);
    CHECK(encap(udp, UDP_ENCAP_ESPINUDP_NON_IKE) == -1 && errno == ENOPROTOOPT);
    CHECK(encap(unbound, UDP_ENCAP_ESPINUDP) == -1 && errno == EINVAL);
    CHECK(encap(stream, UDP_ENCAP_ESPINUDP) == -1);     /* the kernel's answer */
    CHECK(setsockopt(udp, IPPROTO_UDP, UDP_ENCAP, &(char){ 2 }, 1) == -1 && errno == EINVAL);
    int refused = open_udp(AF_INET, "127.0.0.1", REFUSED_PORT);
    CHECK(encap(refused, UDP_ENCAP_ESPINUDP) == -1 && errno == EADDRINUSE && option(refused, IPPROTO_UDP, UDP_ENCAP) == 0);
    close(events);
    CHECK(ports(requests, NULL, NULL) == 1);
    int later = open_bound(0);
    CHECK(ports(later, NULL, NULL) == 1);               /* and over those that are opened later */
    CHECK(encap(udp, 0) == 0 && ports(requests, NULL, NULL) == 0 && ports(later, NULL, NULL) == 0);
    CHECK(option(udp, IPPROTO_UDP, UDP_ENCAP) == 0);
}

/* The kernel would hand such a packet to ESP: it must arrive. */
static void encapsulation_leaves_the_socket_ordinary(void)
{
    int requests = open_bound(0), udp = open_udp(AF_INET, "127.0.0.1", 0), peer = open_udp(AF_INET, "127.0.0.1", 0);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)udp_port(udp)), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    char esp[64] = "\1\2\3\4";
    CHECK(requests >= 0 && encap(udp, UDP_ENCAP_ESPINUDP) == 0);
    CHECK(sendto(peer, esp, sizeof esp, 0, (struct sockaddr *)&to, sizeof to) == sizeof esp);
    CHECK(recv(udp, esp, sizeof esp, MSG_DONTWAIT) == sizeof esp);
}

static void encapsulation_of_both_families(void)
{
    int requests = open_bound(0), one = 1;
    uint32_t family, port;
    int both = open_udp(AF_INET6, "::", 0);
    CHECK(both >= 0 && encap(both, UDP_ENCAP_ESPINUDP) == 0 && ports(requests, &family, &port) == 1 && family == AF_UNSPEC);
    CHECK(encap(both, 0) == 0 && setsockopt(both, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == -1);
    int single = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 any = { .sin6_family = AF_INET6 };
    CHECK(setsockopt(single, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0 && bind(single, (struct sockaddr *)&any, sizeof any) == 0);
    CHECK(encap(single, UDP_ENCAP_ESPINUDP) == 0 && ports(requests, &family, &port) == 1 && family == AF_INET6 && (int)port == udp_port(single));
    int local = open_udp(AF_INET6, "::1", 0);
    CHECK(encap(local, UDP_ENCAP_ESPINUDP) == 0 && ports(requests, &family, &port) == 2 && family == AF_INET6);
}

static void encapsulation_survives_the_data_plane(void)
{
    int requests = open_bound(0), events = open_bound(1), first = open_udp(AF_INET, "127.0.0.1", 0), second = open_udp(AF_INET, "127.0.0.2", 0);
    CHECK(encap(first, UDP_ENCAP_ESPINUDP) == 0);
    stop_server();
    CHECK(encap(second, UDP_ENCAP_ESPINUDP) == 0 && option(second, IPPROTO_UDP, UDP_ENCAP) == UDP_ENCAP_ESPINUDP);
    start_server();
    CHECK(ports(requests, NULL, NULL) == 2 && ports(events, NULL, NULL) == 2);
    pid_t child = fork();
    int status;
    if (child == 0) {
        CHECK(ports(requests, NULL, NULL) == 2);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(ports(requests, NULL, NULL) == 2);
}

static void closed_sockets_make_room_for_others(void)
{
    int requests = open_bound(0);
    for (int i = 0; i < 600; i++) {
        int udp = open_udp(AF_INET, "127.0.0.1", (uint16_t)(20000 + i));
        CHECK(udp >= 0 && encap(udp, UDP_ENCAP_ESPINUDP) == 0);
        close(udp);
    }
    CHECK(ports(requests, NULL, NULL) <= 256);
    int held[257], i = 0;
    while (i < 257) {
        held[i] = open_udp(AF_INET, "127.0.0.1", (uint16_t)(21000 + i));
        CHECK(held[i] >= 0);
        if (encap(held[i++], UDP_ENCAP_ESPINUDP) != 0)
            break;
    }
    CHECK(i == 257 && errno == ENOBUFS && ports(requests, NULL, NULL) == 256);
}

/* A port at which the data plane's own socket stands, or another IKE daemon's, or somebody else's. */
static void bind_beside_the_data_plane(void)
{
    int foreign = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    CHECK(setsockopt(foreign, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && bind(foreign, (struct sockaddr *)&name, sizeof name) == 0);
    uint16_t port = (uint16_t)udp_port(foreign);
    CHECK(open_udp(AF_INET, "127.0.0.1", port) == -1 && errno == EADDRINUSE);       /* no XFRM socket: as in the kernel */
    int requests = open_bound(0), daemon = open_udp(AF_INET, "127.0.0.1", port);
    CHECK(requests >= 0 && daemon >= 0 && encap(daemon, UDP_ENCAP_ESPINUDP) == 0);
    CHECK(open_udp(AF_INET, "127.0.0.1", port) == -1 && errno == EADDRINUSE);       /* another daemon has it */
    int plain = socket(AF_INET, SOCK_DGRAM, 0), late = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(bind(plain, (struct sockaddr *)&name, sizeof name) == 0);
    name.sin_port = htons((uint16_t)udp_port(plain));
    CHECK(bind(late, (struct sockaddr *)&name, sizeof name) == -1 && errno == EADDRINUSE && option(late, SOL_SOCKET, SO_REUSEADDR) == 0);
    int stream = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(bind(stream, (struct sockaddr *)&name, sizeof name) == 0);
    CHECK(bind(other, (struct sockaddr *)&name, sizeof name) == -1 && errno == EADDRINUSE && option(other, SOL_SOCKET, SO_REUSEADDR) == 0);
    stop_server();
    CHECK(open_udp(AF_INET, "127.0.0.1", port) == -1 && errno == EADDRINUSE);
}

static void encapsulation_without_xfrm_socket_is_the_kernels(void)
{
    int udp = open_udp(AF_INET, "127.0.0.1", 0);
    CHECK(encap(udp, UDP_ENCAP_ESPINUDP) == 0 && option(udp, SOL_SOCKET, SO_REUSEADDR) == 0);
    close(open_bound(0));
    int other = open_udp(AF_INET, "127.0.0.1", 0);
    CHECK(encap(other, UDP_ENCAP_ESPINUDP) == 0 && option(other, SOL_SOCKET, SO_REUSEADDR) == 0);
}

const struct test ike_socket_tests[] = {
    TEST(encapsulation_goes_to_the_data_plane), TEST(encapsulation_leaves_the_socket_ordinary),
    TEST(encapsulation_of_both_families), TEST(encapsulation_survives_the_data_plane), TEST(closed_sockets_make_room_for_others),
    TEST(bind_beside_the_data_plane), TEST(encapsulation_without_xfrm_socket_is_the_kernels), { 0 },
};
