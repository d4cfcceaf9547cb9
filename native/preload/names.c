/* Addresses: bind, connect, getsockname, getpeername. */
#include "espalier-xfrm.h"
#include <string.h>

/* As the kernel, but that it would let only one socket of the host have an id: nothing here depends on that. */
void take_port(struct xfrm_socket *s, uint32_t wanted)
{
    if (!s->port)
        s->port = wanted ? wanted : number_of(s) == 1 ? (uint32_t)getpid() : (uint32_t)-4096 - number_of(s);
}

/* Keeps some groups of the subscription, and adds others. While no data plane is there it is kept and handed over with the socket. 0 or an errno. */
int subscribe(struct xfrm_socket *s, uint32_t keep, uint32_t add)
{
    int cancel_state = take_turn();
    uint32_t before = s->groups, groups = (before & keep) | add;
    s->groups = groups;
    int error = groups == before ? 0 : ensure_attached(s);
    if (!error && groups != before)
        error = ask(s->lease, GROUPS, &groups, sizeof groups, -1);
    if (error == ECONNREFUSED)
        error = 0;
    if (error)
        s->groups = before;
    end_turn(cancel_state);
    return error;
}

static int bind_netlink(struct xfrm_socket *s, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_nl name;
    if (length < sizeof name)
        return EINVAL;
    memcpy(&name, address, sizeof name);
    if (name.nl_family != AF_NETLINK || (s->port && name.nl_pid && name.nl_pid != s->port))
        return EINVAL;
    take_port(s, name.nl_pid);
    return subscribe(s, 0, name.nl_groups);
}

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    if (!is_ours(fd)) {
        int result = real_bind()(fd, address, length);
        return result < 0 && errno == EADDRINUSE && is_ike_socket(fd) ? bind_beside(fd, address.__sockaddr__, length) : result;
    }
    int error = bind_netlink(socket_of(fd), address.__sockaddr__, length);
    return error ? fail(error) : 0;
}

/* A is connected already. As the kernel it takes a port; the kernel's own address, or none, is all that there is to connect to. */
EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    if (!is_ours(fd))
        return real_connect()(fd, address, length);
    struct sockaddr_nl name = { .nl_family = AF_UNSPEC };
    if (length < sizeof name.nl_family)
        return fail(EINVAL);
    memcpy(&name, address.__sockaddr__, length < sizeof name ? length : sizeof name);
    if (name.nl_family == AF_UNSPEC)
        return 0;
    if (name.nl_family != AF_NETLINK || length < sizeof name)
        return fail(EINVAL);
    if (name.nl_pid || name.nl_groups)
        return fail(name.nl_groups ? EPERM : ECONNREFUSED);
    take_port(socket_of(fd), 0);
    return 0;
}

void give_name(struct sockaddr *to, socklen_t *length, socklen_t room, uint32_t port, uint32_t groups)
{
    struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups };
    if (to && length) {
        memcpy(to, &name, room < sizeof name ? room : sizeof name);
        *length = sizeof name;
    }
}

EXPORT int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
    if (!is_ours(fd))
        return real_getsockname()(fd, address, length);
    if (!address.__sockaddr__ || !length)
        return fail(EFAULT);
    give_name(address.__sockaddr__, length, *length, socket_of(fd)->port, socket_of(fd)->groups);
    return 0;
}

/* The kernel. */
EXPORT int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
    if (!is_ours(fd))
        return real_getpeername()(fd, address, length);
    if (!address.__sockaddr__ || !length)
        return fail(EFAULT);
    give_name(address.__sockaddr__, length, *length, 0, 0);
    return 0;
}
