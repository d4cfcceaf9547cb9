/* The conversation on the lease: what is asked and answered beside the requests, and how a socket goes over to a data plane that is back. */
#include "espalier-xfrm.h"
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

enum {
    ANSWER_SECONDS = 10,        /* a data plane that does not answer for so long counts as gone */
};

/* Waits for a message of this type on the lease, with this sequence number unless that is 0. Returns the errno it carries (0 = good), or
   ECONNREFUSED if the data plane is gone or says nothing for too long. A message numbered 0 is a refusal that came before the question. */
int await(int lease, uint16_t type, uint32_t sequence)
{
    _Alignas(struct nlmsghdr) char buffer[1024];
    const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
    for (;;) {
        ssize_t length = recv(lease, buffer, sizeof buffer, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return ECONNREFUSED;
        if ((size_t)length < NLMSG_LENGTH(sizeof(int)) || message->nlmsg_type != type || (sequence && message->nlmsg_seq && message->nlmsg_seq != sequence)) {
            explicit_bzero(buffer, (size_t)length);     /* an SA with its keys, if GETSA found it */
            continue;
        }
        int error;
        memcpy(&error, NLMSG_DATA(message), sizeof error);
        return error < 0 ? -error : error;
    }
}

/* Sends one message on the lease (or a request on a connection without ATTACH), with a descriptor unless that is -1, and waits for the answer: 0 or an errno. */
int exchange(int lease, struct nlmsghdr *message, int descriptor)
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
    if (real_sendmsg()(lease, &packet, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        return errno;
    return await(lease, NLMSG_ERROR, message->nlmsg_seq);
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

/* True if the data plane holds this lease. Takes what an interrupted conversation left on it. */
static bool lease_is_alive(int lease)
{
    char stale[1024];
    for (;;) {
        ssize_t length = recv(lease, stale, sizeof stale, MSG_DONTWAIT);
        if (length == 0)
            return false;
        if (length < 0 && errno != EINTR)
            return errno == EAGAIN;
    }
}

/* A forked process that speaks takes a pair of its own, on the same numbers: the old one goes on in the process that it comes from. */
static int replace_pair(struct xfrm_socket *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++) {
        if (entry_of(fd) != number_of(s))
            continue;
        int flags = real_fcntl()(fd, F_GETFD), status = real_fcntl()(fd, F_GETFL);
        real_dup3()(pair[0], fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        real_fcntl()(fd, F_SETFL, status);
    }
    real_dup3()(pair[1], s->data_plane_end, O_CLOEXEC);
    discard(pair[0]);
    discard(pair[1]);
    return 0;
}

/* Attaches a socket again. Requests that the old data plane left unread are dropped: their senders were told so. */
static int revive(struct xfrm_socket *s)
{
    char unread[16];
    int error = s->owner == getpid() ? 0 : replace_pair(s);
    while (!error && recv(s->data_plane_end, unread, sizeof unread, MSG_DONTWAIT) >= 0)
        ;
    return error ? error : attach(s);
}

/* In turn. When a data plane is back, every XFRM socket of the process goes over to it: event sockets never send. */
void revive_all(void)
{
    for (struct xfrm_socket *s = &sockets[1]; s < &sockets[MAX_SOCKETS]; s++)
        if (s->descriptors > 0 && !lease_is_alive(s->lease))
            revive(s);      /* if it fails, its own next send says so */
}

/* In turn. 0 or an errno. */
int ensure_attached(struct xfrm_socket *s)
{
    if (s->descriptors == 0)
        return EBADF;       /* another thread has closed it */
    if (s->owner == getpid() && lease_is_alive(s->lease))
        return 0;
    int error = revive(s);
    if (!error)
        revive_all();
    return error;
}

/* Asks on a lease that is alive. 0 or an errno. */
int ask_in_turn(struct xfrm_socket *s, uint16_t type, const void *payload, size_t length)
{
    int cancel_state = take_turn();
    int error = ensure_attached(s);
    if (!error)
        error = ask(s->lease, type, payload, length, -1);
    end_turn(cancel_state);
    return error;
}
