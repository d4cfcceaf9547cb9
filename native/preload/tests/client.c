/* A client's steps, which fail the test that takes them when they fail. */
#include "harness.h"
#include <poll.h>
#include <sys/stat.h>

int open_bound(uint32_t groups)
{
    struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_groups = groups };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
    CHECK(fd >= 0);
    CHECK(bind(fd, (struct sockaddr *)&name, sizeof name) == 0);
    return fd;
}

uint32_t port_of(int fd)
{
    struct sockaddr_nl name;
    socklen_t length = sizeof name;
    CHECK(getsockname(fd, (struct sockaddr *)&name, &length) == 0);
    CHECK(length == sizeof name && name.nl_family == AF_NETLINK);
    return name.nl_pid;
}

struct request make(uint16_t type, uint32_t count, uint32_t number)
{
    return (struct request){ .header = { .nlmsg_len = sizeof(struct request), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = number },
                             .count = count, .number = number };
}

ssize_t ask(int fd, uint16_t type, uint32_t count, uint32_t number)
{
    struct request request = make(type, count, number);
    return send(fd, &request, sizeof request, 0);
}

/* Asks, and finds the answer there when send returns. */
void echo(int fd, uint32_t number)
{
    struct request answer;
    CHECK(ask(fd, ECHO, 7, number) == sizeof(struct request));
    CHECK(recv(fd, &answer, sizeof answer, MSG_DONTWAIT) == sizeof answer);
    CHECK(answer.header.nlmsg_seq == number && answer.number == number && answer.header.nlmsg_pid == port_of(fd));
}

uint32_t counter(int fd, int which)
{
    uint32_t answer[8];
    CHECK(ask(fd, COUNT, 0, 1) > 0);
    CHECK(recv(fd, answer, sizeof answer, MSG_DONTWAIT) == sizeof answer);
    return answer[4 + which];
}

bool has_input(int fd)
{
    struct pollfd waiting = { .fd = fd, .events = POLLIN };
    return poll(&waiting, 1, 0) != 0;
}

/* The descriptors that the library keeps to itself: sockets at high numbers. */
int hidden(int numbers[], int room)
{
    struct stat status;
    int count = 0;
    for (int fd = 400; fd < 2000 && count < room; fd++)
        if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode))
            numbers[count++] = fd;
    return count;
}

void *wait_for_input(void *argument)
{
    char buffer[100];
    recvfrom(*(int *)argument, buffer, sizeof buffer, 0, NULL, NULL);
    return NULL;
}
