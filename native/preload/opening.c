/* Making a socket: socket. */
#include "espalier-xfrm.h"
#include <string.h>

/* Makes the pair and hands B over. In turn. Returns A, or -1 with errno set. */
static int make_pair(struct xfrm_socket *s, int type, int flags)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | flags, 0, pair) < 0)
        return -1;
    *s = (struct xfrm_socket){ .data_plane_end = hide(s, pair[1]), .lease = -1, .owner = getpid(), .type = type };
    int error = s->data_plane_end < 0 ? errno : attach(s);
    if (!error && set_entry(pair[0], number_of(s))) {
        s->descriptors = 1;
        return pair[0];
    }
    discard(pair[0]);
    retire(s);
    return fail(error == ECONNREFUSED ? EPROTONOSUPPORT : error ? error : EMFILE);
}

static int open_xfrm(int type)
{
    int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC), fd;
    struct xfrm_socket *s = &sockets[1];
    if ((type & ~flags) != SOCK_RAW && (type & ~flags) != SOCK_DGRAM)
        return fail(ESOCKTNOSUPPORT);
    hook_fork();
    int cancel_state = take_turn();
    while (s < &sockets[MAX_SOCKETS] && s->descriptors > 0)
        s++;
    fd = s < &sockets[MAX_SOCKETS] ? make_pair(s, type & ~flags, flags) : fail(EMFILE);
    end_turn(cancel_state);
    return fd;
}

EXPORT int socket(int domain, int type, int protocol)
{
    return domain == AF_NETLINK && protocol == NETLINK_XFRM && is_enabled() ? open_xfrm(type) : real_socket()(domain, type, protocol);
}
