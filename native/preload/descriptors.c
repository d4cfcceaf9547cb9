/* The table of descriptors: which numbers are XFRM sockets, and which are ours behind them. And whose turn it is to speak and to change things. */
#include "espalier-xfrm.h"
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum {
    FIRST_HIDDEN = 512,         /* where B, the leases and the watch's connection stand, if the limit of open files allows it */
    PAGE = 4096,                /* numbers in a page of the table */
    PAGES = INT_MAX / PAGE + 1,
};

/* An entry for each number that a descriptor can have. Of the pages there are only those that were needed once, and they stay: others look into them. */
static _Atomic uint16_t *_Atomic pages[PAGES];
static _Atomic int page_end;    /* beyond the last one */
struct xfrm_socket sockets[MAX_SOCKETS];
pid_t self;

/* Whose turn it is to speak on the leases, and to change the above, the registrations (ike-sockets.c) and what is remembered (remembering.c, watch.c). */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

uint16_t entry_of(int fd)
{
    _Atomic uint16_t *page = fd >= 0 ? atomic_load_explicit(&pages[fd / PAGE], memory_order_acquire) : NULL;
    return page ? atomic_load_explicit(&page[fd % PAGE], memory_order_acquire) : 0;
}

/* The first number from `fd` on that has an entry, or INT_MAX: no descriptor has that. */
int next_entry(int fd)
{
    int end = atomic_load_explicit(&page_end, memory_order_acquire);
    while (fd / PAGE < end && !entry_of(fd))
        fd = atomic_load_explicit(&pages[fd / PAGE], memory_order_acquire) ? fd + 1 : (fd / PAGE + 1) * PAGE;
    return fd / PAGE < end ? fd : INT_MAX;
}

/* A child of vfork runs in its parent's memory: it must not touch the table. */
bool is_ours(int fd)
{
    uint16_t entry = entry_of(fd);
    return entry && !(entry & HIDDEN) && getpid() == self;
}

/* False, and nothing is changed, if the number is none or its page cannot be had. In turn. */
bool set_entry(int fd, uint16_t entry)
{
    _Atomic uint16_t *page = fd >= 0 ? atomic_load_explicit(&pages[fd / PAGE], memory_order_acquire) : NULL;
    if (fd < 0)
        return false;
    if (!page) {
        void *memory = mmap(NULL, PAGE * sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return false;
        page = memory;
        atomic_store_explicit(&pages[fd / PAGE], page, memory_order_release);
        if (page_end <= fd / PAGE)
            atomic_store_explicit(&page_end, fd / PAGE + 1, memory_order_release);
    }
    atomic_store_explicit(&page[fd % PAGE], entry, memory_order_release);
    return true;
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
    int error = sockets[entry].descriptors == 0 ? EBADF : 0;
    if (!error && entry_of(fd) != entry) {      /* equal: two threads have duplicated it to the same number */
        if (set_entry(fd, entry))
            sockets[entry].descriptors++;
        else
            error = EMFILE;
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
    if (hidden >= 0 && !set_entry(hidden, HIDDEN | number_of(s))) {
        discard(hidden);
        return fail(EMFILE);
    }
    return hidden;
}

/* The turn belonged to a thread of the parent. What that was about to change is half done at worst, and only our own descriptors get lost. */
static void in_child(void)
{
    self = getpid();
    pthread_mutex_init(&turn, NULL);
    end_watch();
}

static void hook(void)
{
    self = getpid();
    pthread_atfork(NULL, NULL, in_child);
}

/* Before a process takes its first turn. */
void hook_fork(void)
{
    static pthread_once_t hooked = PTHREAD_ONCE_INIT;
    pthread_once(&hooked, hook);
}
