/* The conversation on the lease: what is asked and answered beside the requests. */
#include "espalier-xfrm.h"
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

enum {
    ANSWER_SECONDS = 10,        /* a data plane that does not answer for so long counts as gone */
    MAX_SHORT_ANSWER = 1024,    /* bytes of an answer on the lease, more than any has */
};

/* Waits for a message with this sequence number (any, if that is 0) of one of two types, and takes it into the buffer, at most `room` bytes. A
   refusal that came before the question is numbered 0. False if the data plane is gone or says nothing for too long; then the lease ends, so
   that a late answer is no answer to something else, and what it has not handled is dropped with B. */
bool await(int lease, uint16_t type, uint16_t other, uint32_t sequence, struct nlmsghdr *message, size_t room)
{
    for (;;) {
        ssize_t length = real_recv()(lease, message, room, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0) {
            shutdown(lease, SHUT_RDWR);
            return false;
        }
        bool has_error = (size_t)length >= NLMSG_LENGTH(sizeof(int));
        if (message->nlmsg_len > (size_t)length)
            message->nlmsg_len = (uint32_t)length;
        if (has_error && (message->nlmsg_type == type || message->nlmsg_type == other) && (!sequence || !message->nlmsg_seq || message->nlmsg_seq == sequence))
            return true;
        explicit_bzero(message, (size_t)length);        /* an SA with its keys, if GETSA found it */
    }
}

/* The errno in the first word of an answer: NLMSG_ERROR carries it negative, DONE positive. */
int error_of(const struct nlmsghdr *answer)
{
    int error;
    memcpy(&error, NLMSG_DATA(answer), sizeof error);
    return error < 0 ? -error : error;
}

/* Sends one message on the lease, with a descriptor unless that is -1: 0 or an errno. What an end of the data plane makes of it, the answer will say. */
static int put(int lease, struct nlmsghdr *message, int descriptor)
{
    static _Atomic uint32_t questions;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    message->nlmsg_seq = (uint32_t)getpid() << 12 | (++questions & 0xfff);
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } rights = { .space = { 0 } };
    struct iovec iov = { .iov_base = message, .iov_len = message->nlmsg_len };
    struct msghdr packet = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (descriptor >= 0) {
        rights.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof descriptor), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&rights.header), &descriptor, sizeof descriptor);
        packet.msg_control = &rights;
        packet.msg_controllen = sizeof rights.space;
    }
    while (real_sendmsg()(lease, &packet, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return errno == EPIPE || errno == ECONNRESET ? 0 : errno;
    return 0;
}

/* Sends one message on the lease (or a request on a connection without ATTACH), with a descriptor unless that is -1, and waits for the answer: 0 or an errno. */
int exchange(int lease, struct nlmsghdr *message, int descriptor)
{
    union { struct nlmsghdr header; char bytes[MAX_SHORT_ANSWER]; } answer;
    int error = put(lease, message, descriptor);
    if (error)
        return error;
    return await(lease, NLMSG_ERROR, NLMSG_ERROR, message->nlmsg_seq, &answer.header, sizeof answer) ? error_of(&answer.header) : ECONNREFUSED;
}

/* The same on a connection without ATTACH, where the answer to take is of this type: 0 or an errno. */
int fetch(int connection, struct nlmsghdr *message, uint16_t type, struct nlmsghdr *answer, size_t room)
{
    int error = put(connection, message, -1);
    if (error)
        return error;
    if (!await(connection, type, NLMSG_ERROR, message->nlmsg_seq, answer, room))
        return ECONNREFUSED;
    return answer->nlmsg_type == type ? 0 : error_of(answer) ? error_of(answer) : EPROTO;
}

/* The same with a message of ours. */
int ask(int lease, uint16_t type, const void *payload, size_t length, int descriptor)
{
    struct { struct nlmsghdr header; char payload[sizeof(struct encapsulation)]; } message = {
        .header = { .nlmsg_len = NLMSG_LENGTH(length), .nlmsg_type = type },
    };
    memcpy(message.payload, payload, length);
    return exchange(lease, &message.header, descriptor);
}

/* A new connection to the control socket, or -1. */
int connect_control(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = ANSWER_SECONDS };
    socklen_t length = sizeof address;
    memcpy(address.sun_path, control_path, sizeof address.sun_path);
    if (control_path[0] == '@') {       /* an abstract name ends where the length says */
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(control_path));
        address.sun_path[0] = 0;
    }
    int lease = real_socket()(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (lease < 0)
        return -1;
    real_setsockopt()(lease, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    real_setsockopt()(lease, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (real_connect()(lease, (struct sockaddr *)&address, length) == 0)
        return lease;
    discard(lease);
    return -1;
}

/* Hands B to the data plane over a new lease, subscribes and registers again. Returns 0 or an errno; then the socket is as it was. */
int attach(struct xfrm_socket *s)
{
    const uint32_t hello[2] = { ATTACH_VERSION, NETLINK_XFRM };
    int lease = connect_control();
    if (lease < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EAGAIN ? ECONNREFUSED : errno;
    int error = ask(lease, ATTACH, hello, sizeof hello, s->data_plane_end);
    if (!error && s->groups)
        error = ask(lease, GROUPS, &s->groups, sizeof s->groups, -1);
    if (!error)
        error = register_again(lease);
    if (error) {
        discard(lease);
        return error;
    }
    if (s->lease < 0) {
        s->lease = hide(s, lease);
        error = s->lease < 0 ? errno : 0;
    } else {        /* the number stays: a thread may be polling it */
        real_dup3()(lease, s->lease, O_CLOEXEC);
        discard(lease);
    }
    s->owner = getpid();
    return error;
}
