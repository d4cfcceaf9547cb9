/*
 * Tests of libespalier-xfrm.so: programs that use XFRM sockets in every way its contract names, against a small data plane of their own.
 *
 *     LD_PRELOAD=…/libespalier-xfrm.so preload-tests NAME      0 = passed; `preload-tests list` prints the names
 *
 * The data plane (`serve`) is a forked process that speaks the control protocol and answers these requests:
 *   ECHO   the request's payload back        DUMP   `count` parts of 4,000 bytes, then NLMSG_DONE      QUIET  nothing
 *   COUNT  attachments, requests, leases     NOTIFY a datagram to every subscriber of group `count`    DIE    ends without an answer
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
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <netinet/in.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

enum { ATTACH = 0xE500, DONE = 0xE501, GROUPS = 0xE502 };
enum { ECHO = 200, DUMP, QUIET, COUNT, NOTIFY, DIE };
enum { MAX_CLIENTS = 64, PART = 4000 };

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

struct request { struct nlmsghdr header; uint32_t count, number; };

static char path[100];
static pid_t server;

/* ---- The data plane ---- */

struct client { int lease, end; uint32_t groups, parts, seq, pid; };

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

static void control(struct client *c, const struct nlmsghdr *request, int passed)
{
    struct nlmsgerr error = { .error = 0, .msg = *request };
    if (request->nlmsg_type == ATTACH && passed >= 0) {
        c->end = passed;
        counted.attached++;
    } else if (request->nlmsg_type == GROUPS) {
        memcpy(&c->groups, NLMSG_DATA(request), sizeof c->groups);
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
        for (int i = 0; i < MAX_CLIENTS; i++)
            if (clients[i].end >= 0 && clients[i].groups & 1u << (request->count - 1))
                reply(clients[i].end, NOTIFY, 0, 0, 0, &request->number, 4);
        break;
    case DIE:
        _exit(0);
    default:
        break;
    }
    reply(c->lease, DONE, 0, request->header.nlmsg_seq, 0, &quiet, 4);
}

static void read_lease(struct client *c)
{
    _Alignas(8) char buffer[256], space[CMSG_SPACE(sizeof(int))];
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
    control(c, (const struct nlmsghdr *)buffer, passed);
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
                read_lease(&clients[i]);
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
    int fourth = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
    CHECK(bind(fourth, (struct sockaddr *)&name, sizeof name) == -1 && errno == EADDRINUSE);
    CHECK(bind(fourth, (struct sockaddr *)&name, 4) == -1 && errno == EINVAL);
    CHECK(ask(fourth, QUIET, 0, 1) > 0 && (int32_t)port_of(fourth) < 0);
    int value;
    socklen_t length = sizeof value;
    CHECK(getsockopt(first, SOL_SOCKET, SO_PROTOCOL, &value, &length) == 0 && value == NETLINK_XFRM);
    CHECK(getsockopt(first, SOL_SOCKET, SO_DOMAIN, &value, &length) == 0 && value == AF_NETLINK);
    CHECK(getsockopt(third, SOL_SOCKET, SO_TYPE, &value, &length) == 0 && value == SOCK_DGRAM);
    length = sizeof name;
    CHECK(getpeername(first, (struct sockaddr *)&name, &length) == 0 && name.nl_family == AF_NETLINK && name.nl_pid == 0);
}

static void every_way_to_send_and_receive(void)
{
    int fd = open_bound(0);
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK }, from;
    struct request r = make(ECHO, 7, 0), answer;
    struct iovec halves[2] = { { &r, sizeof r.header }, { &r.count, 8 } }, into = { &answer, sizeof answer };
    struct msghdr out = { .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = halves, .msg_iovlen = 2 };
    struct msghdr in = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &into, .msg_iovlen = 1 };
    for (int way = 0; way < 6; way++) {
        struct mmsghdr both[2] = { { .msg_hdr = out }, { .msg_hdr = out } };
        ssize_t sent = way == 0 ? send(fd, &r, sizeof r, 0) : way == 1 ? sendto(fd, &r, sizeof r, 0, (struct sockaddr *)&kernel, sizeof kernel)
                     : way == 2 ? sendmsg(fd, &out, 0) : way == 3 ? write(fd, &r, sizeof r) : way == 4 ? writev(fd, halves, 2)
                     : sendmmsg(fd, both, 2, 0) == 2 ? (ssize_t)both[1].msg_len : -1;
        CHECK(sent == sizeof r);
        for (int answers = way == 5 ? 2 : 1; answers > 0; answers--) {
            memset(&from, 0xff, sizeof from);
            in.msg_namelen = sizeof from;
            CHECK(recvmsg(fd, &in, MSG_PEEK | MSG_TRUNC) == sizeof answer);
            CHECK(in.msg_namelen == sizeof from && from.nl_family == AF_NETLINK && from.nl_pid == 0 && from.nl_groups == 0);
            memset(&from, 0xff, sizeof from);
            socklen_t length = sizeof from;
            ssize_t got = way == 0 ? recv(fd, &answer, sizeof answer, 0) : way == 1 ? recvfrom(fd, &answer, sizeof answer, 0, (struct sockaddr *)&from, &length)
                        : way == 2 ? read(fd, &answer, sizeof answer) : way == 3 ? readv(fd, &into, 1) : recvmsg(fd, &in, 0);
            CHECK(got == sizeof answer && answer.number == r.number && answer.header.nlmsg_pid == port_of(fd));
            CHECK(way != 1 || (length == sizeof from && from.nl_pid == 0 && from.nl_family == AF_NETLINK));
        }
        CHECK(!has_input(fd));
    }
    struct mmsghdr many[3] = { { .msg_hdr = in }, { .msg_hdr = in }, { .msg_hdr = in } };
    CHECK(ask(fd, ECHO, 1, 1) > 0 && ask(fd, ECHO, 1, 2) > 0);
    CHECK(recvmmsg(fd, many, 3, MSG_DONTWAIT, NULL) == 2 && many[1].msg_hdr.msg_namelen == sizeof from);
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
}

static void options(void)
{
    int fd = open_bound(0), one = 1, value = 0, group = XFRMNLGRP_MAPPING, size = 500000;
    socklen_t length = sizeof value;
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one) == 0);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one) == 0);
    CHECK(getsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &value, &length) == 0 && value == 1);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, &one, sizeof one) == -1 && errno == ENOPROTOOPT);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, 1) == -1 && errno == EINVAL);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
    CHECK(getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, &value, &length) == 0 && value == 1 << (group - 1));
    CHECK(ask(fd, NOTIFY, (uint32_t)group, 1) > 0 && has_input(fd));
    CHECK(recv(fd, &(char[100]){ 0 }, 100, 0) == 20);
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &group, sizeof group) == 0);
    CHECK(ask(fd, NOTIFY, (uint32_t)group, 1) > 0 && !has_input(fd));
    group = 33;
    CHECK(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == -1 && errno == EINVAL);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &length) == 0 && value > 200000);
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
    for (int i = 1; i >= 0; i--) {
        int file = open("/dev/null", O_WRONLY);
        CHECK(dup2(file, numbers[i]) == numbers[i] && write(numbers[i], "x", 1) == 1);
        echo(fd, (uint32_t)i);
    }
    CHECK(close(numbers[0]) == 0 && close(numbers[1]) == 0);
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
            CHECK(port_of(own) == (uint32_t)getpid());
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

static void *wait_for_input(void *argument)
{
    char buffer[100];
    recv(*(int *)argument, buffer, sizeof buffer, 0);
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
    while ((length = recv(*(int *)argument, buffer, sizeof buffer, 0)) > 0)
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
    CHECK(recv(fd, &(char[10]){ 0 }, 10, 0) == -1 && errno == EINTR);
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
        echo(fd, 1);            /* a pair of its own from here on: the parent lives */
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

#define TEST(name) { #name, name }
static const struct { const char *name; void (*run)(void); } tests[] = {
    TEST(absent_data_plane), TEST(wrong_type), TEST(names_and_ports), TEST(every_way_to_send_and_receive), TEST(several_messages_in_one_request),
    TEST(options), TEST(dump_larger_than_any_queue), TEST(notifications), TEST(duplicates_and_close), TEST(hidden_descriptors_are_ours),
    TEST(forked_processes_share), TEST(child_dies_in_a_request), TEST(vfork_child_leaves_the_table_alone),
    TEST(executed_program_inherits_what_was_asked), TEST(threads), TEST(cancelled_threads), TEST(data_plane_dies_and_returns),
    TEST(data_plane_dies_in_a_request), TEST(blocked_receiver_learns_of_the_end), TEST(subscriber_that_never_sends_comes_back),
    TEST(signal_interrupts_a_blocked_receive), TEST(forked_process_and_restart), TEST(bypass_becomes_a_mark),
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
