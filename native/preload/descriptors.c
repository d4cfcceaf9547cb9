/* The table of descriptors: which numbers are XFRM sockets, and which are ours behind them. And whose turn it is to speak and to change things. */
#include "espalier-xfrm.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    FIRST_HIDDEN = 512,         /* where B, the leases and the watch's connection stand, if the limit of open files allows it */
};

static _Atomic uint16_t table[MAX_DESCRIPTORS];
struct xfrm_socket sockets[MAX_SOCKETS];
pid_t self;

/* Whose turn it is to speak on the leases, and to change the above, the registrations (ike-sockets.c) and what is remembered (remembering.c, watch.c). */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

uint16_t entry_of(int fd)
{
    return fd >= 0 && fd < MAX_DESCRIPTORS ? atomic_load_explicit(&table[fd], memory_order_acquire) : 0;
}

/* A child of vfork runs in its parent's memory: it must not touch the table. */
bool is_ours(int fd)
{
    uint16_t entry = entry_of(fd);
    return entry && !(entry & HIDDEN) && getpid() == self;
}

void set_entry(int fd, uint16_t entry)
{
    if (fd >= 0 && fd < MAX_DESCRIPTORS)
        atomic_store_explicit(&table[fd], entry, memory_order_release);
}

uint16_t number_of(const struct xfrm_socket *s)
{
    return (uint16_t)(s - sockets);
}

struct xfrm_socket *socket_of(int fd)
{
    return &sockets[entry_of(fd) & ~HIDDEN];
}

/* One thread at a time speaks, or changes the table. One that is cancelled must not take the turn along. */
int take_turn(void)
{
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&turn);
    return cancel_state;
}

void end_turn(int cancel_state)
{
    pthread_mutex_unlock(&turn);
    pthread_setcancelstate(cancel_state, NULL);
}

/* Frees a socket that has no descriptors. In turn. */
void retire(struct xfrm_socket *s)
{
    if (s->descriptors > 0)
        return;
    set_entry(s->lease, 0);
    set_entry(s->data_plane_end, 0);
    discard(s->lease);
    discard(s->data_plane_end);
    memset(s, 0, sizeof *s);
}

/* Gives a further number to a socket, unless another thread has closed it meanwhile. */
int add_descriptor(uint16_t entry, int fd)
{
    if (fd < 0)
        return fd;
    int cancel_state = take_turn();
    int error = fd >= MAX_DESCRIPTORS ? EMFILE : sockets[entry].descriptors == 0 ? EBADF : 0;
    if (!error && entry_of(fd) != entry) {      /* equal: two threads have duplicated it to the same number */
        sockets[entry].descriptors++;
        set_entry(fd, entry);
    }
    end_turn(cancel_state);
    if (error)
        discard(fd);
    return error ? fail(error) : fd;
}

/* Forgets a number that is closed or replaced. */
void forget_descriptor(int fd)
{
    int cancel_state = take_turn();
    uint16_t entry = entry_of(fd);
    if (entry && !(entry & HIDDEN)) {
        set_entry(fd, 0);
        sockets[entry].descriptors--;
        retire(&sockets[entry]);
    }
    end_turn(cancel_state);
}

/* Moves a descriptor of ours to a high number, out of the program's way. Returns its number, or -1; `fd` is closed. */
int hide(const struct xfrm_socket *s, int fd)
{
    int hidden = real_fcntl()(fd, F_DUPFD_CLOEXEC, FIRST_HIDDEN);
    if (hidden < 0)
        hidden = real_fcntl()(fd, F_DUPFD_CLOEXEC, 0);
    discard(fd);
    set_entry(hidden, HIDDEN | number_of(s));
    return hidden;
}

/* The turn belonged to a thread of the parent. What that was about to change is half done at worst, and only our own descriptors get lost. */
static void in_child(void)
{
    self = getpid();
    pthread_mutex_init(&turn, NULL);
}

void hook_fork(void)
{
    self = getpid();
    pthread_atfork(NULL, NULL, in_child);
}
