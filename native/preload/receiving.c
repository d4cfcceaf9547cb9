/* Receiving: recvmsg, recvfrom, recv, read, readv, recvmmsg. */
#include "espalier-xfrm.h"
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

enum {
    RETRY_MS = 1000,            /* how often a blocked subscriber looks for a data plane that is back */
};

/* True if every handler has SA_RESTART: the kernel would go on with a receive that a signal has interrupted. It never does so with poll. Signals that a
   thread brings on itself do not count: it was waiting. */
static bool is_restarted(void)
{
    struct sigaction action;
    for (int number = 1; number < NSIG; number++)
        if (number != SIGSEGV && number != SIGBUS && number != SIGFPE && number != SIGILL && number != SIGTRAP && number != SIGSYS &&
            sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN && !(action.sa_flags & SA_RESTART))
            return false;
    return true;
}

/* Waits until A can be read: 0, or EINTR, or ECONNREFUSED if the data plane is gone, has left no answer and was not subscribed to. A subscriber
   may never send, so it looks by itself for a data plane that is back. */
static int wait_for_input(int fd, struct xfrm_socket *s)
{
    for (;;) {
        struct pollfd waiting[2] = { { .fd = fd, .events = POLLIN }, { .fd = s->lease, .events = POLLRDHUP } };
        if (poll(waiting, 2, -1) < 0) {
            if (errno == EINTR && is_restarted())
                continue;
            return errno;
        }
        if (waiting[0].revents)
            return 0;
        if (poll(&waiting[1], 1, 0) == 0 || (s->groups && ask_in_turn(s, GROUPS, &s->groups, sizeof s->groups) == 0))
            continue;       /* attached again */
        int ready = poll(waiting, 1, s->groups ? RETRY_MS : 0);
        if (ready > 0 || (ready < 0 && !(errno == EINTR && is_restarted())))
            return ready > 0 ? 0 : errno;
        if (ready == 0 && !s->groups)
            return ECONNREFUSED;
    }
}

/* True for a receive that would wait for ever. One with a timeout is the kernel's own. */
static bool waits(int fd, int flags)
{
    struct timeval timeout = { 0 };
    socklen_t length = sizeof timeout;
    if ((flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) || real_fcntl()(fd, F_GETFL) & O_NONBLOCK)
        return false;
    real_getsockopt()(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length);
    return timeout.tv_sec == 0 && timeout.tv_usec == 0;
}

/* Where notifications were lost the data plane leaves NLMSG_OVERRUN; a program knows ENOBUFS from the kernel. True for such a datagram, which is taken. */
static bool is_loss(int fd, const struct iovec *room, ssize_t length, int flags)
{
    struct nlmsghdr message;
    if (length != sizeof message || room->iov_len < sizeof message)
        return false;
    memcpy(&message, room->iov_base, sizeof message);
    if (message.nlmsg_type != NLMSG_OVERRUN)
        return false;
    if (flags & MSG_PEEK)
        real_recv()(fd, &message, sizeof message, MSG_DONTWAIT);
    return true;
}

/* Another thread may be faster: then this one waits on, and must not do so where the end of the data plane goes unseen. */
static ssize_t receive(int fd, struct msghdr *message, int flags)
{
    const struct msghdr asked = *message;
    if (socket_of(fd)->untold_loss && atomic_exchange(&socket_of(fd)->untold_loss, false) && !socket_of(fd)->ignores_loss)
        return fail(ENOBUFS);
    for (;;) {
        bool waiting = waits(fd, flags);
        int error = waiting ? wait_for_input(fd, socket_of(fd)) : 0;
        if (error)
            return fail(error);
        *message = asked;
        ssize_t result = real_recvmsg()(fd, message, waiting ? flags | MSG_DONTWAIT : flags);
        if (result < 0 && waiting && errno == EAGAIN)
            continue;
        if (!message->msg_iovlen || !is_loss(fd, message->msg_iov, result, flags)) {
            if (result >= 0)
                give_name(message->msg_name, &message->msg_namelen, asked.msg_namelen, 0, 0);
            return result;
        }
        *message = asked;
        if (!socket_of(fd)->ignores_loss)
            return fail(ENOBUFS);
    }
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return is_ours(fd) ? receive(fd, message, flags) : real_recvmsg()(fd, message, flags);
}

EXPORT ssize_t recvfrom(int fd, void *restrict bytes, size_t length, int flags, __SOCKADDR_ARG from, socklen_t *restrict from_length)
{
    if (!is_ours(fd))
        return real_recvfrom()(fd, bytes, length, flags, from, from_length);
    struct iovec iov = { .iov_base = bytes, .iov_len = length };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t result = receive(fd, &message, flags);
    if (result >= 0)
        give_name(from.__sockaddr__, from_length, from_length ? *from_length : 0, 0, 0);
    return result;
}

EXPORT ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
    return is_ours(fd) ? recvfrom(fd, bytes, length, flags, (struct sockaddr *)NULL, NULL) : real_recv()(fd, bytes, length, flags);
}

EXPORT ssize_t read(int fd, void *bytes, size_t length)
{
    return length && is_ours(fd) ? recvfrom(fd, bytes, length, 0, (struct sockaddr *)NULL, NULL) : real_read()(fd, bytes, length);
}

EXPORT ssize_t readv(int fd, const struct iovec *parts, int count)
{
    if (!is_ours(fd))
        return real_readv()(fd, parts, count);
    struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count };
    ssize_t room = length_of(parts, count);
    return room > 0 ? receive(fd, &message, 0) : room;
}

static struct timespec now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time;
}

/* What is left of a timeout since `start`: as the kernel, which looks at the clock when a datagram has come, and not before. */
static struct timespec left_of(struct timespec timeout, struct timespec start)
{
    struct timespec time = now();
    time_t seconds = timeout.tv_sec - (time.tv_sec - start.tv_sec);
    long nanoseconds = timeout.tv_nsec - (time.tv_nsec - start.tv_nsec);
    for (; nanoseconds < 0; nanoseconds += 1000000000)
        seconds--;
    for (; nanoseconds >= 1000000000; nanoseconds -= 1000000000)
        seconds++;
    return seconds < 0 ? (struct timespec){ 0 } : (struct timespec){ .tv_sec = seconds, .tv_nsec = nanoseconds };
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    if (!is_ours(fd))
        return real_recvmmsg()(fd, messages, count, flags, timeout);
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000))
        return fail(EINVAL);
    const struct timespec asked = timeout ? *timeout : (struct timespec){ 0 }, start = timeout ? now() : asked;
    int received = 0;
    while (received < MAX_VECTOR && (unsigned int)received < count) {
        ssize_t length = receive(fd, &messages[received].msg_hdr, flags & ~MSG_WAITFORONE);
        if (length < 0) {
            if (received && errno == ENOBUFS)
                socket_of(fd)->untold_loss = true;
            return received ? received : -1;
        }
        messages[received++].msg_len = (unsigned int)length;
        if (flags & MSG_WAITFORONE)
            flags |= MSG_DONTWAIT;
        if (timeout && (*timeout = left_of(asked, start), timeout->tv_sec == 0 && timeout->tv_nsec == 0))
            break;
    }
    return received;
}

/* What programs call that are compiled with _FORTIFY_SOURCE. Where more is asked for than there is room, the C library ends the program. */
EXPORT ssize_t __recvfrom_chk(int fd, void *bytes, size_t length, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *from_length)
{
    return is_ours(fd) && length <= room ? recvfrom(fd, bytes, length, flags, from, from_length)
                                         : real___recvfrom_chk()(fd, bytes, length, room, flags, from, from_length);
}

EXPORT ssize_t __recv_chk(int fd, void *bytes, size_t length, size_t room, int flags)
{
    return is_ours(fd) && length <= room ? recv(fd, bytes, length, flags) : real___recv_chk()(fd, bytes, length, room, flags);
}

EXPORT ssize_t __read_chk(int fd, void *bytes, size_t length, size_t room)
{
    return is_ours(fd) && length <= room ? read(fd, bytes, length) : real___read_chk()(fd, bytes, length, room);
}
