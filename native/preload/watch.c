/* The watch of an IKE daemon: a thread that hands everything over to the next data plane, for a program that may not speak for long, and learns which policies others remove. */
#include "remembering.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <linux/xfrm.h>

enum {
    WATCH_MS = 100,             /* how often it looks for a data plane that is back */
};

static pid_t watched;           /* the process whose watch runs */
static int connection = -1;     /* its connection */

/* From now on the data plane tells on this connection which policies come and go. In turn. */
static void hear_of_policies(int fd)
{
    uint32_t groups = UINT32_C(1) << (XFRMNLGRP_POLICY - 1);
    ask(fd, GROUPS, &groups, sizeof groups, -1);
}

/* Takes what the data plane has told; false where it is gone. */
static bool take_news(int fd)
{
    union { struct nlmsghdr header; char bytes[MAX_DATAGRAM]; } told;
    for (;;) {
        ssize_t length = real_recv()(fd, &told, sizeof told, MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return length < 0 && errno == EAGAIN;
        if ((size_t)length < sizeof told.header || told.header.nlmsg_len > (size_t)length)
            continue;
        int cancel_state = take_turn();
        review_policies(fd, &told.header);
        end_turn(cancel_state);
    }
}

/* Waits for the end of the data plane, hands everything over to the next one, gives it the policies, and asks it for every SA: on a second
   connection, as answers would be lost among what is told on the first. */
static void *watch(void *argument)
{
    int fd = (int)(intptr_t)argument, lease, questions;
    for (;;) {
        struct pollfd waiting = { .fd = fd, .events = POLLIN | POLLRDHUP };
        if (poll(&waiting, 1, -1) <= 0 || take_news(fd))
            continue;
        do
            poll(NULL, 0, WATCH_MS);
        while ((lease = connect_control()) < 0);
        real_dup3()(lease, fd, O_CLOEXEC);
        discard(lease);
        int cancel_state = take_turn();
        revive_all();
        hear_of_policies(fd);
        questions = connect_control();
        repeat_policies(questions);
        ask_for_associations(questions);
        discard(questions);
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
    hear_of_policies(fd);
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
