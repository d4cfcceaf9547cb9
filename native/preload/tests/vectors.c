/* Several parts, or several messages, in one call: readv, writev, recvmmsg, sendmmsg. */
#include "harness.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <sys/uio.h>
#include <linux/xfrm.h>

enum { SEVERAL = 3 };

struct batch { struct request requests[SEVERAL + 2]; struct iovec parts[SEVERAL + 2]; struct sockaddr_nl names[SEVERAL + 2]; struct mmsghdr messages[SEVERAL + 2]; };

static struct batch *prepare(struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    for (uint32_t i = 0; i < SEVERAL + 2; i++) {
        batch->requests[i] = make(ECHO, 7, 100 + i);
        batch->names[i] = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
        batch->parts[i] = (struct iovec){ &batch->requests[i], sizeof batch->requests[i] };
        batch->messages[i].msg_hdr = (struct msghdr){ .msg_name = &batch->names[i], .msg_namelen = sizeof batch->names[i], .msg_iov = &batch->parts[i], .msg_iovlen = 1 };
    }
    return batch;
}

static void parts_of_a_message(void)
{
    int fd = open_bound(0);
    struct request r = make(ECHO, 7, 5);
    struct nlmsghdr header;
    uint32_t payload[2];
    struct iovec out[3] = { { &r, sizeof r.header }, { NULL, 0 }, { &r.count, 8 } }, in[2] = { { &header, sizeof header }, { payload, sizeof payload } };
    CHECK(writev(fd, out, 3) == sizeof r);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);         /* the answer is there */
    CHECK(readv(fd, in, 2) == sizeof r && header.nlmsg_pid == port_of(fd) && payload[1] == 5);
    CHECK(readv(fd, in, 2) == -1 && errno == EAGAIN);
    volatile int too_few = -1, too_many = 1025;         /* the compiler would refuse them */
    CHECK(writev(fd, out, too_few) == -1 && errno == EINVAL && readv(fd, in, too_many) == -1 && errno == EINVAL);
    CHECK(writev(fd, out, 0) == 0 && writev(fd, &out[1], 1) == 0 && readv(fd, &out[1], 1) == 0 && !has_input(fd));
    int ends[2];
    CHECK(pipe(ends) == 0 && writev(ends[1], out, 3) == sizeof r && readv(ends[0], in, 2) == sizeof r && payload[1] == 5);
}

static void several_at_once(void)
{
    int fd = open_bound(0);
    struct batch out, in;
    CHECK(sendmmsg(fd, prepare(&out)->messages, SEVERAL, 0) == SEVERAL && out.messages[SEVERAL - 1].msg_len == sizeof out.requests[0]);
    memset(prepare(&in)->names, 0xff, sizeof in.names);
    CHECK(recvmmsg(fd, in.messages, SEVERAL + 2, MSG_DONTWAIT, NULL) == SEVERAL);
    for (uint32_t i = 0; i < SEVERAL; i++) {
        CHECK(in.messages[i].msg_len == sizeof in.requests[i] && in.requests[i].number == 100 + i && in.requests[i].header.nlmsg_pid == port_of(fd));
        CHECK(in.messages[i].msg_hdr.msg_namelen == sizeof in.names[i] && in.names[i].nl_family == AF_NETLINK && in.names[i].nl_pid == 0);
    }
    CHECK(recvmmsg(fd, in.messages, SEVERAL, MSG_DONTWAIT, NULL) == -1 && errno == EAGAIN);

    out.names[1].nl_pid = 99;       /* nobody is there: what stands before it is sent */
    CHECK(sendmmsg(fd, out.messages, SEVERAL, 0) == 1);
    CHECK(sendmmsg(fd, &out.messages[1], SEVERAL - 1, 0) == -1 && errno == ECONNREFUSED);
    CHECK(recvmmsg(fd, prepare(&in)->messages, SEVERAL, MSG_WAITFORONE, NULL) == 1 && in.requests[0].number == 100);

    struct timespec none = { 0 }, wrong = { .tv_nsec = 1000000000 }, much = { .tv_sec = 1000 };
    CHECK(sendmmsg(fd, prepare(&out)->messages, SEVERAL, 0) == SEVERAL);
    CHECK(recvmmsg(fd, prepare(&in)->messages, SEVERAL, 0, &wrong) == -1 && errno == EINVAL);
    CHECK(recvmmsg(fd, prepare(&in)->messages, SEVERAL, 0, &none) == 1);
    CHECK(recvmmsg(fd, prepare(&in)->messages, SEVERAL - 1, 0, &much) == SEVERAL - 1 && much.tv_sec < 1000 && much.tv_sec > 900);
}

/* Where notifications were lost behind what recvmmsg has taken, the next receive says so. */
static void loss_among_several(void)
{
    int events = open_bound(1 << (XFRMNLGRP_EXPIRE - 1)), requests = open_bound(0);
    struct batch in;
    for (int ignores = 0; ignores < 2; ignores++) {
        CHECK(setsockopt(events, SOL_NETLINK, NETLINK_NO_ENOBUFS, &ignores, sizeof ignores) == 0);
        CHECK(ask(requests, NOTIFY, XFRMNLGRP_EXPIRE, 1) > 0 && ask(requests, LOSE, XFRMNLGRP_EXPIRE, 0) > 0 && ask(requests, NOTIFY, XFRMNLGRP_EXPIRE, 2) > 0);
        CHECK(recvmmsg(events, prepare(&in)->messages, SEVERAL, MSG_DONTWAIT, NULL) == (ignores ? 2 : 1) && in.messages[0].msg_len == 20);
        CHECK(ignores || (recvmmsg(events, prepare(&in)->messages, SEVERAL, MSG_DONTWAIT, NULL) == -1 && errno == ENOBUFS));
        CHECK(ignores || recvmmsg(events, prepare(&in)->messages, SEVERAL, MSG_DONTWAIT, NULL) == 1);
        CHECK(!has_input(events));
    }
}

static void *stop_soon(void *argument)
{
    (void)argument;
    struct timespec soon = { .tv_nsec = 100000000 };
    nanosleep(&soon, NULL);
    kill(server, SIGKILL);
    return NULL;
}

static void end_of_the_data_plane(void)
{
    int fd = open_bound(0);
    struct batch in;
    pthread_t stopping;
    CHECK(ask(fd, QUIET, 0, 1) > 0 && pthread_create(&stopping, NULL, stop_soon, NULL) == 0);
    CHECK(recvmmsg(fd, prepare(&in)->messages, SEVERAL, 0, NULL) == -1 && errno == ECONNREFUSED);
    CHECK(readv(fd, in.parts, 1) == -1 && errno == ECONNREFUSED);
    CHECK(pthread_join(stopping, NULL) == 0);
    CHECK(writev(fd, in.parts, 1) == -1 && errno == ECONNREFUSED);
}

const struct test vector_tests[] = {
    TEST(parts_of_a_message), TEST(several_at_once), TEST(loss_among_several), TEST(end_of_the_data_plane), { 0 },
};
