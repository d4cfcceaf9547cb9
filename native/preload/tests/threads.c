/* Sockets in several threads: shared, raced for, cancelled; and requests that the library does not see. */
#include "harness.h"
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void *speak(void *argument)
{
    int shared = *(int *)argument;
    for (int i = 0; i < 40; i++) {
        int own = open_bound(0);
        echo(own, (uint32_t)i);
        CHECK(ask(shared, QUIET, 0, 1) > 0);
        int copy = dup(own);
        close(own);
        echo(copy, (uint32_t)i);
        close(copy);
    }
    return NULL;
}

static void threads(void)
{
    pthread_t running[8];
    int shared = open_bound(0);
    uint32_t leases = counter(shared, 2);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_create(&running[i], NULL, speak, &shared) == 0);
    for (int i = 0; i < 8; i++)
        CHECK(pthread_join(running[i], NULL) == 0);
    CHECK(counter(shared, 2) == leases && hidden((int[8]){ 0 }, 8) == 2);
}

static int raced;

static void *race(void *argument)
{
    for (unsigned int i = 0, state = (unsigned int)(uintptr_t)argument; i < 2000; i++) {
        int number = (int)(state = state * 1103515245 + 12345) >> 16 & 3, other = 300 + ((number + 1) & 3);
        if (state & 0x8000)
            close(300 + number);
        else if (state & 0x4000)
            dup2(raced, 300 + number);
        else
            dup2(other, 300 + number);
        ask(300 + number, QUIET, 0, i);
    }
    return NULL;
}

/* Closing and replacing what others use: errors, but no socket is lost, and nobody's descriptor is closed. */
static void racing_threads(void)
{
    pthread_t running[4];
    raced = open_bound(0);
    uint32_t leases = counter(raced, 2);
    struct stat before, after;
    CHECK(fstat(0, &before) == 0);
    for (uintptr_t i = 0; i < 4; i++)
        CHECK(pthread_create(&running[i], NULL, race, (void *)(i + 1)) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(running[i], NULL) == 0);
    for (int i = 300; i < 304; i++)
        close(i);
    echo(raced, 1);
    CHECK(counter(raced, 2) == leases && hidden((int[8]){ 0 }, 8) == 2);
    CHECK(fstat(0, &after) == 0 && after.st_ino == before.st_ino);
}

/* As a thread does that sends on a number just closed or being duplicated to: the library does not see it, and nobody waits for its DONE. */
static void requests_past_the_library(void)
{
    int fd = open_bound(0);
    for (uint32_t i = 1; i <= 2000; i++) {
        struct request quiet = make(QUIET, 0, 10000 + i);
        CHECK(syscall(SYS_sendto, fd, &quiet, sizeof quiet, 0, NULL, 0) == sizeof quiet);
        echo(fd, i);
    }
}

static void *ask_for_ever(void *argument)
{
    for (;;)
        if (ask(*(int *)argument, QUIET, 0, 1) < 0)
            return argument;
}

static void cancelled_threads(void)
{
    int fd = open_bound(0), other = open_bound(0);
    for (int i = 0; i < 10; i++) {
        pthread_t receiver, sender;
        CHECK(pthread_create(&receiver, NULL, wait_for_input, &fd) == 0 && pthread_create(&sender, NULL, ask_for_ever, &other) == 0);
        usleep(2000);
        void *result;
        CHECK(pthread_cancel(receiver) == 0 && pthread_join(receiver, &result) == 0 && result == PTHREAD_CANCELED);
        CHECK(pthread_cancel(sender) == 0);
        pthread_testcancel();
        stop_server();                      /* ends a sender that met no cancellation point */
        CHECK(pthread_join(sender, &result) == 0);
        start_server();
        echo(fd, 1);
        echo(other, 2);
    }
    close(fd);
    close(other);
    CHECK(hidden((int[8]){ 0 }, 8) == 0);
}

enum { MEMBERS = 8, ROUNDS = 100 };

static pthread_barrier_t round_begins, round_ends;
static int subscriber;

static void *join_in_each_round(void *argument)
{
    uint32_t group = (uint32_t)(uintptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&round_begins);
        CHECK(setsockopt(subscriber, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) == 0);
        pthread_barrier_wait(&round_ends);
    }
    return NULL;
}

/* Threads that each join one group at the same time: none undoes what another does. */
static void threads_that_subscribe(void)
{
    pthread_t running[MEMBERS];
    struct sockaddr_nl nothing = { .nl_family = AF_NETLINK };
    int requests = open_bound(0);
    subscriber = open_bound(0);
    CHECK(pthread_barrier_init(&round_begins, NULL, MEMBERS + 1) == 0 && pthread_barrier_init(&round_ends, NULL, MEMBERS + 1) == 0);
    for (uintptr_t i = 0; i < MEMBERS; i++)
        CHECK(pthread_create(&running[i], NULL, join_in_each_round, (void *)(i + 1)) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(bind(subscriber, (struct sockaddr *)&nothing, sizeof nothing) == 0);
        pthread_barrier_wait(&round_begins);
        pthread_barrier_wait(&round_ends);
        for (uint32_t group = 1; group <= MEMBERS; group++)
            CHECK(ask(requests, NOTIFY, group, group) > 0 && has_input(subscriber) && recv(subscriber, &(char[100]){ 0 }, 100, MSG_DONTWAIT) == 20);
    }
    for (int i = 0; i < MEMBERS; i++)
        CHECK(pthread_join(running[i], NULL) == 0);
}

const struct test thread_tests[] = {
    TEST(threads), TEST(racing_threads), TEST(requests_past_the_library), TEST(cancelled_threads), TEST(threads_that_subscribe), { 0 },
};
