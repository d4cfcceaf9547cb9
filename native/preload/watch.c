/* The watch of an IKE daemon: a thread that hands everything over to the next data plane, for a program that may not speak for long. */
#include "remembering.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>

enum {
    WATCH_MS = 100,             /* how often it looks for a data plane that is back */
};

static pid_t watched;           /* the process whose watch runs */
static int connection = -1;     /* its connection */

/* Waits for the end of the data plane, hands everything over to the next one, gives it the policies, and asks it for every SA. */
static void *watch(void *argument)
{
    int fd = (int)(intptr_t)argument, lease;
    for (;;) {
        struct pollfd waiting = { .fd = fd, .events = POLLRDHUP };
        if (poll(&waiting, 1, -1) <= 0)
            continue;
        do
            poll(NULL, 0, WATCH_MS);
        while ((lease = connect_control()) < 0);
        real_dup3()(lease, fd, O_CLOEXEC);
        discard(lease);
        int cancel_state = take_turn();
        revive_all();
        repeat_policies(fd);
        ask_for_associations(fd);
        end_turn(cancel_state);
    }
    return NULL;
}

/* Starts the watch of this process. It is not the program's thread: it takes no signals. Where it cannot start, the next SA or policy tries it again. In turn. */
static void start_watch(void)
{
    int lease = connect_control(), fd = lease < 0 ? -1 : hide(&sockets[0], lease);
    pthread_t thread;
    sigset_t all, before;
    if (fd < 0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, watch, (void *)(intptr_t)fd) == 0) {
        pthread_detach(thread);
        watched = getpid();
        connection = fd;
    } else {
        set_entry(fd, 0);
        discard(fd);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* In the child of a fork, which has no such thread: the connection would count as a client of its own, as long as the child lives. */
void end_watch(void)
{
    set_entry(connection, 0);
    discard(connection);
    connection = -1;
}

static bool is_subscribed(enum xfrm_nlgroups group)
{
    for (int i = 1; i < MAX_SOCKETS; i++)
        if (sockets[i].descriptors > 0 && sockets[i].groups & UINT32_C(1) << (group - 1))
            return true;
    return false;
}

/* One message of a request: remembers or forgets what it has installed or removed. In turn. */
void note(const struct nlmsghdr *message, int outcome)
{
    bool association = note_association(message, outcome), policy = note_policy(message, outcome);
    note_migration(message, outcome);
    if ((association || policy) && watched != getpid() && is_subscribed(XFRMNLGRP_EXPIRE))
        start_watch();
}
