/* Options: setsockopt, getsockopt. */
#include "espalier-xfrm.h"
#include <string.h>
#include <netinet/udp.h>

enum {
    GROUP_COUNT = 32,           /* multicast groups that the protocol can express */
    OLD_IP_IPSEC_POLICY = 16, OLD_IPV6_IPSEC_POLICY = 34,
};

/* SOL_NETLINK: 0 or an errno. */
static int set_netlink_option(struct xfrm_socket *s, int name, const void *value, socklen_t length)
{
    uint32_t number;
    if (length < sizeof number)
        return EINVAL;
    if (!value)
        return EFAULT;
    memcpy(&number, value, sizeof number);
    switch (name) {
    case NETLINK_ADD_MEMBERSHIP:
    case NETLINK_DROP_MEMBERSHIP:
        if (number == 0 || number > GROUP_COUNT)
            return EINVAL;
        number = UINT32_C(1) << (number - 1);
        return subscribe(s, ~number, name == NETLINK_ADD_MEMBERSHIP ? number : 0);
    case NETLINK_NO_ENOBUFS:
        s->ignores_loss = number != 0;
        break;
    case NETLINK_BROADCAST_ERROR:
    case NETLINK_CAP_ACK:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
        break;
    default:
        return ENOPROTOOPT;
    }
    s->options = number ? s->options | UINT32_C(1) << name : s->options & ~(UINT32_C(1) << name);
    return 0;
}

/* SOL_NETLINK: 0 or an errno. */
static int get_netlink_option(const struct xfrm_socket *s, int name, void *value, socklen_t *length)
{
    uint32_t number;
    if (!length)
        return EFAULT;
    switch (name) {
    case NETLINK_LIST_MEMBERSHIPS:
        number = s->groups;
        break;
    case NETLINK_PKTINFO:
    case NETLINK_NO_ENOBUFS:
    case NETLINK_BROADCAST_ERROR:
    case NETLINK_CAP_ACK:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
        number = s->options >> name & 1;
        if (*length < sizeof number)
            return EINVAL;
        break;
    default:
        return ENOPROTOOPT;
    }
    if (*length >= sizeof number && !value)
        return EFAULT;
    if (*length >= sizeof number)
        memcpy(value, &number, sizeof number);
    *length = sizeof number;        /* of the memberships: what they need */
    return 0;
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

/* What the kernel has told of A, but that is a Unix socket. */
static void tell_netlink(const struct xfrm_socket *s, int name, void *value, socklen_t length)
{
    int answer = name == SO_DOMAIN ? AF_NETLINK : name == SO_PROTOCOL ? NETLINK_XFRM : s->type;
    if (name == SO_DOMAIN || name == SO_PROTOCOL || name == SO_TYPE)
        memcpy(value, &answer, length < sizeof answer ? length : sizeof answer);
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
    if (level == SOL_NETLINK && is_ours(fd)) {
        int error = get_netlink_option(socket_of(fd), name, value, length);
        return error ? fail(error) : 0;
    }
    int result = real_getsockopt()(fd, level, name, value, length), type = UDP_ENCAP_ESPINUDP;
    if (result == 0 && level == SOL_SOCKET && is_ours(fd))
        tell_netlink(socket_of(fd), name, value, *length);
    if (result == 0 && level == IPPROTO_UDP && name == UDP_ENCAP && *length == sizeof type && is_ike_socket(fd) && is_encapsulated(fd))
        memcpy(value, &type, sizeof type);
    return result;
}
