/*
 * Tests of libespalier-xfrm.so: programs that use XFRM sockets in every way its contract names, against a small data plane of their own.
 *
 *     LD_PRELOAD=…/libespalier-xfrm.so preload-tests NAME      0 = passed; `preload-tests list` prints the names
 *
 * The data plane (`serve`) is a forked process that speaks the control protocol and answers these requests:
 *   ECHO   the request's payload back        DUMP   `count` parts of 4,000 bytes, then NLMSG_DONE      QUIET  nothing
 *   COUNT  attachments, requests, leases     NOTIFY a datagram to every subscriber of group `count`    DIE    ends without an answer
 *   PORTS  ENCAP registrations on the lease of the asker: how many, the family and port of the last one
 * On a connection without ATTACH, GETSA: it knows no SA, and says EXPIRE to every subscriber; UPDPOLICY: it says so to every subscriber of policies. It refuses ENCAP of port 4444 with
 * EADDRINUSE, and says that ports which are registered cannot be shared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

enum { ATTACH = 0xE500, DONE = 0xE501, GROUPS = 0xE502, ENCAP = 0xE504 };
enum { ENCAP_CLOSE, ENCAP_OPEN, ENCAP_MAY_SHARE };
enum { ECHO = 200, DUMP, QUIET, COUNT, NOTIFY, LOSE, DIE, PORTS };
enum { MAX_CLIENTS = 64, PART = 4000, MAX_PORTS = 300, REFUSED_PORT = 4444 };

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

struct request { struct nlmsghdr header; uint32_t count, number; };
struct encapsulation { uint32_t operation; uint16_t family, port; uint8_t address[16]; };

static char path[100];
static pid_t server;

/* ---- The data plane ---- */

struct client { int lease, end; uint32_t groups, parts, seq, pid, port_count; struct encapsulation ports[MAX_PORTS]; };

static struct { uint32_t attached, requests, leases; } counted;

static void reply(int fd, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid, const void *payload, size_t length)
{
    _Alignas(8) char buffer[PART + 100];
    struct nlmsghdr *header = (struct nlmsghdr *)buffer;
    *header = (struct nlmsghdr){ .nlmsg_len = NLMSG_LENGTH(length), .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = seq, .nlmsg_pid = pid };
    if (length)
        memcpy(NLMSG_DATA(header), payload, length);
    (void)!send(fd, buffer, header->nlmsg_len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool is_same_port(const struct encapsulation *a, const struct encapsulation *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* ENCAP: 0 or an errno. */
static int encapsulate(const struct client *clients, struct client *c, const struct encapsulation *name)
{
    uint32_t at = 0;
    if (name->operation == ENCAP_MAY_SHARE) {
        for (int i = 0; i < MAX_CLIENTS; i++)
            for (uint32_t n = 0; n < clients[i].port_count; n++)
                if (is_same_port(&clients[i].ports[n], name))
                    return EADDRINUSE;
        return 0;
    }
    if (name->operation == ENCAP_OPEN && name->port == htons(REFUSED_PORT))
        return EADDRINUSE;
    while (at < c->port_count && !is_same_port(&c->ports[at], name))
        at++;
    if (name->operation == ENCAP_CLOSE && at < c->port_count)
        c->ports[at] = c->ports[--c->port_count];
    else if (name->operation == ENCAP_OPEN && at == c->port_count)
        c->ports[c->port_count++] = *name;
    return 0;
}

static void control(const struct client *clients, struct client *c, const struct nlmsghdr *request, int passed)
{
    struct nlmsgerr error = { .error = 0, .msg = *request };
    if (request->nlmsg_type == ATTACH && passed >= 0) {
        c->end = passed;
        counted.attached++;
    } else if (request->nlmsg_type == GROUPS) {
        memcpy(&c->groups, NLMSG_DATA(request), sizeof c->groups);
    } else if (request->nlmsg_type == ENCAP) {
        error.error = -encapsulate(clients, c, NLMSG_DATA(request));
    } else if (request->nlmsg_type == XFRM_MSG_GETSA) {
        for (int i = 0; i < MAX_CLIENTS; i++)
            if (clients[i].end >= 0 && clients[i].groups & 1u << (XFRMNLGRP_EXPIRE - 1))
                reply(clients[i].end, XFRM_MSG_EXPIRE, 0, 0, 0, NLMSG_DATA(request), sizeof(struct xfrm_usersa_id));
        error.error = -ESRCH;
    } else if (request->nlmsg_type == XFRM_MSG_UPDPOLICY) {
        for (int i = 0; i < MAX_CLIENTS; i++)
            if (clients[i].end >= 0 && clients[i].groups & 1u << (XFRMNLGRP_POLICY - 1))
                reply(clients[i].end, XFRM_MSG_UPDPOLICY, 0, 0, 0, NLMSG_DATA(request), request->nlmsg_len - NLMSG_HDRLEN);
    }
    reply(c->lease, NLMSG_ERROR, 0, request->nlmsg_seq, 0, &error, sizeof error);
}

/* Sends what fits of a dump; the rest when the client has read. */
static void continue_dump(struct client *c)
{
    static const char zeroes[PART];
    _Alignas(8) char part[NLMSG_LENGTH(PART)] = { 0 };
    struct nlmsghdr *header = (struct nlmsghdr *)part;
    while (c->parts > 0) {
        bool last = c->parts == 1;
        *header = (struct nlmsghdr){ .nlmsg_len = last ? NLMSG_LENGTH(4) : sizeof part, .nlmsg_type = last ? NLMSG_DONE : XFRM_MSG_NEWSA,
                                     .nlmsg_flags = NLM_F_MULTI, .nlmsg_seq = c->seq, .nlmsg_pid = c->pid };
        memcpy(NLMSG_DATA(header), zeroes, 4);
        if (send(c->end, part, header->nlmsg_len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            return;
        c->parts--;
    }
}

static void handle(struct client *clients, struct client *c, const struct request *request)
{
    struct nlmsgerr quiet = { .error = 0 };
    counted.requests++;
    switch (request->header.nlmsg_type) {
    case ECHO:
        reply(c->end, ECHO, 0, request->header.nlmsg_seq, request->header.nlmsg_pid, &request->count, 8);
        break;
    case COUNT:
        reply(c->end, COUNT, 0, request->header.nlmsg_seq, request->header.nlmsg_pid, &counted, sizeof counted);
        break;
    case DUMP:
        c->parts = request->count + 1;
        c->seq = request->header.nlmsg_seq;
        c->pid = request->header.nlmsg_pid;
        continue_dump(c);
        break;
    case NOTIFY:
    case LOSE:
        for (int i = 0; i < MAX_CLIENTS; i++)
            if (clients[i].end >= 0 && clients[i].groups & 1u << (request->count - 1))
                request->header.nlmsg_type == NOTIFY ? reply(clients[i].end, NOTIFY, 0, 0, 0, &request->number, 4)
                                                     : reply(clients[i].end, NLMSG_OVERRUN, 0, 0, 0, &request->number, 0);
        break;
    case PORTS: {
        const struct encapsulation *last = c->port_count ? &c->ports[c->port_count - 1] : NULL;
        uint32_t ports[3] = { c->port_count, last ? last->family : 0, last ? ntohs(last->port) : 0 };
        reply(c->end, PORTS, 0, request->header.nlmsg_seq, request->header.nlmsg_pid, ports, sizeof ports);
        break;
    }
    case DIE:
        _exit(0);
    default:
        break;
    }
    reply(c->lease, DONE, 0, request->header.nlmsg_seq, 0, &quiet, 4);
}

static void read_lease(const struct client *clients, struct client *c)
{
    _Alignas(8) char buffer[512], space[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { buffer, sizeof buffer };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
    int passed = -1;
    if (recvmsg(c->lease, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0) {
        if (c->end >= 0)
            close(c->end);
        close(c->lease);
        counted.leases--;
        *c = (struct client){ .lease = -1, .end = -1 };
        return;
    }
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    if (rights)
        memcpy(&passed, CMSG_DATA(rights), sizeof passed);
    control(clients, c, (const struct nlmsghdr *)buffer, passed);
}

/* Ends of leases come before requests of the same round: what a client did first is seen first. */
static void serve(int listener)
{
    static struct client clients[MAX_CLIENTS];
    for (int i = 0; i < MAX_CLIENTS; i++)
        clients[i] = (struct client){ .lease = -1, .end = -1 };
    for (;;) {
        struct pollfd set[1 + 2 * MAX_CLIENTS];
        set[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
        for (int i = 0; i < MAX_CLIENTS; i++) {
            set[1 + 2 * i] = (struct pollfd){ .fd = clients[i].lease, .events = POLLIN };
            set[2 + 2 * i] = (struct pollfd){ .fd = clients[i].end, .events = (short)(POLLIN | (clients[i].parts ? POLLOUT : 0)) };
        }
        if (poll(set, 1 + 2 * MAX_CLIENTS, 20000) <= 0)
            _exit(3);       /* nobody needs us any more */
        if (set[0].revents) {
            int lease = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            for (int i = 0; i < MAX_CLIENTS && lease >= 0; i++)
                if (clients[i].lease < 0) {
                    clients[i] = (struct client){ .lease = lease, .end = -1 };
                    counted.leases++;
                    lease = -1;
                }
        }
        for (int i = 0; i < MAX_CLIENTS; i++)
            if (set[1 + 2 * i].revents && clients[i].lease >= 0 && set[1 + 2 * i].fd == clients[i].lease)
                read_lease(clients, &clients[i]);
        for (int i = 0; i < MAX_CLIENTS; i++) {
            struct client *c = &clients[i];
            union { struct request request; char bytes[8192]; } buffer;
            if (set[2 + 2 * i].revents & POLLIN && c->end >= 0 && set[2 + 2 * i].fd == c->end &&
                recv(c->end, &buffer, sizeof buffer, MSG_DONTWAIT) >= (ssize_t)sizeof(struct nlmsghdr))
                handle(clients, c, &buffer.request);
            else if (set[2 + 2 * i].revents & POLLOUT)
                continue_dump(c);
        }
    }
}

static void start_server(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    memcpy(address.sun_path + 1, path + 1, strlen(path) - 1);     /* abstract: nothing is left behind */
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 64) == 0);
    server = fork();
    CHECK(server >= 0);
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener);
    }
    close(listener);
}

static void stop_server(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

/* ---- A client's steps ---- */

static int open_bound(uint32_t groups)
{
    struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_groups = groups };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
    return fd;
}

static uint32_t port_of(int fd)
{
    struct sockaddr_nl name;
    socklen_t length = sizeof name;
    CHECK(getsockname(fd, (struct sockaddr *)&name, &length) == 0);
    CHECK(length == sizeof name && name.nl_family == AF_NETLINK);
    return name.nl_pid;
}

static struct request make(uint16_t type, uint32_t count, uint32_t number)
{
    return (struct request){ .header = { .nlmsg_len = sizeof(struct request), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = number },
                             .count = count, .number = number };
}

static ssize_t ask(int fd, uint16_t type, uint32_t count, uint32_t number)
{
    struct request request = make(type, count, number);
    return send(fd, &request, sizeof request, 0);
}

/* Asks, and finds the answer there when send returns. */
static void echo(int fd, uint32_t number)
{
    struct request answer;
    CHECK(ask(fd, ECHO, 7, number) == sizeof(struct request));
    CHECK(recv(fd, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer);
    CHECK(answer.header.nlmsg_seq == number && answer.number == number && answer.header.nlmsg_pid == port_of(fd));
}

static uint32_t counter(int fd, int which)
{
    uint32_t answer[7];
    CHECK(ask(fd, COUNT, 0, 1) > 0);
    CHECK(recv(fd, answer, sizeof answer, MSG_DONTWAIT) == sizeof answer);
    return answer[4 + which];
}

static bool has_input(int fd)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    return poll(&waiting, 1, 0) != 0;
}

/* The descriptors that the library keeps to itself: sockets at high numbers. */
static int hidden(int numbers[], int room)
{
    struct stat status;
    int count = 0;
    for (int fd = 400; fd < 2000 && count < room; fd++)
        if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
            numbers[count++] = fd;
    return count;
}

/* ---- The tests ---- */

static void absent_data_plane(void)
{
    stop_server();
    CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM) == -1 && errno == EPROTONOSUPPORT);
    int other = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    CHECK(other >= 0 && close(other) == 0);
    CHECK(hidden((int[8]){ 0 }, 8) == 0);
    start_server();
    int fd = open_bound(0);
    echo(fd, 1);
    close(fd);
}

static void wrong_type(void)
{
    CHECK(socket(AF_NETLINK, SOCK_STREAM, NETLINK_XFRM) == -1 && errno == ESOCKTNOSUPPORT);
}

static void names_and_ports(void)
{
    int first = open_bound(0), second = open_bound(0), third = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_XFRM);
    CHECK(port_of(first) == (uint32_t)getpid() && (int32_t)port_of(second) < 0 && port_of(third) == 0);
    echo(second, 5);
    struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
    CHECK(bind(third, (struct sockaddr *)&name, sizeof name) == 0 && port_of(third) == 4711);
    name.nl_pid = 4712;
    CHECK(bind(third, (struct sockaddr *)&name, sizeof name) == -1 && errno == EINVAL);
    int fourth = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
    CHECK(bind(fourth, (struct sockaddr *)&name, 4) == -1 && errno == EINVAL);
    CHECK(ask(fourth, QUIET, 0, 1) > 0 && (int32_t)port_of(fourth) < 0 && port_of(fourth) != port_of(second));
    name.nl_pid = 0;
    CHECK(connect(fourth, (struct sockaddr *)&name, sizeof name) == 0);
    echo(fourth, 6);
}

static void every_way_to_send_and_receive(void)
{
    int fd = open_bound(0);
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK }, from;
    struct request r = make(ECHO, 7, 0), answer;
    struct iovec halves[2] = { { &r, sizeof r.header }, { &r.count, 8 } }, into = { &answer, sizeof answer };
    struct msghdr out = { .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = halves, .msg_iovlen = 2 };
    struct msghdr in = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &into, .msg_iovlen = 1 };
    for (int way = 0; way < 4; way++) {
        ssize_t sent = way == 0 ? send(fd, &r, sizeof r, 0) : way == 1 ? sendto(fd, &r, sizeof r, 0, (struct sockaddr *)&kernel, sizeof kernel)
                     : way == 2 ? sendmsg(fd, &out, 0) : write(fd, &r, sizeof r);
        CHECK(sent == sizeof r);
        memset(&from, 0xff, sizeof from);
        in.msg_namelen = sizeof from;
        CHECK(recvmsg(fd, &in, MSG_PEEK | MSG_TRUNC) == sizeof answer);
        CHECK(in.msg_namelen == sizeof from && from.nl_family == AF_NETLINK && from.nl_pid == 0 && from.nl_groups == 0);
        memset(&from, 0xff, sizeof from);
        socklen_t length = sizeof from;
        ssize_t got = way == 0 ? recv(fd, &answer, sizeof answer, 0) : way == 1 ? recvfrom(fd, &answer, sizeof answer, 0, (struct sockaddr *)&from, &length)
                    : way == 2 ? read(fd, &answer, sizeof answer) : recvmsg(fd, &in, 0);
        CHECK(got == sizeof answer && answer.number == r.number && answer.header.nlmsg_pid == port_of(fd));
        CHECK(way != 1 || (length == sizeof from && from.nl_pid == 0 && from.nl_family == AF_NETLINK));
        CHECK(!has_input(fd));
    }
    kernel.nl_pid = 99;
    CHECK(sendmsg(fd, &out, 0) == -1 && errno == ECONNREFUSED);
    kernel = (struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_groups = 1 };
    CHECK(sendmsg(fd, &out, 0) == -1 && errno == EPERM);
    kernel = (struct sockaddr_nl){ .nl_family = AF_INET };
    CHECK(sendmsg(fd, &out, 0) == -1 && errno == EINVAL);
    CHECK(send(fd, &r, 0, 0) == -1 && errno == ENODATA);
}

static void several_messages_in_one_request(void)
{
    int fd = open_bound(0);
    struct request two[2] = { make(ECHO, 1, 1), make(ECHO, 1, 2) };
    CHECK(send(fd, two, sizeof two, 0) == sizeof two);
    two[0].header.nlmsg_len = 17;
    CHECK(send(fd, two, 33, 0) == 33);
    two[0].header.nlmsg_len = 0xfffffffd;
    CHECK(send(fd, two, 40, 0) == 40);
    CHECK(send(fd, two, sizeof(struct nlmsghdr), 0) == sizeof(struct nlmsghdr));
    CHECK(two[0].header.nlmsg_pid == 0);        /* the program's own bytes stay as they are */
    char large[60000] = { 0 };
    struct request head = make(ECHO, 1, 9);
    head.header.nlmsg_len = sizeof large;
    memcpy(large, &head, sizeof head);
    CHECK(send(fd, large, sizeof large, 0) == sizeof large);
    struct iovec twice[2] = { { large, sizeof large }, { large, sizeof large } };
    CHECK(sendmsg(fd, &(struct msghdr){ .msg_iov = twice, .msg_iovlen = 2 }, 0) == -1 && errno == EMSGSIZE);
}

static void options(void)
{
    int fd = open_bound(0), one = 1, group = XFRMNLGRP_MAPPING, size = 500000;
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one) == 0);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one) == 0);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, &one, sizeof one) == -1 && errno == ENOPROTOOPT);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, 1) == -1 && errno == EINVAL);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
    CHECK(ask(fd, NOTIFY, (uint32_t)group, 1) > 0 && has_input(fd));
    CHECK(recv(fd, &(char[100]){ 0 }, 100, 0) == 20);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group) == 0);
    CHECK(ask(fd, NOTIFY, (uint32_t)group, 1) > 0 && !has_input(fd));
    group = 33;
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == -1 && errno == EINVAL);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0 || errno == EPERM);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size) == 0);
}

static void dump_larger_than_any_queue(void)
{
    int fd = open_bound(0), parts = 0;
    _Alignas(8) char buffer[8192];
    CHECK(ask(fd, DUMP, 2000, 3) > 0);          /* 8 MB; send returns with the first part */
    for (;;) {
        ssize_t length = recv(fd, buffer, sizeof buffer, 0);
        CHECK(length >= (ssize_t)sizeof(struct nlmsghdr));
        const struct nlmsghdr *header = (const struct nlmsghdr *)buffer;
        if (header->nlmsg_type == NLMSG_DONE)
            break;
        CHECK(header->nlmsg_pid == port_of(fd) && header->nlmsg_seq == 3);
        parts++;
    }
    CHECK(parts == 2000);
    echo(fd, 4);
}

static void notifications(void)
{
    int events = open_bound(1 << (XFRMNLGRP_ACQUIRE - 1) | 1 << (XFRMNLGRP_EXPIRE - 1)), requests = open_bound(0);
    uint32_t got[5];
    CHECK(ask(requests, NOTIFY, XFRMNLGRP_EXPIRE, 77) > 0);
    CHECK(recv(events, got, sizeof got, MSG_DONTWAIT) == sizeof got && got[4] == 77);
    CHECK(ask(requests, NOTIFY, XFRMNLGRP_SA, 78) > 0 && !has_input(events));
}

static void lost_notifications(void)
{
    int events = open_bound(1 << (XFRMNLGRP_EXPIRE - 1)), requests = open_bound(0), yes = 1;
    char got[100];
    struct iovec room = { got, sizeof got };
    for (int ignores = 0; ignores < 2; ignores++)
        for (int way = 0; way < 3; way++) {
            struct msghdr in = { .msg_iov = &room, .msg_iovlen = 1 };
            int flags = MSG_DONTWAIT | (way == 2 ? MSG_PEEK : 0);
            CHECK(ask(requests, LOSE, XFRMNLGRP_EXPIRE, 77) > 0 && ask(requests, NOTIFY, XFRMNLGRP_EXPIRE, 78) > 0);
            if (!ignores)
                CHECK((way ? recvmsg(events, &in, flags) : recvfrom(events, got, sizeof got, flags, NULL, NULL)) == -1 && errno == ENOBUFS);
            CHECK((way ? recvmsg(events, &in, flags) : recvfrom(events, got, sizeof got, flags, NULL, NULL)) == 20);
            CHECK(way != 2 || recv(events, got, sizeof got, MSG_DONTWAIT) == 20);
            CHECK(!has_input(events) && (way != 2 || setsockopt(events, SOL_NETLINK, NETLINK_NO_ENOBUFS, &yes, sizeof yes) == 0));
        }
}

static void duplicates_and_close(void)
{
    int watch = open_bound(0), before = (int)counter(watch, 2);
    int fd = open_bound(0), copies[5];
    CHECK((int)counter(watch, 2) == before + 1);
    copies[0] = dup(fd);
    copies[1] = dup2(fd, 200);
    copies[2] = dup3(fd, 201, O_CLOEXEC);
    copies[3] = fcntl(fd, F_DUPFD, 210);
    copies[4] = fcntl(fd, F_DUPFD_CLOEXEC, 220);
    uint32_t port = port_of(fd);
    CHECK(dup2(fd, fd) == fd && dup3(fd, fd, 0) == -1 && errno == EINVAL);
    close(fd);
    for (int i = 0; i < 5; i++) {
        CHECK(copies[i] >= 0 && port_of(copies[i]) == port);
        echo(copies[i], (uint32_t)i);
        if (i < 4)
            close(copies[i]);
    }
    CHECK((int)counter(watch, 2) == before + 1);
    int file = open("/dev/null", O_RDWR);
    CHECK(dup2(file, copies[4]) == copies[4]);          /* replaces the last one */
    CHECK((int)counter(watch, 2) == before);
    CHECK(write(copies[4], "x", 1) == 1);               /* the file's now */
    int again = open_bound(0);
    CHECK(dup2(again, watch) == watch && counter(watch, 2) == 1);
}

static void hidden_descriptors_are_ours(void)
{
    int fd = open_bound(0), numbers[8];
    CHECK(hidden(numbers, 8) == 2);
    for (int i = 0; i < 2; i++)
        CHECK(close(numbers[i]) == -1 && errno == EBADF && (fcntl(numbers[i], F_GETFD) & FD_CLOEXEC));
    int file = open("/dev/null", O_WRONLY);
    for (int i = 0; i < 2; i++) {
        CHECK(dup2(file, numbers[i]) == -1 && errno == EBUSY && dup3(fd, numbers[i], 0) == -1 && errno == EBUSY);
        echo(fd, (uint32_t)i);
    }
    CHECK(close_range(4 > fd ? 4 : (unsigned int)fd + 1, ~0U, 0) == 0);
    echo(fd, 3);
    close(fd);
    CHECK(hidden(numbers, 8) == 0);
    fd = open_bound(0);
    CHECK(close_range(3, ~0U, 0) == 0 && fcntl(fd, F_GETFD) == -1 && hidden(numbers, 8) == 0);
    fd = open_bound(0);
    CHECK(close_range(3, ~0U, (int)CLOSE_RANGE_CLOEXEC) == 0);
    echo(fd, 4);
    closefrom(3);
    CHECK(fcntl(fd, F_GETFD) == -1 && hidden(numbers, 8) == 0);
    fd = open_bound(0);
    for (int i = 3; i < 2000; i++)
        close(i);
    CHECK(hidden(numbers, 8) == 0);
}

static void forked_processes_share(void)
{
    enum { CHILDREN = 3, ROUNDS = 300 };
    int fd = open_bound(0);
    uint32_t before = counter(fd, 1);
    for (int i = 0; i < CHILDREN; i++)
        if (fork() == 0) {
            for (int n = 0; n < ROUNDS; n++)
                CHECK(ask(fd, QUIET, 0, (uint32_t)n) > 0);
            int own = open_bound(0);
            CHECK(port_of(own) != 0 && port_of(own) != port_of(fd));
            echo(own, 1);
            _exit(0);
        }
    for (int n = 0; n < ROUNDS; n++)
        CHECK(ask(fd, QUIET, 0, (uint32_t)n) > 0);
    for (int i = 0, status; i < CHILDREN; i++)
        CHECK(wait(&status) > 0 && status == 0);
    CHECK(counter(fd, 1) == before + (CHILDREN + 1) * ROUNDS + CHILDREN + 1);
    pid_t child = fork();
    if (child == 0) {               /* the parent closes first: the socket lives on here */
        usleep(20000);
        echo(fd, 9);
        _exit(0);
    }
    close(fd);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void child_dies_in_a_request(void)
{
    int fd = open_bound(0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                ask(fd, QUIET, 0, 1);
        usleep(1000 + (useconds_t)i * 137);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        echo(fd, (uint32_t)i);
    }
}

static void vfork_child_leaves_the_table_alone(void)
{
    int fd = open_bound(0), file = open("/dev/null", O_RDWR), status;
    pid_t child = vfork();
    if (child == 0) {
        close(fd);
        dup2(file, 0);
        dup2(file, fd);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    echo(fd, 1);
}

static void executed_program_inherits_what_was_asked(void)
{
    char keep[16], gone[16], script[300];
    int kept = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM), closed = open_bound(0), status, numbers[8];
    snprintf(keep, sizeof keep, "%d", kept);
    snprintf(gone, sizeof gone, "%d", closed);
    CHECK(hidden(numbers, 8) == 4);
    snprintf(script, sizeof script, "test -e /proc/self/fd/%s && ! test -e /proc/self/fd/%s && ! test -e /proc/self/fd/%d && ! test -e /proc/self/fd/%d && test -n \"$LD_PRELOAD\"",
             keep, gone, numbers[0], numbers[3]);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(9);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    echo(kept, 2);
}

static void *speak(void *argument)
{
    int shared = *(int *)argument;
    for (int i = 0; i < 40; i++) {
        int own = open_bound(0);
        echo(own, (uint32_t)i);
        CHECK(ask(shared, QUIET, 0, 1) > 0);
        int copy = dup(own);
        close(own);
        echo(copy, (uint32_t)i);
        close(copy);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t running[8];
    int shared = open_bound(0);
    uint32_t leases = counter(shared, 2);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&running[i], NULL, speak, &shared) == 0);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_join(running[i], NULL) == 0);
    CHECK(counter(shared, 2) == leases && hidden((int[8]){ 0 }, 8) == 2);
}

static int raced[1];

static void *race(void *argument)
{
    for (unsigned int i = 0, state = (unsigned int)(uintptr_t)argument; i < 2000; i++) {
        int number = (int)(state = state * 1103515245 + 12345) >> 16 & 3, other = 300 + ((number + 1) & 3);
        if (state & 0x8000)
            close(300 + number);
        else if (state & 0x4000)
            dup2(raced[0], 300 + number);
        else
            dup2(other, 300 + number);
        ask(300 + number, QUIET, 0, i);
    }
    return NULL;
}

/* Closing and replacing what others use: errors, but no socket is lost, and nobody's descriptor is closed. */
static void racing_threads(void)
{
    pthread_t running[4];
    raced[0] = open_bound(0);
    uint32_t leases = counter(raced[0], 2);
    struct stat before, after;
    CHECK(fstat(0, &before) == 0);
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&running[i], NULL, race, (void *)(i + 1)) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(running[i], NULL) == 0);
    for (int i = 300; i < 304; i++)
        close(i);
    echo(raced[0], 1);
    CHECK(counter(raced[0], 2) == leases && hidden((int[8]){ 0 }, 8) == 2);
    CHECK(fstat(0, &after) == 0 && after.st_ino == before.st_ino);
}

/* As a thread does that sends on a number just closed or being duplicated to: the library does not see it, and nobody waits for its DONE. */
static void requests_past_the_library(void)
{
    int fd = open_bound(0);
    for (uint32_t i = 1; i <= 2000; i++) {
        struct request quiet = make(QUIET, 0, 10000 + i);
        CHECK(syscall(SYS_sendto, fd, &quiet, sizeof quiet, 0, NULL, 0) == sizeof quiet);
        echo(fd, i);
    }
}

static void *wait_for_input(void *argument)
{
    char buffer[100];
    recvfrom(*(int *)argument, buffer, sizeof buffer, 0, NULL, NULL);
    return NULL;
}

static void *ask_for_ever(void *argument)
{
    for (;;)
        if (ask(*(int *)argument, QUIET, 0, 1) < 0)
            return argument;
}

static void cancelled_threads(void)
{
    int fd = open_bound(0), other = open_bound(0);
    for (int i = 0; i < 10; i++) {
        pthread_t receiver, sender;
        CHECK(pthread_create(&receiver, NULL, wait_for_input, &fd) == 0 && pthread_create(&sender, NULL, ask_for_ever, &other) == 0);
        usleep(2000);
        void *result;
        CHECK(pthread_cancel(receiver) == 0 && pthread_join(receiver, &result) == 0 && result == PTHREAD_CANCELED);
        CHECK(pthread_cancel(sender) == 0);
        pthread_testcancel();
        stop_server();                      /* ends a sender that met no cancellation point */
        CHECK(pthread_join(sender, &result) == 0);
        start_server();
        echo(fd, 1);
        echo(other, 2);
    }
    close(fd);
    close(other);
    CHECK(hidden((int[8]){ 0 }, 8) == 0);
}

static void data_plane_dies_and_returns(void)
{
    int events = open_bound(1 << (XFRMNLGRP_ACQUIRE - 1)), requests = open_bound(0), third = open_bound(0);
    for (int round = 0; round < 3; round++) {
        stop_server();
        CHECK(!has_input(events) && !has_input(requests));          /* no end-of-file to spin on */
        CHECK(recv(events, &(char[10]){ 0 }, 10, MSG_DONTWAIT) == -1 && errno == EAGAIN);
        CHECK(ask(requests, ECHO, 0, 1) == -1 && errno == ECONNREFUSED);
        CHECK(ask(requests, ECHO, 0, 2) == -1 && errno == ECONNREFUSED);
        CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM) == -1 && errno == EPROTONOSUPPORT);
        start_server();
        echo(requests, 3);
        CHECK(counter(requests, 0) == 3 && counter(requests, 1) == 3);     /* all three sockets; none of the lost requests */
        CHECK(ask(requests, NOTIFY, XFRMNLGRP_ACQUIRE, 9) > 0 && has_input(events));
        CHECK(recv(events, &(char[100]){ 0 }, 100, 0) == 20);
        echo(third, 4);
    }
}

static void data_plane_dies_in_a_request(void)
{
    int fd = open_bound(0);
    CHECK(ask(fd, DIE, 0, 1) == -1 && errno == ECONNREFUSED);
    CHECK(ask(fd, ECHO, 0, 1) == -1 && errno == ECONNREFUSED);
    waitpid(server, NULL, 0);
    start_server();
    echo(fd, 2);
    CHECK(counter(fd, 1) == 2);
}

static void *receive_rest(void *argument)
{
    _Alignas(8) char buffer[8192];
    ssize_t length;
    while ((length = recvfrom(*(int *)argument, buffer, sizeof buffer, 0, NULL, NULL)) > 0)
        ;
    return (void *)(intptr_t)(length < 0 ? errno : 0);
}

static void blocked_receiver_learns_of_the_end(void)
{
    int fd = open_bound(0);
    pthread_t receiver;
    void *result;
    CHECK(ask(fd, DUMP, 3, 1) > 0);
    CHECK(pthread_create(&receiver, NULL, receive_rest, &fd) == 0);
    usleep(20000);
    stop_server();
    CHECK(pthread_join(receiver, &result) == 0 && (intptr_t)result == ECONNREFUSED);
    start_server();
    echo(fd, 2);
}

static void subscriber_that_never_sends_comes_back(void)
{
    int events = open_bound(1);
    pthread_t receiver;
    CHECK(pthread_create(&receiver, NULL, wait_for_input, &events) == 0);
    usleep(20000);
    stop_server();
    usleep(20000);
    start_server();
    pid_t child = fork();
    if (child == 0) {               /* requests of another process, so that nothing but the receive itself attaches */
        close(events);
        for (int fd = open_bound(0);; usleep(20000))
            CHECK(ask(fd, NOTIFY, 1, 1) > 0);
    }
    CHECK(pthread_join(receiver, NULL) == 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void on_signal(int number)
{
    (void)number;
}

static void signal_interrupts_a_blocked_receive(void)
{
    int fd = open_bound(1);
    struct sigaction action = { .sa_handler = on_signal };
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        for (;; usleep(5000))
            kill(parent, SIGUSR1);
    CHECK(recvfrom(fd, &(char[10]){ 0 }, 10, 0, NULL, NULL) == -1 && errno == EINTR);
    for (uint32_t i = 0; i < 200; i++)
        echo(fd, i);                /* a request is not interrupted, as in the kernel */
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void forked_process_and_restart(void)
{
    int fd = open_bound(1), go[2], status;
    CHECK(pipe(go) == 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        CHECK(read(go[0], &c, 1) == 1);
        echo(fd, 1);            /* a pair of its own from here on */
        CHECK(ask(fd, NOTIFY, 1, 5) > 0 && recv(fd, &(char[100]){ 0 }, 100, MSG_DONTWAIT) == 20);
        _exit(0);
    }
    stop_server();
    start_server();
    echo(fd, 1);
    CHECK(write(go[1], "x", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(has_input(fd) && recv(fd, &(char[100]){ 0 }, 100, 0) == 20 && !has_input(fd));
}

static void bypass_becomes_a_mark(void)
{
    struct xfrm_userpolicy_info policy = { .action = XFRM_POLICY_ALLOW, .dir = XFRM_POLICY_OUT, .sel = { .family = AF_INET } };
    unsigned int mark = 0;
    socklen_t length = sizeof mark;
    int v4 = socket(AF_INET, SOCK_DGRAM, 0), v6 = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof policy) == 0);
    CHECK(getsockopt(v4, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark == 0x1234);
    CHECK(setsockopt(v6, IPPROTO_IPV6, IPV6_XFRM_POLICY, &policy, sizeof policy) == 0);
    CHECK(getsockopt(v6, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark == 0x1234);
    policy.dir = XFRM_POLICY_IN;
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof policy) == 0);
    policy.action = XFRM_POLICY_BLOCK;
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof policy) == -1 && errno == EOPNOTSUPP);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, 10) == -1 && errno == EINVAL);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, NULL, 0) == 0);
    CHECK(getsockopt(v4, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark == 0);
}

/* ---- IKE sockets ---- */

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
    CHECK(getsockname(fd, (struct sockaddr *)&name, &length) == 0 || length > 0);
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

static void change_association(int fd, uint16_t type, uint32_t spi)
{
    struct { struct nlmsghdr header; union { struct xfrm_usersa_info info; struct xfrm_usersa_id id; } body; } request = { .header = { .nlmsg_type = type } };
    request.header.nlmsg_len = type == XFRM_MSG_DELSA ? NLMSG_LENGTH(sizeof request.body.id) : sizeof request;
    if (type == XFRM_MSG_DELSA)
        request.body.id = (struct xfrm_usersa_id){ .daddr = { .a4 = 7 }, .spi = spi, .family = AF_INET, .proto = IPPROTO_ESP };
    else
        request.body.info = (struct xfrm_usersa_info){ .id = { .daddr = { .a4 = 7 }, .spi = spi, .proto = IPPROTO_ESP }, .family = AF_INET };
    CHECK(send(fd, &request, request.header.nlmsg_len, 0) == (ssize_t)request.header.nlmsg_len);
}

/* The SPI of the next EXPIRE. poll and recv are the C library's own: nothing here looks for a data plane that is back. */
static uint32_t expired(int fd)
{
    struct { struct nlmsghdr header; struct xfrm_usersa_id id; } expire;
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    CHECK(poll(&waiting, 1, 10000) == 1 && recv(fd, &expire, sizeof expire, MSG_DONTWAIT) == sizeof expire);
    CHECK(expire.header.nlmsg_type == XFRM_MSG_EXPIRE && expire.id.daddr.a4 == 7 && expire.id.family == AF_INET && expire.id.proto == IPPROTO_ESP);
    return expire.id.spi;
}

/* One that says nothing learns that its SAs are gone: of those that it has not removed itself. */
static void ike_daemon_learns_that_its_associations_are_gone(void)
{
    int events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1)), requests = open_bound(0);
    for (uint32_t spi = 1; spi <= 5; spi++)
        change_association(requests, spi % 2 ? XFRM_MSG_UPDSA : XFRM_MSG_NEWSA, spi);
    change_association(requests, XFRM_MSG_NEWSA, 1);
    change_association(requests, XFRM_MSG_DELSA, 2);
    for (int round = 0; round < 2; round++) {
        stop_server();
        start_server();
        CHECK(expired(events) == 1 && expired(events) == 3 && expired(events) == 4 && expired(events) == 5);
        echo(requests, 1);
        CHECK(!has_input(events));
    }
    for (uint32_t spi = 6; spi <= 3000; spi++)      /* more than are remembered */
        change_association(requests, XFRM_MSG_NEWSA, spi);
    change_association(requests, XFRM_MSG_FLUSHSA, 0);
    change_association(requests, XFRM_MSG_NEWSA, 9);
    stop_server();
    start_server();
    CHECK(expired(events) == 9);
    echo(requests, 2);
    CHECK(!has_input(events));
    close(requests);
    close(events);
    stop_server();
    start_server();
}

struct policy_request { struct nlmsghdr header; struct xfrm_userpolicy_info info; uint32_t attribute[2]; };

static void change_policy(int fd, uint16_t type, uint16_t port, uint32_t priority)
{
    struct policy_request request = {
        .header = { .nlmsg_len = sizeof request, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST },
        .info = { .sel = { .dport = port }, .priority = priority, .dir = XFRM_POLICY_OUT }, .attribute = { 8 | XFRMA_IF_ID << 16, 77 },
    };
    if (type == XFRM_MSG_DELPOLICY) {
        struct xfrm_userpolicy_id id = { .sel = request.info.sel, .dir = XFRM_POLICY_OUT };
        request.header.nlmsg_len = NLMSG_LENGTH(sizeof id);
        memcpy(NLMSG_DATA(&request.header), &id, sizeof id);
    } else if (type == XFRM_MSG_FLUSHPOLICY) {
        request.header.nlmsg_len = NLMSG_HDRLEN;
    }
    CHECK(send(fd, &request, request.header.nlmsg_len, 0) == (ssize_t)request.header.nlmsg_len);
}

/* True if the next policy that the data plane was given is this one, whole. */
static bool was_given(int fd, uint16_t port, uint32_t priority)
{
    struct policy_request given;
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    return poll(&waiting, 1, 10000) == 1 && recv(fd, &given, sizeof given, MSG_DONTWAIT) == sizeof given && given.header.nlmsg_type == XFRM_MSG_UPDPOLICY
        && given.info.sel.dport == port && given.info.priority == priority && given.info.dir == XFRM_POLICY_OUT && given.attribute[1] == 77;
}

/* One that has traps only, and says nothing, has them in the next data plane too: in their order, as it changed them last, without those that it has removed. */
static void ike_daemon_has_its_policies_in_the_next_data_plane(void)
{
    int events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1) | 1u << (XFRMNLGRP_POLICY - 1)), requests = open_bound(0);
    for (uint16_t port = 1; port <= 5; port++)
        change_policy(requests, XFRM_MSG_NEWPOLICY, port, port);
    change_policy(requests, XFRM_MSG_UPDPOLICY, 2, 20);
    change_policy(requests, XFRM_MSG_DELPOLICY, 3, 0);
    change_policy(requests, XFRM_MSG_DELPOLICY, 9, 0);
    for (int round = 0; round < 2; round++) {
        stop_server();
        start_server();
        CHECK(was_given(events, 1, 1) && was_given(events, 2, 20) && was_given(events, 4, 4) && was_given(events, 5, 5));
        echo(requests, 1);
        CHECK(!has_input(events));
    }
    for (uint16_t port = 6; port <= 3000; port++)      /* more than are remembered */
        change_policy(requests, XFRM_MSG_NEWPOLICY, port, port);
    change_policy(requests, XFRM_MSG_FLUSHPOLICY, 0, 0);
    change_policy(requests, XFRM_MSG_NEWPOLICY, 9, 9);
    stop_server();
    start_server();
    CHECK(was_given(events, 9, 9));
    echo(requests, 2);
    CHECK(!has_input(events));
    close(requests);
    close(events);
    stop_server();
    start_server();
}

#define TEST(name) { #name, name }
static const struct { const char *name; void (*run)(void); } tests[] = {
    TEST(absent_data_plane), TEST(wrong_type), TEST(names_and_ports), TEST(every_way_to_send_and_receive), TEST(several_messages_in_one_request),
    TEST(options), TEST(dump_larger_than_any_queue), TEST(notifications), TEST(lost_notifications), TEST(duplicates_and_close), TEST(hidden_descriptors_are_ours),
    TEST(forked_processes_share), TEST(child_dies_in_a_request), TEST(vfork_child_leaves_the_table_alone),
    TEST(executed_program_inherits_what_was_asked), TEST(threads), TEST(racing_threads), TEST(requests_past_the_library), TEST(cancelled_threads),
    TEST(data_plane_dies_and_returns), TEST(data_plane_dies_in_a_request), TEST(blocked_receiver_learns_of_the_end), TEST(subscriber_that_never_sends_comes_back),
    TEST(signal_interrupts_a_blocked_receive), TEST(forked_process_and_restart), TEST(bypass_becomes_a_mark),
    TEST(encapsulation_goes_to_the_data_plane), TEST(encapsulation_leaves_the_socket_ordinary), TEST(encapsulation_of_both_families),
    TEST(encapsulation_survives_the_data_plane), TEST(closed_sockets_make_room_for_others), TEST(bind_beside_the_data_plane),
    TEST(encapsulation_without_xfrm_socket_is_the_kernels), TEST(ike_daemon_learns_that_its_associations_are_gone),
    TEST(ike_daemon_has_its_policies_in_the_next_data_plane),
};

int main(int count, char **arguments)
{
    const char *wanted = count > 1 ? arguments[1] : "list";
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (strcmp(wanted, "list") == 0)
            puts(tests[i].name);
        if (strcmp(wanted, tests[i].name) != 0)
            continue;
        snprintf(path, sizeof path, "@esp%d-preload", (int)getpid());
        setenv("ESPALIER_CONTROL", path, 1);
        setenv("ESPALIER_MARK", "0x1234", 1);
        alarm(30);
        start_server();
        tests[i].run();
        stop_server();
        printf("passed %s\n", wanted);
        return 0;
    }
    return strcmp(wanted, "list") == 0 ? 0 : 2;
}
