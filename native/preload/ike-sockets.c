/* UDP encapsulation on the sockets of IKE daemons. */
#include "espalier-xfrm.h"
#include <string.h>

enum {
    MAX_REGISTRATIONS = 256,    /* sockets with UDP_ENCAP; the data plane's bound, too */
};

static struct registration { int fd; struct encapsulation name; } registrations[MAX_REGISTRATIONS];     /* free: all zero */

/* True for a UDP socket in a process that has an XFRM socket. */
bool is_ike_socket(int fd)
{
    int protocol = 0, i = 1;
    socklen_t length = sizeof protocol;
    if (!self || getpid() != self)
        return false;
    while (i < MAX_SOCKETS && sockets[i].descriptors == 0)
        i++;
    return i < MAX_SOCKETS && real_getsockopt()(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 && protocol == IPPROTO_UDP;
}

/* What a UDP socket receives that is bound to `address`, by default to its own. Port 0: it is not bound. */
static struct encapsulation receives(int fd, uint32_t operation, const struct sockaddr *address, socklen_t length)
{
    struct encapsulation name = { .operation = operation };
    union { struct sockaddr_storage any; struct sockaddr_in v4; struct sockaddr_in6 v6; } own = { .any = { 0 } };
    int only = 0;
    socklen_t size = sizeof own;
    if (!address)
        real_getsockname()(fd, (struct sockaddr *)&own, &size);
    else
        memcpy(&own, address, length < size ? length : size);
    if (own.any.ss_family == AF_INET) {
        name.port = own.v4.sin_port;
        memcpy(name.address, &own.v4.sin_addr, sizeof own.v4.sin_addr);
    } else if (own.any.ss_family == AF_INET6) {
        name.port = own.v6.sin6_port;
        memcpy(name.address, &own.v6.sin6_addr, sizeof own.v6.sin6_addr);
        size = sizeof only;
        real_getsockopt()(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size);
        if (!only && IN6_IS_ADDR_UNSPECIFIED(&own.v6.sin6_addr))
            own.any.ss_family = AF_UNSPEC;
    }
    name.family = own.any.ss_family;
    return name;
}

/* Tells the data plane over every lease of the process, so that a registration ends with the last of them. In turn. 0 or an errno. */
static int tell(const struct encapsulation *name)
{
    int error = ENOPROTOOPT;
    for (struct xfrm_socket *s = &sockets[1]; s < &sockets[MAX_SOCKETS]; s++)
        if (s->descriptors > 0 && (error = ensure_attached(s)) == 0)
            error = ask(s->lease, ENCAP, name, sizeof *name, -1);
    return error;
}

/* Tells a data plane that is back, on a new lease: 0, or ECONNREFUSED if it is gone again. In turn. */
int register_again(int lease)
{
    for (struct registration *r = registrations; r < &registrations[MAX_REGISTRATIONS]; r++)
        if (r->name.port && ask(lease, ENCAP, &r->name, sizeof r->name, -1) == ECONNREFUSED)
            return ECONNREFUSED;        /* another refusal is for the data plane to log: the SAs must go on */
    return 0;
}

static bool is_same(const struct encapsulation *a, const struct encapsulation *b)
{
    return a->port == b->port && a->family == b->family && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* Where the name is registered, or NULL; one of zeroes finds a free place. In turn. */
static struct registration *find(const struct encapsulation *name)
{
    for (struct registration *r = registrations; r < &registrations[MAX_REGISTRATIONS]; r++)
        if (is_same(&r->name, name))
            return r;
    return NULL;
}

/* Takes back what sockets have registered that are closed: a host whose addresses change would fill the table in the end. In turn. */
static void forget_closed(void)
{
    for (struct registration *r = registrations; r < &registrations[MAX_REGISTRATIONS]; r++) {
        struct encapsulation now = receives(r->fd, 0, NULL, 0), name = r->name;
        if (!is_same(&name, &now)) {
            *r = (struct registration){ 0 };
            name.operation = ENCAP_CLOSE;
            tell(&name);
        }
    }
}

/* UDP_ENCAP. Without a data plane it is kept, as a subscription is. In turn. 0 or an errno. */
static int set_encapsulation(int fd, const struct encapsulation *name)
{
    static const struct encapsulation none;
    struct registration *r = find(name);
    if (!r && name->operation == ENCAP_OPEN && !(r = find(&none))) {
        forget_closed();
        if (!(r = find(&none)))
            return ENOBUFS;
    }
    int error = tell(name);
    if (error == ECONNREFUSED)
        error = 0;
    if (r)
        *r = error || name->operation == ENCAP_CLOSE ? (struct registration){ 0 } : (struct registration){ fd, *name };
    return error;
}

int encapsulate(int fd, int type)
{
    struct encapsulation name = receives(fd, type ? ENCAP_OPEN : ENCAP_CLOSE, NULL, 0);
    int on = 1;
    if (name.port == 0)
        return fail(EINVAL);
    if (type)
        real_setsockopt()(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int cancel_state = take_turn();
    int error = set_encapsulation(fd, &name);
    end_turn(cancel_state);
    return error ? fail(error) : 0;
}

/* True if a UDP socket has UDP_ENCAP. */
bool is_encapsulated(int fd)
{
    struct encapsulation own = receives(fd, 0, NULL, 0);
    int cancel_state = take_turn();
    bool found = own.port && find(&own);
    end_turn(cancel_state);
    return found;
}

/* The data plane's own sockets may stand on the port: they and the program's can share it, unless another IKE daemon has it. */
int bind_beside(int fd, const struct sockaddr *address, socklen_t length)
{
    struct encapsulation name = receives(fd, ENCAP_MAY_SHARE, address, length);
    int on = 1, off = 0, cancel_state = take_turn(), error = tell(&name);
    end_turn(cancel_state);
    if (error)
        return fail(EADDRINUSE);
    real_setsockopt()(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (real_bind()(fd, address, length) == 0)
        return 0;
    real_setsockopt()(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off);
    return fail(EADDRINUSE);
}
