/* Sockets in several processes: fork, vfork, exec. */
#include "harness.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <linux/xfrm.h>

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

static void forked_process_keeps_timeouts_and_buffers(void)
{
    static const int names[] = { SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVBUF, SO_SNDBUF };
    int fd = open_bound(0), receive = 30000, send_buffer = 50000, status;
    struct timeval seconds[2] = { { .tv_sec = 3 }, { .tv_sec = 4 } };
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &seconds[0], sizeof *seconds) == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &seconds[1], sizeof *seconds) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive) == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer) == 0);
    pid_t child = fork();
    if (child == 0) {
        char before[4][16] = { { 0 } }, after[4][16] = { { 0 } };
        for (int i = 0; i < 4; i++)
            CHECK(getsockopt(fd, SOL_SOCKET, names[i], before[i], &(socklen_t){ sizeof *before }) == 0);
        echo(fd, 1);            /* a pair of its own from here on */
        for (int i = 0; i < 4; i++)
            CHECK(getsockopt(fd, SOL_SOCKET, names[i], after[i], &(socklen_t){ sizeof *after }) == 0 && memcmp(before[i], after[i], sizeof *after) == 0);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

/* The thread that watches for the next data plane is the parent's, and so is its connection. */
static void forked_process_has_no_connection_of_the_watch(void)
{
    int events = open_bound(1u << (XFRMNLGRP_EXPIRE - 1)), numbers[8], status;
    struct { struct nlmsghdr header; struct xfrm_usersa_info info; } sa = { { sizeof sa, XFRM_MSG_NEWSA, NLM_F_REQUEST, 1, 0 }, { .id = { .spi = 1 } } };
    CHECK(send(events, &sa, sizeof sa, 0) == sizeof sa && hidden(numbers, 8) == 3);
    pid_t child = fork();
    if (child == 0) {
        CHECK(hidden(numbers, 8) == 2);
        echo(events, 1);
        CHECK(send(events, &sa, sizeof sa, 0) == sizeof sa && hidden(numbers, 8) == 3);         /* its own */
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(hidden(numbers, 8) == 3);
    stop_server();
    start_server();
    struct pollfd expiry = { .fd = events, .events = POLLIN };
    CHECK(poll(&expiry, 1, 10000) == 1);
}

static void *echo_for_a_while(void *argument)
{
    for (uint32_t i = 0; i < 3000; i++)
        echo(*(int *)argument, i);
    return NULL;
}

/* A child that takes one socket over reads nothing that the data plane says about another. */
static void forked_process_leaves_the_answers_of_others_alone(void)
{
    int taken = open_bound(0), shared = open_bound(0), status;
    pthread_t speaker;
    CHECK(pthread_create(&speaker, NULL, echo_for_a_while, &shared) == 0);
    for (uint32_t i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            echo(taken, i);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    CHECK(pthread_join(speaker, NULL) == 0);
}

const struct test process_tests[] = {
    TEST(forked_processes_share), TEST(child_dies_in_a_request), TEST(vfork_child_leaves_the_table_alone),
    TEST(executed_program_inherits_what_was_asked), TEST(forked_process_keeps_timeouts_and_buffers), TEST(forked_process_has_no_connection_of_the_watch),
    TEST(forked_process_leaves_the_answers_of_others_alone), { 0 },
};
