/* One XFRM socket: names, options, every way to send and receive, dumps, notifications. */
#include "harness.h"
#include <string.h>
#include <linux/xfrm.h>

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

static ssize_t receive(int fd, int way)
{
    static char got[100];
    struct iovec room = { got, sizeof got };
    struct msghdr in = { .msg_iov = &room, .msg_iovlen = 1 };
    return way == 0 ? recvfrom(fd, got, sizeof got, MSG_DONTWAIT, NULL, NULL) : way == 1 ? recvmsg(fd, &in, MSG_DONTWAIT)
         : way == 2 ? recv(fd, got, sizeof got, MSG_DONTWAIT) : way == 3 ? read(fd, got, sizeof got) : recvmsg(fd, &in, MSG_DONTWAIT | MSG_PEEK);
}

static void lost_notifications(void)
{
    int events = open_bound(1 << (XFRMNLGRP_EXPIRE - 1)), requests = open_bound(0);
    for (int ignores = 0; ignores < 2; ignores++) {
        CHECK(setsockopt(events, SOL_NETLINK, NETLINK_NO_ENOBUFS, &ignores, sizeof ignores) == 0);
        for (int way = 0; way < 5; way++) {
            CHECK(ask(requests, LOSE, XFRMNLGRP_EXPIRE, 77) > 0 && ask(requests, NOTIFY, XFRMNLGRP_EXPIRE, 78) > 0);
            CHECK(ignores || (receive(events, way) == -1 && errno == ENOBUFS));
            CHECK(receive(events, way) == 20 && (way != 4 || receive(events, 0) == 20) && !has_input(events));
        }
    }
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    CHECK(getsockopt(fd, level, name, &value, &length) == 0 && length == sizeof value);
    return value;
}

static void what_it_says_of_itself(void)
{
    int raw = open_bound(0), datagram = socket(AF_NETLINK, SOCK_DGRAM | SOCK_NONBLOCK, NETLINK_XFRM), one = 1, group = XFRMNLGRP_MAPPING;
    CHECK(option(raw, SOL_SOCKET, SO_DOMAIN) == AF_NETLINK && option(raw, SOL_SOCKET, SO_PROTOCOL) == NETLINK_XFRM);
    CHECK(option(raw, SOL_SOCKET, SO_TYPE) == SOCK_RAW && option(datagram, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM && option(raw, SOL_SOCKET, SO_ERROR) == 0);
    CHECK(option(raw, SOL_NETLINK, NETLINK_EXT_ACK) == 0 && setsockopt(raw, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one) == 0);
    CHECK(option(raw, SOL_NETLINK, NETLINK_EXT_ACK) == 1 && option(datagram, SOL_NETLINK, NETLINK_EXT_ACK) == 0);
    CHECK(setsockopt(raw, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
    CHECK(option(raw, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS) == 1 << (group - 1));
    socklen_t length = 0;
    CHECK(getsockopt(raw, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, NULL, &length) == 0 && length == 4);
    CHECK(getsockopt(raw, SOL_NETLINK, 77, &one, &length) == -1 && errno == ENOPROTOOPT);
    CHECK(setsockopt(raw, SOL_NETLINK, NETLINK_EXT_ACK, NULL, sizeof one) == -1 && errno == EFAULT);
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK }, other = { .nl_family = AF_NETLINK, .nl_pid = 77 }, peer;
    CHECK(port_of(datagram) == 0 && connect(datagram, (struct sockaddr *)&kernel, sizeof kernel) == 0 && port_of(datagram) != 0);
    CHECK(connect(datagram, (struct sockaddr *)&other, sizeof other) == -1 && errno == ECONNREFUSED);
    other = (struct sockaddr_nl){ .nl_family = AF_INET };
    CHECK(connect(datagram, (struct sockaddr *)&other, sizeof other) == -1 && errno == EINVAL);
    CHECK(connect(datagram, (struct sockaddr *)&kernel, 4) == -1 && errno == EINVAL);
    length = sizeof peer;
    CHECK(getpeername(datagram, (struct sockaddr *)&peer, &length) == 0 && length == sizeof peer && memcmp(&peer, &kernel, sizeof peer) == 0);
    int ordinary = socket(AF_INET, SOCK_DGRAM, 0);
    length = sizeof peer;
    CHECK(option(ordinary, SOL_SOCKET, SO_DOMAIN) == AF_INET && getpeername(ordinary, (struct sockaddr *)&peer, &length) == -1 && errno == ENOTCONN);
}

const struct test socket_tests[] = {
    TEST(absent_data_plane), TEST(wrong_type), TEST(names_and_ports), TEST(every_way_to_send_and_receive), TEST(several_messages_in_one_request),
    TEST(options), TEST(dump_larger_than_any_queue), TEST(notifications), TEST(lost_notifications), TEST(what_it_says_of_itself), { 0 },
};
