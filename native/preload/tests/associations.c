/* What is remembered of SAs: not those that were refused, nor those removed in whichever way; those that were migrated at their new address. */
#include "harness.h"
#include <poll.h>
#include <string.h>
#include <netinet/in.h>
#include <linux/xfrm.h>

enum { HERE = 7, ELSEWHERE = 9 };

static const struct { struct nlattr header; struct xfrm_user_migrate migrate; } move = {
    { NLA_HDRLEN + sizeof move.migrate, XFRMA_MIGRATE },
    { .old_daddr = { .a4 = HERE }, .new_daddr = { .a4 = MIGRATED }, .proto = IPPROTO_ESP, .old_family = AF_INET, .new_family = AF_INET },
};

/* Sends a message of this type and body; takes an error. Returns its errno. */
static int request(int fd, uint16_t type, const void *body, size_t length)
{
    struct { struct nlmsghdr header; char body[500]; } message = { .header = { NLMSG_LENGTH((uint32_t)length), type, NLM_F_REQUEST, 1, 0 } };
    struct { struct nlmsghdr header; struct nlmsgerr error; } answer = { .error = { .error = 0 } };
    memcpy(message.body, body, length);
    CHECK(send(fd, &message, message.header.nlmsg_len, 0) == (ssize_t)message.header.nlmsg_len);
    CHECK(recv(fd, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer || errno == EAGAIN);
    return -answer.error.error;
}

static struct xfrm_usersa_info association(uint32_t address, uint32_t spi, uint8_t protocol)
{
    return (struct xfrm_usersa_info){ .id = { .daddr = { .a4 = address }, .spi = spi, .proto = protocol }, .family = AF_INET };
}

static int install(int fd, uint32_t address, uint32_t spi, uint8_t protocol)
{
    struct xfrm_usersa_info info = association(address, spi, protocol);
    return request(fd, XFRM_MSG_NEWSA, &info, sizeof info);
}

/* The next EXPIRE is of this SA. */
static bool is_expired(int fd, uint32_t address, uint32_t spi)
{
    struct { struct nlmsghdr header; struct xfrm_usersa_id id; } expire;
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    return poll(&waiting, 1, 10000) == 1 && recv(fd, &expire, sizeof expire, MSG_DONTWAIT) == sizeof expire && expire.header.nlmsg_type == XFRM_MSG_EXPIRE
        && expire.id.daddr.a4 == address && expire.id.spi == spi;
}

static void associations_refused_or_removed_are_not_asked_for(void)
{
    int events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1)), requests = open_bound(0);
    struct xfrm_usersa_info first = association(HERE, 1, IPPROTO_ESP);
    struct xfrm_user_expire expire = { .state = first, .hard = 0 };
    struct xfrm_usersa_flush flush = { IPPROTO_AH };
    CHECK(request(requests, XFRM_MSG_UPDSA, &first, sizeof first) == 0 && install(requests, HERE, REFUSED, IPPROTO_ESP) == EEXIST);
    CHECK(install(requests, HERE, 2, IPPROTO_ESP) == 0 && install(requests, HERE, 3, IPPROTO_AH) == 0);
    CHECK(request(requests, XFRM_MSG_EXPIRE, &expire, sizeof expire) == 0 && request(requests, XFRM_MSG_FLUSHSA, &flush, sizeof flush) == 0);
    stop_server();
    start_server();
    CHECK(is_expired(events, HERE, 1) && is_expired(events, HERE, 2));
    echo(requests, 1);
    expire.hard = 1;
    CHECK(!has_input(events) && request(requests, XFRM_MSG_EXPIRE, &expire, sizeof expire) == 0 && install(requests, HERE, 4, IPPROTO_ESP) == 0);
    stop_server();
    struct xfrm_usersa_id last = { .daddr = { .a4 = HERE }, .spi = 4, .family = AF_INET, .proto = IPPROTO_ESP };
    struct { struct nlmsghdr header; struct xfrm_usersa_id id; } late = { { sizeof late, XFRM_MSG_DELSA, NLM_F_REQUEST, 1, 0 }, last };
    CHECK(send(requests, &late, sizeof late, 0) == -1 && errno == ECONNREFUSED);        /* the daemon gives it up all the same */
    start_server();
    CHECK(is_expired(events, HERE, 2));
    echo(requests, 1);
    CHECK(!has_input(events));
}

static void what_was_migrated_is_remembered_there(void)
{
    int events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1)), policies = open_bound(1u << (XFRMNLGRP_POLICY - 1)), requests = open_bound(0);
    struct xfrm_userpolicy_info policy = { .sel = { .daddr = { .a4 = 5 } }, .priority = 1, .dir = XFRM_POLICY_OUT }, other = { .sel = { .daddr = { .a4 = 6 } }, .priority = 2 };
    struct { struct nlmsghdr header; struct xfrm_userpolicy_info info; } given;
    struct { struct xfrm_userpolicy_id id; char move[sizeof move]; } migrate = { .id = { .sel = policy.sel, .dir = policy.dir } };
    memcpy(migrate.move, &move, sizeof move);
    CHECK(request(requests, XFRM_MSG_NEWPOLICY, &policy, sizeof policy) == 0 && request(requests, XFRM_MSG_NEWPOLICY, &other, sizeof other) == 0);
    CHECK(install(requests, HERE, 1, IPPROTO_ESP) == 0 && install(requests, HERE, 2, IPPROTO_ESP) == 0 && install(requests, ELSEWHERE, 1, IPPROTO_ESP) == 0);
    CHECK(request(requests, XFRM_MSG_MIGRATE, &migrate, sizeof migrate) == 0);
    CHECK(is_expired(events, MIGRATED, 2));         /* it was asked for there, but has not moved */
    stop_server();
    start_server();
    CHECK(is_expired(events, MIGRATED, 1) && is_expired(events, HERE, 2) && is_expired(events, ELSEWHERE, 1));
    echo(requests, 1);
    CHECK(!has_input(events));
    CHECK(recv(policies, &given, sizeof given, 0) == sizeof given && given.info.sel.daddr.a4 == 5 && given.info.priority == MIGRATED);
    CHECK(recv(policies, &given, sizeof given, 0) == sizeof given && given.info.sel.daddr.a4 == 6 && given.info.priority == 2);
}

const struct test association_tests[] = {
    TEST(associations_refused_or_removed_are_not_asked_for), TEST(what_was_migrated_is_remembered_there), { 0 },
};
