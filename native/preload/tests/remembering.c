/* What is remembered of policies and SAs, and what is not: what was refused, what was removed in whichever way. */
#include "harness.h"
#include <poll.h>
#include <string.h>
#include <netinet/in.h>
#include <linux/xfrm.h>

enum { LOOKUPS = 3 };        /* of counter */

struct attributes { struct nlattr type_header; struct xfrm_userpolicy_type type; uint16_t zero; struct nlattr mark_header; struct xfrm_mark mark; struct nlattr if_id_header; uint32_t if_id; };
struct policy { struct nlmsghdr header; union { struct { struct xfrm_userpolicy_info info; struct attributes attributes; } body;
                                                struct { struct xfrm_userpolicy_id id; struct attributes attributes; } removal;
                                                struct { struct xfrm_user_polexpire expire; struct attributes attributes; } expiry; }; };

static struct attributes attributes_of(uint8_t type, uint32_t mark, uint32_t mask, uint32_t if_id)
{
    return (struct attributes){
        { NLA_HDRLEN + sizeof(struct xfrm_userpolicy_type), XFRMA_POLICY_TYPE }, { .type = type }, 0,
        { NLA_HDRLEN + sizeof(struct xfrm_mark), XFRMA_MARK }, { mark, mask }, { NLA_HDRLEN + sizeof if_id, XFRMA_IF_ID }, if_id,
    };
}

static struct policy policy(uint16_t port, uint32_t priority, struct attributes attributes)
{
    return (struct policy){
        .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct xfrm_userpolicy_info) + sizeof attributes), .nlmsg_type = XFRM_MSG_NEWPOLICY, .nlmsg_flags = NLM_F_REQUEST },
        .body = { { .sel = { .dport = port }, .priority = priority, .dir = XFRM_POLICY_OUT }, attributes },
    };
}

static struct policy plain(uint16_t port, uint32_t priority)
{
    return policy(port, priority, attributes_of(0, 0, 0, 0));
}

static struct policy removal(uint16_t port, uint32_t index, struct attributes attributes)
{
    return (struct policy){
        .header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct xfrm_userpolicy_id) + sizeof attributes), .nlmsg_type = XFRM_MSG_DELPOLICY, .nlmsg_flags = NLM_F_REQUEST },
        .removal = { { .sel = { .dport = port }, .index = index, .dir = XFRM_POLICY_OUT }, attributes },
    };
}

/* Sends a message and takes its acknowledgement: with NLM_F_ACK always, else an error only. Returns the errno. */
static int send_message(int fd, const struct nlmsghdr *message)
{
    struct { struct nlmsghdr header; struct nlmsgerr error; } answer = { .error = { .error = 0 } };
    CHECK(send(fd, message, message->nlmsg_len, 0) == (ssize_t)message->nlmsg_len);
    CHECK(recv(fd, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer || (errno == EAGAIN && !(message->nlmsg_flags & NLM_F_ACK)));
    return -answer.error.error;
}

static int change(int fd, struct policy request)
{
    return send_message(fd, &request.header);
}

/* The data plane that has just come is given these policies, whole, and nothing else. */
static void check_given(int events, int requests, const struct policy expected[], int count)
{
    for (int i = 0; i < count; i++) {
        struct policy given;
        struct pollfd waiting = { .fd = events, .events = POLLIN };
        CHECK(poll(&waiting, 1, 10000) == 1 && recv(events, &given, sizeof given, MSG_DONTWAIT) == expected[i].header.nlmsg_len);
        CHECK(given.header.nlmsg_type == XFRM_MSG_UPDPOLICY && memcmp(&given.body, &expected[i].body, sizeof given.body) == 0);
    }
    echo(requests, 1);
    CHECK(!has_input(events));
}

static void check_next(int events, int requests, const struct policy expected[], int count)
{
    stop_server();
    start_server();
    check_given(events, requests, expected, count);
}

static int open_daemon(int *events)
{
    *events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1) | 1u << (XFRMNLGRP_POLICY - 1));
    return open_bound(0);
}

static void refused_policies_are_not_remembered(void)
{
    int events, requests = open_daemon(&events);
    struct policy first = plain(1, 1), second = plain(2, 2), last = plain(9, 9), changed = plain(1, REFUSED), acknowledged = plain(4, REFUSED);
    acknowledged.header.nlmsg_flags |= NLM_F_ACK;
    second.header.nlmsg_flags |= NLM_F_ACK;
    CHECK(change(requests, first) == 0 && change(requests, second) == 0);
    CHECK(change(requests, changed) == EEXIST && change(requests, plain(3, REFUSED)) == EEXIST && change(requests, acknowledged) == EEXIST);
    changed.header.nlmsg_type = XFRM_MSG_UPDPOLICY;
    CHECK(change(requests, changed) == EEXIST);
    struct policy several[3] = { plain(5, REFUSED), last, plain(6, REFUSED) };       /* one request */
    for (int i = 0; i < 3; i++)
        several[i].header.nlmsg_len = sizeof *several;
    CHECK(send(requests, several, sizeof several, 0) == sizeof several);
    for (int i = 0; i < 2; i++)
        CHECK(recv(requests, &(char[200]){ 0 }, 200, MSG_DONTWAIT) > 0);
    struct policy no_request = plain(7, 7);
    no_request.header.nlmsg_flags = 0;      /* is only acknowledged */
    CHECK(change(requests, no_request) == 0);
    several[1].header.nlmsg_len = sizeof *several;
    CHECK(!has_input(requests));
    check_next(events, requests, (struct policy[]){ first, second, several[1] }, 3);
}

static void policies_are_told_apart_as_in_the_kernel(void)
{
    int events, requests = open_daemon(&events);
    struct policy all[6] = {
        plain(1, 1), policy(1, 2, attributes_of(0, 1, 0xff, 0)), policy(1, 3, attributes_of(0, 1, 0xf, 0)), policy(1, 4, attributes_of(0, 2, 0xff, 0)),
        policy(1, 5, attributes_of(0, 0, 0, 7)), policy(1, 6, attributes_of(XFRM_POLICY_TYPE_SUB, 0, 0, 0)),
    };
    for (int i = 0; i < 6; i++)
        CHECK(change(requests, all[i]) == 0);
    check_next(events, requests, all, 6);
    struct policy bare = removal(1, 0, attributes_of(0, 0, 0, 0));
    bare.header.nlmsg_len = NLMSG_LENGTH(sizeof bare.removal.id);       /* without attributes: main, no mark, no interface id */
    memset((char *)&bare.removal.id.sel + 45, 0xff, 3);                /* padding says nothing */
    CHECK(change(requests, bare) == 0 && change(requests, removal(1, 0, attributes_of(0, 1, 0xf, 0))) == 0);
    CHECK(change(requests, removal(1, 0, attributes_of(0, 9, 0xf, 0))) == 0 && change(requests, removal(1, 0, attributes_of(0, 0, 0, 7))) == 0);
    check_next(events, requests, (struct policy[]){ all[1], all[3], all[5] }, 3);
    struct policy flush = { .header = { .nlmsg_type = XFRM_MSG_FLUSHPOLICY, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_len = NLMSG_HDRLEN } };
    CHECK(change(requests, flush) == 0);        /* those of type main */
    check_next(events, requests, &all[5], 1);
    struct attributes sub = attributes_of(XFRM_POLICY_TYPE_SUB, 0, 0, 0);
    flush.header.nlmsg_len = NLMSG_LENGTH(NLA_HDRLEN + sizeof sub.type);
    memcpy(NLMSG_DATA(&flush.header), &sub, NLA_HDRLEN + sizeof sub.type);
    CHECK(change(requests, all[0]) == 0 && change(requests, flush) == 0);
    check_next(events, requests, all, 1);
}

static void policies_removed_by_index_are_forgotten(void)
{
    int events, requests = open_daemon(&events);
    struct attributes none = attributes_of(0, 0, 0, 0);
    struct policy all[5] = { plain(1, 1), plain(2, 2), policy(2, 3, attributes_of(0, 0, 0, 7)), plain(4, 4), plain(5, 5) };
    for (int i = 0; i < 5; i++)
        CHECK(change(requests, all[i]) == 0);
    struct policy refused = removal(0, policy_index(4, XFRM_POLICY_OUT), none);
    refused.removal.id.sel.sport = REFUSED_PORT;
    CHECK(change(requests, removal(0, policy_index(3, XFRM_POLICY_OUT), attributes_of(0, 0, 0, 7))) == 0);
    CHECK(change(requests, removal(0, policy_index(77, XFRM_POLICY_OUT), none)) == ENOENT && change(requests, refused) == EPERM);
    struct policy expired = { .header = { .nlmsg_len = NLMSG_LENGTH(sizeof expired.expiry), .nlmsg_type = XFRM_MSG_POLEXPIRE, .nlmsg_flags = NLM_F_REQUEST },
                              .expiry = { { .pol = { .index = policy_index(5, XFRM_POLICY_OUT), .dir = XFRM_POLICY_OUT }, .hard = 0 }, none } };
    CHECK(change(requests, expired) == 0);
    check_next(events, requests, (struct policy[]){ all[0], all[1], all[3], all[4] }, 4);
    expired.expiry.expire.pol.index = policy_index(4, XFRM_POLICY_OUT);         /* the fourth that this data plane was given */
    expired.expiry.expire.hard = 1;
    CHECK(change(requests, expired) == 0 && change(requests, removal(0, policy_index(1, XFRM_POLICY_OUT), none)) == 0);
    check_next(events, requests, (struct policy[]){ all[1], all[3] }, 2);
}

/* An IKE daemon that is told that there is none gives the policy up all the same. */
static void what_is_removed_without_a_data_plane_does_not_come_back(void)
{
    int events, requests = open_daemon(&events);
    struct policy all[3] = { plain(1, 1), plain(2, 2), plain(3, 3) }, gone = removal(2, 0, attributes_of(0, 0, 0, 0)), late = plain(4, 4);
    for (int i = 0; i < 3; i++)
        CHECK(change(requests, all[i]) == 0);
    stop_server();
    CHECK(send(requests, &gone, gone.header.nlmsg_len, 0) == -1 && errno == ECONNREFUSED);
    CHECK(send(requests, &late, late.header.nlmsg_len, 0) == -1 && errno == ECONNREFUSED);
    start_server();
    check_given(events, requests, (struct policy[]){ all[0], all[2] }, 2);
}

/* Removes a policy, or with 0 all, behind the daemon's back, and waits until its watch has asked for that many policies. */
static void remove_elsewhere(int requests, uint16_t request, uint32_t number, uint32_t questions)
{
    uint32_t before = counter(requests, LOOKUPS);
    CHECK(ask(requests, request, number, 0) > 0);
    while (counter(requests, LOOKUPS) < before + questions)
        poll(NULL, 0, 1);
    echo(requests, 1);          /* when the watch has taken the last answer */
}

static void policies_that_another_process_removes_do_not_come_back(void)
{
    int events, requests = open_daemon(&events);
    struct policy all[4] = { plain(1, 1), policy(2, 2, attributes_of(0, 1, 0xff, 7)), plain(3, 3), plain(4, 4) };
    for (int i = 0; i < 4; i++)
        CHECK(change(requests, all[i]) == 0);
    close(events);              /* it need not be subscribed to policies itself */
    events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1));
    remove_elsewhere(requests, REMOVE, 2, 1);
    CHECK(change(requests, all[2]) == 0);           /* the fifth: the third is still there when it is told of */
    remove_elsewhere(requests, REMOVE, 3, 1);
    close(events);
    events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1) | 1u << (XFRMNLGRP_POLICY - 1));
    check_next(events, requests, (struct policy[]){ all[0], all[2], all[3] }, 3);
    remove_elsewhere(requests, REMOVE, 1, 1);       /* of the next data plane, too */
    CHECK(recv(events, &(char[500]){ 0 }, 500, MSG_DONTWAIT) > 0);
    remove_elsewhere(requests, LOSE, XFRMNLGRP_POLICY, 2);
    CHECK(recv(events, &(char[500]){ 0 }, 500, MSG_DONTWAIT) == -1 && errno == ENOBUFS);
    check_next(events, requests, (struct policy[]){ all[2], all[3] }, 2);
    remove_elsewhere(requests, REMOVE, 0, 2);
    CHECK(recv(events, &(char[500]){ 0 }, 500, MSG_DONTWAIT) > 0);
    check_next(events, requests, NULL, 0);
}

const struct test remembering_tests[] = {
    TEST(refused_policies_are_not_remembered), TEST(policies_are_told_apart_as_in_the_kernel), TEST(policies_removed_by_index_are_forgotten),
    TEST(what_is_removed_without_a_data_plane_does_not_come_back), TEST(policies_that_another_process_removes_do_not_come_back), { 0 },
};
