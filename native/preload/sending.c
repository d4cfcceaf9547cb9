/* Sending: send, sendto, sendmsg, write, writev, sendmmsg. */
#include "remembering.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_REQUEST = 65536,        /* the data plane's bound */
};

/* The kernel answers to the port of the socket, whatever nlmsg_pid says. The data plane answers to nlmsg_pid. */
static void stamp_port(char *request, int length, uint32_t port)
{
    for (struct nlmsghdr *message = (struct nlmsghdr *)request; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length))
        message->nlmsg_pid = port;
}

/* What DONE will carry: a thread that sends while another closes or replaces its descriptor can cause one that nobody waits for. */
static uint32_t sequence_of(const char *request, size_t length)
{
    struct nlmsghdr header = { 0 };
    memcpy(&header, request, length < sizeof header ? 0 : sizeof header);
    return header.nlmsg_seq;
}

/* Remembers and forgets what the messages of a request have done. DONE says it of each, also of those that asked for no acknowledgement. NULL: no
   data plane has handled them, so nothing is installed, and what was to be removed will not come back. In turn. */
static void note_outcomes(const char *request, size_t length, const struct nlmsghdr *done)
{
    int left = (int)length, outcome;
    const char *at = done ? (const char *)NLMSG_DATA(done) + sizeof(int) : NULL, *end = done ? (const char *)done + done->nlmsg_len : NULL;
    for (const struct nlmsghdr *message = (const struct nlmsghdr *)request; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
        bool known = at && end - at >= (ptrdiff_t)sizeof outcome;
        if (known)
            memcpy(&outcome, at, sizeof outcome);
        at = known ? at + sizeof outcome : NULL;
        if (message->nlmsg_flags & NLM_F_REQUEST)       /* else it is none, and was only acknowledged */
            note(message, known ? outcome : UNKNOWN_OUTCOME);
    }
}

/* Sends a request on a socket that is attached, and waits until it is handled. In turn. 0 or an errno; if that is 0, DONE is in its place. */
static int send_request(struct xfrm_socket *s, int fd, const char *request, size_t length, int flags, struct nlmsghdr *done, size_t room)
{
    if (entry_of(fd) != number_of(s))
        return EBADF;       /* another thread has closed or replaced it: it may be anybody's */
    int left = (int)length;
    for (const struct nlmsghdr *message = (const struct nlmsghdr *)request; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
        expect_removal(message);
    if (real_send()(fd, request, length, MSG_NOSIGNAL | (flags & MSG_DONTWAIT)) < 0)
        return errno;
    return await(s->lease, DONE, DONE, sequence_of(request, length), done, room) ? error_of(done) : ECONNREFUSED;
}

/* Sends one request and waits until it is handled. 0 or an errno. */
static int converse(struct xfrm_socket *s, int fd, const char *request, size_t length, int flags, struct nlmsghdr *done, size_t room)
{
    int cancel_state = take_turn();
    int error = ensure_attached(s);
    if (!error)
        error = send_request(s, fd, request, length, flags, done, room);
    if (!error || error == ECONNREFUSED)
        note_outcomes(request, length, error ? NULL : done);
    expect_no_removal();
    end_turn(cancel_state);
    return error;
}

static ssize_t submit(int fd, const struct msghdr *message, int flags)
{
    const struct sockaddr_nl *to = message->msg_name;
    size_t length = 0, copied = 0;
    if (to && message->msg_namelen >= sizeof *to && (to->nl_family != AF_NETLINK || to->nl_pid || to->nl_groups))
        return fail(to->nl_family != AF_NETLINK ? EINVAL : to->nl_groups ? EPERM : ECONNREFUSED);
    for (size_t i = 0; i < message->msg_iovlen; length += message->msg_iov[i++].iov_len)
        if (message->msg_iov[i].iov_len > MAX_REQUEST - length)
            return fail(EMSGSIZE);
    if (length == 0)
        return fail(ENODATA);
    struct xfrm_socket *s = socket_of(fd);
    size_t room = NLMSG_SPACE(sizeof(int) + length / NLMSG_HDRLEN * sizeof(int));       /* an outcome for each message */
    char *request = malloc(NLMSG_ALIGN(length) + room);
    if (!request)
        return fail(ENOBUFS);
    for (size_t i = 0; i < message->msg_iovlen; copied += message->msg_iov[i++].iov_len)
        if (message->msg_iov[i].iov_len)
            memcpy(request + copied, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    take_port(s, 0);
    stamp_port(request, (int)length, s->port);
    int error = converse(s, fd, request, length, flags, (struct nlmsghdr *)(request + NLMSG_ALIGN(length)), room);
    explicit_bzero(request, length);        /* it may carry keys */
    free(request);
    return error ? fail(error) : (ssize_t)length;
}

EXPORT ssize_t sendto(int fd, const void *bytes, size_t length, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_length)
{
    if (!is_ours(fd))
        return real_sendto()(fd, bytes, length, flags, to, to_length);
    struct iovec iov = { .iov_base = (void *)bytes, .iov_len = length };
    struct msghdr message = { .msg_name = (void *)to.__sockaddr__, .msg_namelen = to_length, .msg_iov = &iov, .msg_iovlen = 1 };
    return submit(fd, &message, flags);
}

EXPORT ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    return is_ours(fd) ? sendto(fd, bytes, length, flags, (struct sockaddr *)NULL, 0) : real_send()(fd, bytes, length, flags);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return is_ours(fd) ? submit(fd, message, flags) : real_sendmsg()(fd, message, flags);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t length)
{
    return is_ours(fd) ? sendto(fd, bytes, length, 0, (struct sockaddr *)NULL, 0) : real_write()(fd, bytes, length);
}

/* As the kernel: nothing to write is no request. */
EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!is_ours(fd))
        return real_writev()(fd, parts, count);
    struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };
    ssize_t length = length_of(parts, count);
    return length > 0 ? submit(fd, &message, 0) : length;
}

/* One after the other: the error of one that fails is told where it is the first, as by the kernel. */
EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    if (!is_ours(fd))
        return real_sendmmsg()(fd, messages, count, flags);
    int sent = 0;
    for (ssize_t length; sent < MAX_VECTOR && (unsigned int)sent < count; messages[sent++].msg_len = (unsigned int)length)
        if ((length = submit(fd, &messages[sent].msg_hdr, flags)) < 0)
            return sent ? sent : -1;
    return sent;
}
