/* What is remembered of an IKE daemon, which may say nothing for long: its SAs and policies. */
#include "harness.h"
#include <poll.h>
#include <string.h>
#include <netinet/in.h>
#include <linux/xfrm.h>

static void change_association(int fd, uint16_t type, uint32_t spi)
{
    struct { struct nlmsghdr header; union { struct xfrm_usersa_info info; struct xfrm_usersa_id id; } body; } request = { .header = { .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST } };
    request.header.nlmsg_len = type == XFRM_MSG_DELSA ? NLMSG_LENGTH(sizeof request.body.id) : sizeof request;
    if (type == XFRM_MSG_DELSA)
        request.body.id = (struct xfrm_usersa_id){ .daddr = { .a4 = 7 }, .spi = spi, .family = AF_INET, .proto = IPPROTO_ESP };
    else
        request.body.info = (struct xfrm_usersa_info){ .id = { .daddr = { .a4 = 7 }, .spi = spi, .proto = IPPROTO_ESP }, .family = AF_INET };
    CHECK(send(fd, &request, request.header.nlmsg_len, 0) == (ssize_t)request.header.nlmsg_len);
}

/* The SPI of the next EXPIRE. Nothing here waits inside the library, which would look for a data plane that is back. */
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
        request.header.nlmsg_len = NLMSG_LENGTH(sizeof id + sizeof request.attribute);
        memcpy(NLMSG_DATA(&request.header), &id, sizeof id);
        memcpy((char *)NLMSG_DATA(&request.header) + sizeof id, &(uint32_t[2]){ 8 | XFRMA_IF_ID << 16, 77 }, sizeof request.attribute);
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

const struct test ike_daemon_tests[] = {
    TEST(ike_daemon_learns_that_its_associations_are_gone), TEST(ike_daemon_has_its_policies_in_the_next_data_plane), { 0 },
};
