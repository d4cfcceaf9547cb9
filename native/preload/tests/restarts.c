/* The data plane dies, and another one comes. */
#include "harness.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <linux/xfrm.h>

static void data_plane_dies_and_returns(void)
{
    int events = open_bound(1 << (XFRMNLGRP_ACQUIRE - 1)), requests = open_bound(0), third = open_bound(0);
    for (int round = 0; round < 3; round++) {
        stop_server();
        CHECK(!has_input(events) && !has_input(requests));          /* no end-of-file to spin on */
        CHECK(recv(events, &(char[10]){ 0 }, 10, MSG_DONTWAIT) == -1 && errno == EAGAIN);
        CHECK(ask(requests, ECHO, 0, 1) == -1 && errno == ECONNREFUSED);
        CHECK(ask(requests, ECHO, 0, 2) == -1 && errno == ECONNREFUSED);
        CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM) == -1 && errno == EPROTONOSUPPORT);
        start_server();
        echo(requests, 3);
        CHECK(counter(requests, 0) == 3 && counter(requests, 1) == 3);     /* all three sockets; none of the lost requests */
        CHECK(ask(requests, NOTIFY, XFRMNLGRP_ACQUIRE, 9) > 0 && has_input(events));
        CHECK(recv(events, &(char[100]){ 0 }, 100, 0) == 20);
        echo(third, 4);
    }
}

static void data_plane_dies_in_a_request(void)
{
    int fd = open_bound(0);
    CHECK(ask(fd, DIE, 0, 1) == -1 && errno == ECONNREFUSED);
    CHECK(ask(fd, ECHO, 0, 1) == -1 && errno == ECONNREFUSED);
    waitpid(server, NULL, 0);
    start_server();
    echo(fd, 2);
    CHECK(counter(fd, 1) == 2);
}

static void *receive_rest(void *argument)
{
    _Alignas(8) char buffer[8192];
    ssize_t length;
    while ((length = recvfrom(*(int *)argument, buffer, sizeof buffer, 0, NULL, NULL)) > 0)
        ;
    return (void *)(intptr_t)(length < 0 ? errno : 0);
}

static void blocked_receiver_learns_of_the_end(void)
{
    int fd = open_bound(0);
    pthread_t receiver;
    void *result;
    CHECK(ask(fd, DUMP, 3, 1) > 0);
    CHECK(pthread_create(&receiver, NULL, receive_rest, &fd) == 0);
    usleep(20000);
    stop_server();
    CHECK(pthread_join(receiver, &result) == 0 && (intptr_t)result == ECONNREFUSED);
    start_server();
    echo(fd, 2);
}

static void subscriber_that_never_sends_comes_back(void)
{
    int events = open_bound(1);
    pthread_t receiver;
    CHECK(pthread_create(&receiver, NULL, wait_for_input, &events) == 0);
    usleep(20000);
    stop_server();
    usleep(20000);
    start_server();
    pid_t child = fork();
    if (child == 0) {               /* requests of another process, so that nothing but the receive itself attaches */
        close(events);
        for (int fd = open_bound(0);; usleep(20000))
            CHECK(ask(fd, NOTIFY, 1, 1) > 0);
    }
    CHECK(pthread_join(receiver, NULL) == 0);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void on_signal(int number)
{
    (void)number;
}

static void signal_interrupts_a_blocked_receive(void)
{
    int fd = open_bound(1);
    struct sigaction action = { .sa_handler = on_signal };
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        for (;; usleep(5000))
            kill(parent, SIGUSR1);
    CHECK(recvfrom(fd, &(char[10]){ 0 }, 10, 0, NULL, NULL) == -1 && errno == EINTR);
    for (uint32_t i = 0; i < 200; i++)
        echo(fd, i);                /* a request is not interrupted, as in the kernel */
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void forked_process_and_restart(void)
{
    int fd = open_bound(1), go[2], status;
    CHECK(pipe(go) == 0);
    pid_t child = fork();
    if (child == 0) {
        char c;
        CHECK(read(go[0], &c, 1) == 1);
        echo(fd, 1);            /* a pair of its own from here on */
        CHECK(ask(fd, NOTIFY, 1, 5) > 0 && recv(fd, &(char[100]){ 0 }, 100, MSG_DONTWAIT) == 20);
        _exit(0);
    }
    stop_server();
    start_server();
    echo(fd, 1);
    CHECK(write(go[1], "x", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(has_input(fd) && recv(fd, &(char[100]){ 0 }, 100, 0) == 20 && !has_input(fd));
}

static void *receive_one(void *argument)
{
    int way = ((int *)argument)[1], fd = *(int *)argument;
    _Alignas(8) char buffer[8192];
    struct iovec room = { buffer, sizeof buffer };
    struct msghdr in = { .msg_iov = &room, .msg_iovlen = 1 };
    ssize_t length = way == 0 ? recv(fd, buffer, sizeof buffer, 0) : way == 1 ? read(fd, buffer, sizeof buffer)
                   : way == 2 ? recvmsg(fd, &in, 0) : recvfrom(fd, buffer, sizeof buffer, 0, NULL, NULL);
    return (void *)(intptr_t)(length < 0 ? errno : 0);
}

/* Of several receivers one gets what comes: the others wait on, and learn of the end, too. */
static void every_blocked_receiver_learns_of_the_end(void)
{
    for (int round = 0; round < 4; round++) {
        int fd = open_bound(0), ways[4][2], got = 0;
        pthread_t receivers[4];
        for (int i = 0; i < 4; i++) {
            ways[i][0] = fd;
            ways[i][1] = i;
            CHECK(pthread_create(&receivers[i], NULL, receive_one, ways[i]) == 0);
        }
        usleep(20000);
        CHECK(ask(fd, ECHO, 7, 1) > 0);
        while (has_input(fd))
            usleep(1000);
        usleep(20000);
        stop_server();
        for (int i = 0; i < 4; i++) {
            void *result;
            CHECK(pthread_join(receivers[i], &result) == 0 && (result == NULL || (intptr_t)result == ECONNREFUSED));
            got += result == NULL;
        }
        CHECK(got == 1);
        start_server();
        close(fd);
    }
}

/* A handler with SA_RESTART does not end a receive. */
static void restarted_receive_goes_on(void)
{
    int fd = open_bound(1);
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        close(fd);
        fd = open_bound(0);
        for (int i = 0; i < 20; i++, usleep(2000))
            kill(parent, SIGUSR1);
        CHECK(ask(fd, NOTIFY, 1, 5) > 0);
        _exit(0);
    }
    CHECK(recvfrom(fd, &(char[100]){ 0 }, 100, 0, NULL, NULL) == 20);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* One that does not answer counts as gone: what it has not handled by then it will never handle. */
static void data_plane_that_hangs_counts_as_gone(void)
{
    int fd = open_bound(0);
    CHECK(kill(server, SIGSTOP) == 0 && waitpid(server, NULL, WUNTRACED) == server);
    CHECK(ask(fd, ECHO, 0, 1) == -1 && errno == ECONNREFUSED);
    CHECK(kill(server, SIGCONT) == 0);
    echo(fd, 2);
    CHECK(counter(fd, 1) == 2 && counter(fd, 2) == 1);
}

const struct test restart_tests[] = {
    TEST(data_plane_dies_and_returns), TEST(data_plane_dies_in_a_request), TEST(blocked_receiver_learns_of_the_end),
    TEST(subscriber_that_never_sends_comes_back), TEST(signal_interrupts_a_blocked_receive), TEST(forked_process_and_restart),
    TEST(every_blocked_receiver_learns_of_the_end), TEST(restarted_receive_goes_on), TEST(data_plane_that_hangs_counts_as_gone), { 0 },
};
