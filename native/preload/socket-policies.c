/* IP_XFRM_POLICY, IPV6_XFRM_POLICY: a bypass becomes the mark that Espalier's rules exempt, and its end the mark that the socket had before. */
#include "espalier-xfrm.h"
#include <string.h>

enum {
    MAX_BYPASSES = 1024,        /* sockets with a bypass */
};

/* A number can be closed and become another socket's: the cookie says whose it is. */
static struct bypass { uint64_t cookie; int fd; unsigned int mark; } bypasses[MAX_BYPASSES];     /* free: cookie 0 */

static uint64_t cookie_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    return real_getsockopt()(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

/* The bypass of a socket, or NULL. In turn. */
static struct bypass *find(uint64_t cookie)
{
    for (struct bypass *b = bypasses; b < &bypasses[MAX_BYPASSES]; b++)
        if (b->cookie == cookie)
            return b;
    return NULL;
}

/* A free place, or that of a socket that is closed, or NULL. In turn. */
static struct bypass *find_place(void)
{
    struct bypass *place = find(0);
    for (struct bypass *b = bypasses; !place && b < &bypasses[MAX_BYPASSES]; b++)
        if (cookie_of(b->fd) != b->cookie)
            place = b;
    return place;
}

/* In turn. 0 or an errno. */
static int set_bypass(int fd)
{
    unsigned int before = 0;
    socklen_t length = sizeof before;
    uint64_t cookie = cookie_of(fd);
    struct bypass *known = cookie ? find(cookie) : NULL, *place = known ? known : find_place();
    if (!place)
        return ENOBUFS;
    if (real_getsockopt()(fd, SOL_SOCKET, SO_MARK, &before, &length) < 0 ||
        real_setsockopt()(fd, SOL_SOCKET, SO_MARK, &bypass_mark, sizeof bypass_mark) < 0)
        return errno;
    if (!known)
        *place = (struct bypass){ cookie, fd, before };
    return 0;
}

/* A mark that the program has set meanwhile stays. In turn. 0 or an errno. */
static int end_bypass(int fd)
{
    unsigned int mark = 0;
    socklen_t length = sizeof mark;
    uint64_t cookie = cookie_of(fd);
    struct bypass *known = cookie ? find(cookie) : NULL;
    if (real_getsockopt()(fd, SOL_SOCKET, SO_MARK, &mark, &length) < 0)
        return errno;
    if (!known)
        return 0;
    if (mark == bypass_mark && real_setsockopt()(fd, SOL_SOCKET, SO_MARK, &known->mark, sizeof known->mark) < 0)
        return errno;
    *known = (struct bypass){ 0 };
    return 0;
}

/* No value: the socket's policies of both directions are removed. */
int set_socket_policy(int fd, const void *value, socklen_t length)
{
    struct xfrm_userpolicy_info policy = { .action = XFRM_POLICY_ALLOW };
    bool removes = !value || length == 0;
    if (!removes && length < sizeof policy)
        return fail(EINVAL);
    if (!removes)
        memcpy(&policy, value, sizeof policy);
    if (policy.action != XFRM_POLICY_ALLOW || (!removes && length > sizeof policy))
        return fail(EOPNOTSUPP);
    if (!removes && policy.dir != XFRM_POLICY_OUT)
        return 0;
    hook_fork();
    int cancel_state = take_turn();
    int error = removes ? end_bypass(fd) : set_bypass(fd);
    end_turn(cancel_state);
    return error ? fail(error) : 0;
}
