/*
 * A small data plane: a forked process that speaks the control protocol and answers the requests of the tests.
 *
 *   ECHO   the request's payload back        DUMP   `count` parts of 4,000 bytes, then NLMSG_DONE      QUIET  nothing
 *   COUNT  attachments, requests, leases, lookups of policies
 *   NOTIFY a datagram to every subscriber of group `count`    DIE    ends without an answer
 *   LOSE   NLMSG_OVERRUN to every subscriber of group `count`, as where notifications were lost
 *   PORTS  ENCAP registrations on the lease of the asker: how many, the family and port of the last one
 *
 *   REMOVE removes the `count`th policy, or all if that is 0, and tells every subscriber of policies, as where another process has removed it
 *
 * On a connection without ATTACH, GETSA: it knows no SA (but see data-plane-policies.c), and says EXPIRE to every subscriber; UPDPOLICY: it takes it, and says so to every
 * subscriber of policies; GETPOLICY: see data-plane-policies.c, as for XFRM's messages on B. It refuses ENCAP of port 4444 with EADDRINUSE, and says that ports which are registered cannot be shared.
 */
#include "data-plane.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>

enum { ATTACH = 0xE500, DONE = 0xE501, GROUPS = 0xE502, ENCAP = 0xE504 };
enum { PART = 4000 };

char path[100];
pid_t server;

static struct { uint32_t attached, requests, leases, lookups; } counted;

static void reply(int fd, uint16_t type, uint16_t flags, uint32_t seq, uint32_t pid, const void *payload, size_t length)
{
    _Alignas(8) char buffer[PART + 100];
    struct nlmsghdr *header = (struct nlmsghdr *)buffer;
    *header = (struct nlmsghdr){ .nlmsg_len = NLMSG_LENGTH(length), .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = seq, .nlmsg_pid = pid };
    if (length)
        memcpy(NLMSG_DATA(header), payload, length);
    (void)!send(fd, buffer, header->nlmsg_len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* To every subscriber of a group, on B or, without ATTACH, on the connection. */
static void tell(const struct client *clients, uint32_t group, uint16_t type, const void *payload, size_t length)
{
    for (int i = 0; i < MAX_CLIENTS; i++)
        if (clients[i].lease >= 0 && clients[i].groups & 1u << (group - 1))
            reply(clients[i].end >= 0 ? clients[i].end : clients[i].lease, type, 0, 0, 0, payload, length);
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
    } else if (request->nlmsg_type == XFRM_MSG_GETSA && knows_association(request)) {
        reply(c->lease, XFRM_MSG_NEWSA, 0, request->nlmsg_seq, 0, &(struct xfrm_usersa_info){ 0 }, sizeof(struct xfrm_usersa_info));
    } else if (request->nlmsg_type == XFRM_MSG_GETSA) {
        tell(clients, XFRMNLGRP_EXPIRE, XFRM_MSG_EXPIRE, NLMSG_DATA(request), sizeof(struct xfrm_usersa_id));
        error.error = -ESRCH;
    } else if (request->nlmsg_type == XFRM_MSG_GETPOLICY) {
        size_t length = 0;
        counted.lookups++;
        const void *policy = find_policy(request, &length);
        if (policy)
            reply(c->lease, XFRM_MSG_NEWPOLICY, 0, request->nlmsg_seq, 0, policy, length);
        error.error = policy ? 0 : -ENOENT;
    } else if (request->nlmsg_type == XFRM_MSG_UPDPOLICY) {
        error.error = -change_database(request);
        tell(clients, XFRMNLGRP_POLICY, XFRM_MSG_UPDPOLICY, NLMSG_DATA(request), request->nlmsg_len - NLMSG_HDRLEN);
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
        tell(clients, request->count, NOTIFY, &request->number, sizeof request->number);
        break;
    case LOSE:
        tell(clients, request->count, NLMSG_OVERRUN, NULL, 0);
        break;
    case REMOVE: {
        struct told_removal told;
        size_t length = remove_policies(request->count, &told);
        tell(clients, XFRMNLGRP_POLICY, length ? XFRM_MSG_DELPOLICY : XFRM_MSG_FLUSHPOLICY, &told, length);
        break;
    }
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
}

/* Handles the messages of a datagram: the tests' own one at a time, XFRM's all. DONE says how each ended. */
static void handle_all(struct client *clients, struct client *c, const struct request *request, size_t length)
{
    int done[1 + 64] = { 0 }, count = 0, left = (int)length;
    handle(clients, c, request);
    for (const struct nlmsghdr *message = &request->header; NLMSG_OK(message, left) && count < 64; message = NLMSG_NEXT(message, left)) {
        struct nlmsgerr error = { .error = -change_database(message), .msg = *message };
        done[++count] = -error.error;
        if (error.error || message->nlmsg_flags & NLM_F_ACK)
            reply(c->end, NLMSG_ERROR, NLM_F_CAPPED, message->nlmsg_seq, message->nlmsg_pid, &error, sizeof error);
    }
    reply(c->lease, DONE, 0, request->header.nlmsg_seq, 0, done, sizeof *done * (size_t)(1 + count));
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
            union { struct request request; char bytes[8192]; } buffer = { .bytes = { 0 } };
            ssize_t length = set[2 + 2 * i].revents & POLLIN && c->end >= 0 && set[2 + 2 * i].fd == c->end
                ? recv(c->end, &buffer, sizeof buffer, MSG_DONTWAIT) : -1;
            if (length >= (ssize_t)sizeof(struct nlmsghdr))
                handle_all(clients, c, &buffer.request, (size_t)length);
            else if (set[2 + 2 * i].revents & POLLOUT)
                continue_dump(c);
        }
    }
}

void start_server(void)
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

void stop_server(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}
