/* Sockets in several processes: fork, vfork, exec. */
#include "harness.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static void forked_processes_share(void)
{
    enum { CHILDREN = 3, ROUNDS = 300 };
    int fd = open_bound(0);
    uint32_t before = counter(fd, 1);
    for (int i = 0; i < CHILDREN; i++)
        if (fork() == 0) {
            for (int n = 0; n < ROUNDS; n++)
                CHECK(ask(fd, QUIET, 0, (uint32_t)n) > 0);
            int own = open_bound(0);
            CHECK(port_of(own) != 0 && port_of(own) != port_of(fd));
            echo(own, 1);
            _exit(0);
        }
    for (int n = 0; n < ROUNDS; n++)
        CHECK(ask(fd, QUIET, 0, (uint32_t)n) > 0);
    for (int i = 0, status; i < CHILDREN; i++)
        CHECK(wait(&status) > 0 && status == 0);
    CHECK(counter(fd, 1) == before + (CHILDREN + 1) * ROUNDS + CHILDREN + 1);
    pid_t child = fork();
    if (child == 0) {               /* the parent closes first: the socket lives on here */
        usleep(20000);
        echo(fd, 9);
        _exit(0);
    }
    close(fd);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void child_dies_in_a_request(void)
{
    int fd = open_bound(0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0)
            for (;;)
                ask(fd, QUIET, 0, 1);
        usleep(1000 + (useconds_t)i * 137);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        echo(fd, (uint32_t)i);
    }
}

static void vfork_child_leaves_the_table_alone(void)
{
    int fd = open_bound(0), file = open("/dev/null", O_RDWR), status;
    pid_t child = vfork();
    if (child == 0) {
        close(fd);
        dup2(file, 0);
        dup2(file, fd);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    echo(fd, 1);
}

static void executed_program_inherits_what_was_asked(void)
{
    char keep[16], gone[16], script[300];
    int kept = socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM), closed = open_bound(0), status, numbers[8];
    snprintf(keep, sizeof keep, "%d", kept);
    snprintf(gone, sizeof gone, "%d", closed);
    CHECK(hidden(numbers, 8) == 4);
    snprintf(script, sizeof script, "test -e /proc/self/fd/%s && ! test -e /proc/self/fd/%s && ! test -e /proc/self/fd/%d && ! test -e /proc/self/fd/%d && test -n \"$LD_PRELOAD\"",
             keep, gone, numbers[0], numbers[3]);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", script, (char *)NULL);
        _exit(9);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    echo(kept, 2);
}

const struct test process_tests[] = {
    TEST(forked_processes_share), TEST(child_dies_in_a_request), TEST(vfork_child_leaves_the_table_alone),
    TEST(executed_program_inherits_what_was_asked), { 0 },
};
