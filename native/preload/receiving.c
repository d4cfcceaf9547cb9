/* Receiving: recvmsg, recvfrom. */
#include "espalier-xfrm.h"
#include <poll.h>
#include <string.h>
#include <sys/time.h>

enum {
    RETRY_MS = 1000,            /* how often a blocked subscriber looks for a data plane that is back */
};

/* Waits until A can be read: 0, or EINTR, or ECONNREFUSED if the data plane is gone, has left no answer and was not subscribed to. A subscriber
   may never send, so it looks by itself for a data plane that is back. */
static int wait_for_input(int fd, struct xfrm_socket *s)
{
    for (;;) {
        struct pollfd waiting[2] = { { .fd = fd, .events = POLLIN }, { .fd = s->lease, .events = POLLRDHUP } };
        if (poll(waiting, 2, -1) < 0)
            return errno;
        if (waiting[0].revents)
            return 0;
        if (poll(&waiting[1], 1, 0) == 0 || (s->groups && ask_in_turn(s, GROUPS, &s->groups, sizeof s->groups) == 0))
            continue;       /* attached again */
        int ready = poll(waiting, 1, s->groups ? RETRY_MS : 0);
        if (ready != 0)
            return ready > 0 ? 0 : errno;
        if (!s->groups)
            return ECONNREFUSED;
    }
}

/* Before a receive: false with errno set where it would wait for ever, or was interrupted. */
static bool may_receive(int fd, int flags)
{
    struct timeval timeout = { 0 };
    socklen_t length = sizeof timeout;
    if ((flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) || real_fcntl()(fd, F_GETFL) & O_NONBLOCK)
        return true;
    real_getsockopt()(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length);
    if (timeout.tv_sec || timeout.tv_usec)
        return true;
    int error = wait_for_input(fd, socket_of(fd));
    return error ? fail(error) == 0 : true;
}

/* Where notifications were lost the data plane leaves NLMSG_OVERRUN; a program knows ENOBUFS from the kernel. True for such a datagram, which is taken. */
static bool is_loss(int fd, const void *bytes, size_t room, ssize_t length, int flags)
{
    struct nlmsghdr message;
    if (length != sizeof message || room < sizeof message)
        return false;
    memcpy(&message, bytes, sizeof message);
    if (message.nlmsg_type != NLMSG_OVERRUN)
        return false;
    if (flags & MSG_PEEK)
        recv(fd, &message, sizeof message, MSG_DONTWAIT);
    return true;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (!is_ours(fd))
        return real_recvmsg()(fd, message, flags);
    struct msghdr asked = *message;
    socklen_t room = message->msg_namelen;
    ssize_t result = may_receive(fd, flags) ? real_recvmsg()(fd, message, flags) : -1;
    if (message->msg_iovlen && is_loss(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, result, flags)) {
        *message = asked;
        return socket_of(fd)->ignores_loss ? recvmsg(fd, message, flags) : fail(ENOBUFS);
    }
    if (result >= 0)
        give_name(message->msg_name, &message->msg_namelen, room, 0, 0);
    return result;
}

EXPORT ssize_t recvfrom(int fd, void *restrict bytes, size_t length, int flags, __SOCKADDR_ARG from, socklen_t *restrict from_length)
{
    if (!is_ours(fd))
        return real_recvfrom()(fd, bytes, length, flags, from, from_length);
    ssize_t result = may_receive(fd, flags) ? recv(fd, bytes, length, flags) : -1;
    if (is_loss(fd, bytes, length, result, flags))
        return socket_of(fd)->ignores_loss ? recvfrom(fd, bytes, length, flags, from, from_length) : fail(ENOBUFS);
    if (result >= 0)
        give_name(from.__sockaddr__, from_length, from_length ? *from_length : 0, 0, 0);
    return result;
}

EXPORT ssize_t __recvfrom_chk(int fd, void *bytes, size_t length, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *from_length)
{
    return is_ours(fd) && length <= room ? recvfrom(fd, bytes, length, flags, from, from_length)
                                         : real___recvfrom_chk()(fd, bytes, length, room, flags, from, from_length);
}
