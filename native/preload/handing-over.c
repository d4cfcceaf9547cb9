/* How XFRM sockets go over to a data plane that is back, or to a forked process. */
#include "espalier-xfrm.h"
#include <limits.h>
#include <poll.h>
#include <sys/time.h>

/* True if the data plane holds the lease. Takes what an interrupted conversation left on it, but not in a forked process that shares it as yet: what
   comes there is for the process that speaks on it. */
static bool lease_is_alive(const struct xfrm_socket *s)
{
    char stale[1024];
    struct pollfd ended = { .fd = s->lease, .events = POLLRDHUP };
    if (s->owner != getpid())
        return poll(&ended, 1, 0) == 0;
    for (;;) {
        ssize_t length = real_recv()(s->lease, stale, sizeof stale, MSG_DONTWAIT);
        if (length == 0)
            return false;
        if (length < 0 && errno != EINTR)
            return errno == EAGAIN;
    }
}

/* What the program has set of A, which its new end A has to be like. */
static void keep_options(int from, int to)
{
    static const int timeouts[] = { SO_RCVTIMEO, SO_SNDTIMEO }, buffers[][2] = { { SO_RCVBUF, SO_RCVBUFFORCE }, { SO_SNDBUF, SO_SNDBUFFORCE } };
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        struct timeval timeout;
        socklen_t length = sizeof timeout;
        if (real_getsockopt()(from, SOL_SOCKET, timeouts[i], &timeout, &length) == 0)
            real_setsockopt()(to, SOL_SOCKET, timeouts[i], &timeout, length);
    }
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        int size, now;
        socklen_t length = sizeof size, again = sizeof now;
        if (real_getsockopt()(from, SOL_SOCKET, buffers[i][0], &size, &length) != 0 ||
            real_getsockopt()(to, SOL_SOCKET, buffers[i][0], &now, &again) != 0 || size == now)
            continue;
        int asked = size / 2;       /* the kernel doubles it */
        real_setsockopt()(to, SOL_SOCKET, buffers[i][0], &asked, sizeof asked);
        real_setsockopt()(to, SOL_SOCKET, buffers[i][1], &asked, sizeof asked);     /* beyond the system's limit, where it was set so */
    }
}

/* A forked process that speaks takes a pair of its own, on the same numbers: the old one goes on in the process that it comes from. */
static int replace_pair(struct xfrm_socket *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    for (int fd = next_entry(0), kept = 0; fd < INT_MAX; fd = next_entry(fd + 1)) {
        if (entry_of(fd) != number_of(s))
            continue;
        if (!kept++)
            keep_options(fd, pair[0]);
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
    while (!error && real_recv()(s->data_plane_end, unread, sizeof unread, MSG_DONTWAIT) >= 0)
        ;
    return error ? error : attach(s);
}

/* In turn. When a data plane is back, every XFRM socket of the process goes over to it: event sockets never send. */
void revive_all(void)
{
    for (struct xfrm_socket *s = &sockets[1]; s < &sockets[MAX_SOCKETS]; s++)
        if (s->descriptors > 0 && !lease_is_alive(s))
            revive(s);      /* if it fails, its own next send says so */
}

/* In turn. 0 or an errno. */
int ensure_attached(struct xfrm_socket *s)
{
    if (s->descriptors == 0)
        return EBADF;       /* another thread has closed it */
    if (s->owner == getpid() && lease_is_alive(s))
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
