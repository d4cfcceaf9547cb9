/* Policies of single sockets: IKE daemons let theirs bypass IPsec. */
#include "harness.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <linux/xfrm.h>

static void bypass_becomes_a_mark(void)
{
    struct xfrm_userpolicy_info policy = { .action = XFRM_POLICY_ALLOW, .dir = XFRM_POLICY_OUT, .sel = { .family = AF_INET } };
    unsigned int mark = 0;
    socklen_t length = sizeof mark;
    int v4 = socket(AF_INET, SOCK_DGRAM, 0), v6 = socket(AF_INET6, SOCK_DGRAM, 0);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof policy) == 0);
    CHECK(getsockopt(v4, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark == 0x1234);
    CHECK(setsockopt(v6, IPPROTO_IPV6, IPV6_XFRM_POLICY, &policy, sizeof policy) == 0);
    CHECK(getsockopt(v6, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark == 0x1234);
    policy.dir = XFRM_POLICY_IN;
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof policy) == 0);
    policy.action = XFRM_POLICY_BLOCK;
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof policy) == -1 && errno == EOPNOTSUPP);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, &policy, 10) == -1 && errno == EINVAL);
    CHECK(setsockopt(v4, IPPROTO_IP, IP_XFRM_POLICY, NULL, 0) == 0);
    CHECK(getsockopt(v4, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark == 0);
}

static int set_policy(int fd)
{
    struct xfrm_userpolicy_info policy = { .action = XFRM_POLICY_ALLOW, .dir = XFRM_POLICY_OUT, .sel = { .family = AF_INET } };
    return setsockopt(fd, IPPROTO_IP, IP_XFRM_POLICY, &policy, sizeof policy);
}

static int remove_policies(int fd)
{
    return setsockopt(fd, IPPROTO_IP, IP_XFRM_POLICY, NULL, 0);
}

static unsigned int mark_of(int fd)
{
    unsigned int mark = 0;
    CHECK(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &(socklen_t){ sizeof mark }) == 0);
    return mark;
}

static int open_marked(unsigned int mark)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0);
    return fd;
}

static void the_mark_before_comes_back(void)
{
    unsigned int other = 9;
    int fd = open_marked(7);
    CHECK(remove_policies(fd) == 0 && mark_of(fd) == 7);                /* it has none */
    for (int i = 0; i < 2; i++) {
        CHECK(set_policy(fd) == 0 && set_policy(fd) == 0 && mark_of(fd) == 0x1234);
        CHECK(remove_policies(fd) == 0 && mark_of(fd) == 7);
    }
    CHECK(set_policy(fd) == 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &other, sizeof other) == 0);
    CHECK(remove_policies(fd) == 0 && mark_of(fd) == 9);                /* the program's own */
    CHECK(set_policy(fd) == 0);
    int copy = dup(fd), number = fd;
    close(fd);
    fd = open_marked(3);
    CHECK(fd == number && set_policy(fd) == 0 && remove_policies(fd) == 0 && mark_of(fd) == 3);         /* another socket at its number */
    CHECK(remove_policies(copy) == 0 && mark_of(copy) == 9);
    int same = open_marked(0x1234);
    CHECK(set_policy(same) == 0 && remove_policies(same) == 0 && mark_of(same) == 0x1234);
    CHECK(set_policy(open("/dev/null", O_RDWR)) == -1 && errno == ENOTSOCK && remove_policies(-1) == -1 && errno == EBADF);
}

static void bypasses_are_bounded(void)
{
    enum { MAX = 1024 };
    struct rlimit limit;
    int fd, held[MAX];
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    for (int i = 0; i < 2 * MAX; i++) {
        CHECK(set_policy(fd = open_marked(7)) == 0);
        close(fd);
    }
    for (int i = 0; i < MAX; i++)
        CHECK(set_policy(held[i] = open_marked(7)) == 0);
    CHECK(set_policy(fd = open_marked(7)) == -1 && errno == ENOBUFS && mark_of(fd) == 7);
    CHECK(remove_policies(held[5]) == 0 && mark_of(held[5]) == 7 && set_policy(fd) == 0 && mark_of(fd) == 0x1234);
}

const struct test socket_policy_tests[] = {
    TEST(bypass_becomes_a_mark), TEST(the_mark_before_comes_back), TEST(bypasses_are_bounded), { 0 },
};
