/* Addresses and options: bind, connect, getsockname, setsockopt, getsockopt. */
#include "espalier-xfrm.h"
#include <string.h>
#include <netinet/udp.h>

enum {
    GROUP_COUNT = 32,           /* multicast groups that the protocol can express */
    OLD_IP_IPSEC_POLICY = 16, OLD_IPV6_IPSEC_POLICY = 34,
};

/* As the kernel, but that it would let only one socket of the host have an id: nothing here depends on that. */
void take_port(struct xfrm_socket *s, uint32_t wanted)
{
    if (!s->port)
        s->port = wanted ? wanted : number_of(s) == 1 ? (uint32_t)getpid() : (uint32_t)-4096 - number_of(s);
}

/* A subscription while no data plane is there is kept and handed over with the socket. */
static int subscribe(struct xfrm_socket *s, uint32_t groups)
{
    uint32_t before = s->groups;
    s->groups = groups;
    int error = groups == before ? 0 : ask_in_turn(s, GROUPS, &groups, sizeof groups);
    if (error == ECONNREFUSED)
        error = 0;
    if (error)
        s->groups = before;
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
    return subscribe(s, name.nl_groups);
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

/* A is connected already. */
EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    return is_ours(fd) ? 0 : real_connect()(fd, address, length);
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

/* SOL_NETLINK: 0 or an errno. */
static int set_netlink_option(struct xfrm_socket *s, int name, const void *value, socklen_t length)
{
    uint32_t number;
    if (length < sizeof number)
        return EINVAL;
    memcpy(&number, value, sizeof number);
    switch (name) {
    case NETLINK_ADD_MEMBERSHIP:
    case NETLINK_DROP_MEMBERSHIP:
        if (number == 0 || number > GROUP_COUNT)
            return EINVAL;
        number = UINT32_C(1) << (number - 1);
        return subscribe(s, name == NETLINK_ADD_MEMBERSHIP ? s->groups | number : s->groups & ~number);
    case NETLINK_NO_ENOBUFS:
        s->ignores_loss = number != 0;
        return 0;
    case NETLINK_BROADCAST_ERROR:
    case NETLINK_CAP_ACK:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if (level == SOL_NETLINK && is_ours(fd)) {
        int error = set_netlink_option(socket_of(fd), name, value, length);
        return error ? fail(error) : 0;
    }
    if (((level == IPPROTO_IP && (name == IP_XFRM_POLICY || name == OLD_IP_IPSEC_POLICY)) ||
         (level == IPPROTO_IPV6 && (name == IPV6_XFRM_POLICY || name == OLD_IPV6_IPSEC_POLICY))) && is_enabled())
        return set_socket_policy(fd, value, length);
    int type;
    if (level == IPPROTO_UDP && name == UDP_ENCAP && length >= sizeof type && is_ike_socket(fd)) {
        memcpy(&type, value, sizeof type);
        if (type == 0 || type == UDP_ENCAP_ESPINUDP)
            return encapsulate(fd, type);
        if (type == UDP_ENCAP_ESPINUDP_NON_IKE)
            return fail(ENOPROTOOPT);
    }
    return real_setsockopt()(fd, level, name, value, length);
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
    int result = real_getsockopt()(fd, level, name, value, length), type = UDP_ENCAP_ESPINUDP;
    if (result == 0 && level == IPPROTO_UDP && name == UDP_ENCAP && *length == sizeof type && is_ike_socket(fd) && is_encapsulated(fd))
        memcpy(value, &type, sizeof type);
    return result;
}
