/*
 * libespalier-xfrm.so: gives a program Espalier where it opens a socket to the kernel's XFRM.
 *
 *     ESPALIER_CONTROL=/run/espalier.sock LD_PRELOAD=…/libespalier-xfrm.so PROGRAM      (`espalier exec` sets both)
 *
 * Contract
 * --------
 * Without ESPALIER_CONTROL, and for every descriptor that this library did not make, each call goes to the C library as it is, after
 * one look into a table. There are two exceptions, both for IKE sockets: see "IKE sockets" below.
 *
 * socket(AF_NETLINK, SOCK_RAW | SOCK_DGRAM, NETLINK_XFRM) makes an XFRM socket: a pair of Unix datagram sockets. The program gets end A, a
 * real descriptor: select, poll, epoll, read, recv, SO_RCVTIMEO, MSG_PEEK, MSG_TRUNC, O_NONBLOCK and FD_CLOEXEC are the kernel's own.
 * End B goes to the data plane over a connection to its control socket. That connection is the lease: one per XFRM socket, open as long as
 * the socket. A copy of B stays here, so that the death of the data plane is no end-of-file on A, which would make event loops spin.
 *
 *     program ── A ═══ B ── data plane             requests, answers, notifications: one netlink datagram each
 *     library ── lease ──── data plane             ATTACH (with B), GROUPS, DONE
 *
 * On an XFRM socket:
 *   bind, connect, getsockname,      speak sockaddr_nl. The first socket of a process has the port id getpid(), the others negative ones,
 *     getpeername                    as in the kernel. nl_groups becomes the subscription.
 *   setsockopt, getsockopt           SOL_NETLINK: memberships, EXT_ACK, CAP_ACK, GET_STRICT_CHK and the other flags; PKTINFO is refused.
 *                                    SO_RCVBUF(FORCE) is applied where the bytes are charged, to B. SO_DOMAIN, SO_PROTOCOL, SO_TYPE.
 *   send, sendto, sendmsg, sendmmsg, send the request with nlmsg_pid = the socket's port id, and return when the data plane has handled it:
 *     write, writev                  its answer (of a dump: the first part) is then queued, which programs rely on.
 *   recvmsg, recvmmsg, recvfrom      fill in the sender: the kernel, sockaddr_nl with nl_pid 0.
 *   recv*, read, readv               where they block: without a subscription they fail with ECONNREFUSED if the data plane dies, instead of
 *                                    waiting for an answer that cannot come; with one they wait for a data plane that is back.
 *   close, close_range, closefrom,   keep the table right. B and the lease stand at high numbers of their own; they cannot be closed by the
 *     dup, dup2, dup3, fcntl         program, and give way where it asks for their number.
 *
 * Data plane absent: socket() fails with EPROTONOSUPPORT, as on a kernel without XFRM; refused: with the errno of the refusal.
 * Data plane gone later: send fails with ECONNREFUSED, or, when a data plane is back, hands B and the subscription over again, also for
 * every other XFRM socket of the process; a receive that blocks on a subscription does so, too. A request whose fate is unknown is not repeated.
 *
 * Threads may share an XFRM socket; requests on one socket are handled one after the other, as in the kernel. After fork parent and child
 * share it, too. After exec a descriptor without FD_CLOEXEC is no XFRM socket any more. A child made by vfork may do what it is allowed to:
 * close, dup2, exec. Not seen: static programs, system calls made directly (Go), io_uring, programs that drop LD_PRELOAD (setuid).
 *
 * IKE sockets
 * -----------
 * setsockopt(IP_XFRM_POLICY, IPV6_XFRM_POLICY) with a policy that bypasses IPsec sets SO_MARK to the mark that Espalier's routing rules
 * exempt (ESPALIER_MARK, default 0x4550). A policy that asks for protection of a single socket is refused with EOPNOTSUPP.
 * setsockopt(UDP_ENCAP) goes to the kernel.
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

#define EXPORT __attribute__((visibility("default")))

/* Messages of the control connection. */
enum { ATTACH = 0xE500, DONE = 0xE501, GROUPS = 0xE502, ATTACH_VERSION = 1 };

enum {
    ANSWER_MS = 10000,          /* a data plane that does not answer for so long counts as gone */
    RETRY_MS = 1000,            /* how often a blocked subscriber looks for a data plane that is back */
    MAX_DESCRIPTORS = 65536,    /* numbers that an XFRM socket can have */
    MAX_SOCKETS = 256,          /* XFRM sockets of a process; entry 0 is not used */
    HIDDEN = 0x8000,            /* in the table: B or the lease of the socket in the low bits */
    GROUP_COUNT = 32,           /* multicast groups that the protocol can express */
    DEFAULT_MARK = 0x4550,
    OLD_IP_IPSEC_POLICY = 16, OLD_IPV6_IPSEC_POLICY = 34,
};

/* What a socket shares with the processes that are forked from its own. */
struct shared {
    pthread_mutex_t turn;       /* whose turn it is to speak on the lease */
    uint32_t groups;            /* subscription: bit n - 1 is group n; changed by whose turn it is */
};

struct xfrm_socket {
    bool used;
    int descriptors;            /* numbers of A in this process */
    int calls;                  /* calls in flight that use the socket */
    int data_plane_end;         /* our copy of B */
    int lease;                  /* keeps its number for the socket's life */
    int type;
    pid_t creator;              /* the process that attached B */
    bool bound;
    uint32_t port, peer, options;
    struct shared *shared;
};

static _Atomic uint16_t table[MAX_DESCRIPTORS];
static struct xfrm_socket sockets[MAX_SOCKETS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;  /* guards `sockets` and changes of `table`; never held while blocked */
static pid_t self;                                              /* differs from getpid() in a child of vfork */
static char control_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static unsigned int bypass_mark = DEFAULT_MARK;
static pthread_once_t configured = PTHREAD_ONCE_INIT, fork_hooked = PTHREAD_ONCE_INIT;

/* ---- The C library's own functions. Found at first use: constructors of other libraries call us before ours would run. ---- */

#define REAL(name)                                                          \
    static __typeof__(&name) real_##name(void)                              \
    {                                                                       \
        static void *_Atomic found;                                         \
        void *function = atomic_load_explicit(&found, memory_order_acquire); \
        if (!function) {                                                    \
            function = dlsym(RTLD_NEXT, #name);                             \
            atomic_store_explicit(&found, function, memory_order_release);  \
        }                                                                   \
        return (__typeof__(&name))function;                                 \
    }

EXPORT ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, __SOCKADDR_ARG, socklen_t *);
EXPORT ssize_t __recv_chk(int, void *, size_t, size_t, int);
EXPORT ssize_t __read_chk(int, void *, size_t, size_t);
EXPORT int fcntl64(int, int, ...);

REAL(socket) REAL(bind) REAL(connect) REAL(getsockname) REAL(getpeername) REAL(getsockopt) REAL(setsockopt)
REAL(recvmsg) REAL(recvmmsg) REAL(recvfrom) REAL(__recvfrom_chk) REAL(recv) REAL(__recv_chk) REAL(read) REAL(__read_chk) REAL(readv)
REAL(send) REAL(sendto) REAL(sendmsg) REAL(sendmmsg) REAL(write) REAL(writev)
REAL(close) REAL(close_range) REAL(closefrom) REAL(dup) REAL(dup2) REAL(dup3) REAL(fcntl) REAL(fcntl64)

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---- The table of descriptors ---- */

static uint16_t entry_of(int fd)
{
    return fd >= 0 && fd < MAX_DESCRIPTORS ? atomic_load_explicit(&table[fd], memory_order_acquire) : 0;
}

/* A child of vfork runs in its parent's memory: it must not touch the table. */
static bool is_ours(int fd)
{
    uint16_t entry = entry_of(fd);
    return entry && !(entry & HIDDEN) && getpid() == self;
}

static void set_entry(int fd, uint16_t entry)
{
    atomic_store_explicit(&table[fd], entry, memory_order_release);
}

/* Frees a socket that has neither descriptors nor calls. Called with the table locked; the caller closes what it gets. */
static bool retire(struct xfrm_socket *s, int closing[2])
{
    if (!s->used || s->descriptors > 0 || s->calls > 0)
        return false;
    closing[0] = s->lease;
    closing[1] = s->data_plane_end;
    for (int i = 0; i < 2; i++)
        if (closing[i] >= 0 && closing[i] < MAX_DESCRIPTORS)
            set_entry(closing[i], 0);
    if (s->shared)
        munmap(s->shared, sizeof *s->shared);
    memset(s, 0, sizeof *s);
    return true;
}

static void close_both(const int closing[2])
{
    int saved = errno;
    for (int i = 0; i < 2; i++)
        if (closing[i] >= 0)
            real_close()(closing[i]);
    errno = saved;
}

/* The socket of a descriptor, kept from being freed until release(). */
static struct xfrm_socket *acquire(int fd)
{
    pthread_mutex_lock(&table_lock);
    uint16_t entry = entry_of(fd);
    struct xfrm_socket *s = entry && !(entry & HIDDEN) ? &sockets[entry] : NULL;
    if (s)
        s->calls++;
    pthread_mutex_unlock(&table_lock);
    if (!s)
        errno = EBADF;
    return s;
}

static void release(void *socket)
{
    struct xfrm_socket *s = socket;
    int closing[2];
    pthread_mutex_lock(&table_lock);
    s->calls--;
    bool retired = retire(s, closing);
    pthread_mutex_unlock(&table_lock);
    if (retired)
        close_both(closing);
}

/* Gives a further number to a socket. */
static int add_descriptor(uint16_t entry, int fd)
{
    if (fd < 0)
        return fd;
    if (fd >= MAX_DESCRIPTORS) {
        real_close()(fd);
        return fail(EMFILE);
    }
    pthread_mutex_lock(&table_lock);
    sockets[entry].descriptors++;
    set_entry(fd, entry);
    pthread_mutex_unlock(&table_lock);
    return fd;
}

/* Forgets a number that is about to be closed or replaced. */
static void forget_descriptor(int fd)
{
    int closing[2];
    bool retired = false;
    pthread_mutex_lock(&table_lock);
    uint16_t entry = entry_of(fd);
    if (entry && !(entry & HIDDEN)) {
        set_entry(fd, 0);
        sockets[entry].descriptors--;
        retired = retire(&sockets[entry], closing);
    }
    pthread_mutex_unlock(&table_lock);
    if (retired)
        close_both(closing);
}

/* Moves a descriptor of ours to a high number, out of the program's way. Returns its number, or -1 and closes it. */
static int hide(int fd, int from)
{
    struct rlimit limit;
    if (fd < 0)
        return fd;
    if (from == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        from = limit.rlim_cur / 2 > 512 ? 512 : (int)(limit.rlim_cur / 2);
    int hidden = real_fcntl()(fd, F_DUPFD_CLOEXEC, from);
    if (hidden < 0)
        hidden = real_fcntl()(fd, F_DUPFD_CLOEXEC, 0);
    int saved = errno;
    real_close()(fd);
    if (hidden >= MAX_DESCRIPTORS) {
        real_close()(hidden);
        hidden = -1;
        saved = EMFILE;
    }
    errno = saved;
    return hidden;
}

/* ---- The conversation on the lease ---- */

static long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* Waits for a message of this type on the lease, with this sequence number unless that is 0. Returns the errno it carries (0 = good), or
   ECONNREFUSED if the data plane is gone. */
static int await(int lease, uint16_t type, uint32_t sequence)
{
    _Alignas(struct nlmsghdr) char buffer[1024];
    const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
    long deadline = milliseconds() + ANSWER_MS;
    for (;;) {
        struct pollfd waiting = { .fd = lease, .events = POLLIN };
        long left = deadline - milliseconds();
        int ready = poll(&waiting, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return ECONNREFUSED;
        ssize_t length = real_recv()(lease, buffer, sizeof buffer, MSG_DONTWAIT);
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (length <= 0)
            return ECONNREFUSED;
        if ((size_t)length < NLMSG_LENGTH(sizeof(int)) || message->nlmsg_type != type || (sequence && message->nlmsg_seq != sequence))
            continue;
        int error;
        memcpy(&error, NLMSG_DATA(message), sizeof error);
        return error < 0 ? -error : error;
    }
}

/* Sends one message of ours on the lease, with a descriptor unless that is -1, and waits for the answer: 0 or an errno. */
static int ask(int lease, uint16_t type, const uint32_t *payload, size_t words, int descriptor)
{
    static _Atomic uint32_t questions;
    struct { struct nlmsghdr header; uint32_t payload[2]; } message = {
        .header = { .nlmsg_len = NLMSG_LENGTH(words * sizeof *payload), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST,
                    .nlmsg_seq = (uint32_t)getpid() << 12 | (++questions & 0xfff) },
    };
    memcpy(message.payload, payload, words * sizeof *payload);
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } rights = { .space = { 0 } };
    struct iovec iov = { .iov_base = &message, .iov_len = message.header.nlmsg_len };
    struct msghdr packet = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (descriptor >= 0) {
        rights.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof descriptor), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&rights.header), &descriptor, sizeof descriptor);
        packet.msg_control = &rights;
        packet.msg_controllen = sizeof rights.space;
    }
    if (real_sendmsg()(lease, &packet, MSG_NOSIGNAL) < 0)
        return errno == EPIPE || errno == ECONNRESET ? ECONNREFUSED : errno;
    return await(lease, NLMSG_ERROR, message.header.nlmsg_seq);
}

/* Requests that the data plane has not read. */
static void discard_requests(struct xfrm_socket *s)
{
    char unread[16];
    while (real_recv()(s->data_plane_end, unread, sizeof unread, MSG_DONTWAIT) >= 0)
        ;
}

/* Another process died while it spoke. What it left unread in B is taken out; what the data plane still has to say about it comes before
   the answer to a question of ours. */
static void straighten(struct xfrm_socket *s)
{
    discard_requests(s);
    ask(s->lease, GROUPS, &s->shared->groups, 1, -1);
}

/* One speaker at a time on a lease, in this process and in those forked from it. A thread that is cancelled must not take the turn along. */
static int take_turn(struct xfrm_socket *s, bool wait, int *cancel_state)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_state);
    int error = wait ? pthread_mutex_lock(&s->shared->turn) : pthread_mutex_trylock(&s->shared->turn);
    if (error == EOWNERDEAD) {
        error = pthread_mutex_consistent(&s->shared->turn);
        straighten(s);
    }
    if (error)
        pthread_setcancelstate(*cancel_state, NULL);
    return error;
}

static void end_turn(struct xfrm_socket *s, int cancel_state)
{
    pthread_mutex_unlock(&s->shared->turn);
    pthread_setcancelstate(cancel_state, NULL);
}

static struct shared *new_shared(void)
{
    pthread_mutexattr_t attributes;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return NULL;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared->turn, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return shared;
}

/* A new connection to the control socket, or -1. */
static int connect_control(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = ANSWER_MS / 1000 };
    socklen_t length = sizeof address;
    memcpy(address.sun_path, control_path, sizeof address.sun_path);
    if (control_path[0] == '@') {       /* an abstract name ends where the length says */
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(control_path));
        address.sun_path[0] = 0;
    }
    int lease = real_socket()(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (lease < 0)
        return -1;
    real_setsockopt()(lease, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (real_connect()(lease, (struct sockaddr *)&address, length) == 0)
        return lease;
    int saved = errno;
    real_close()(lease);
    return fail(saved);
}

/* Hands B to the data plane over a new lease and subscribes again. Returns 0 or an errno; on failure the socket stays as it was. */
static int attach(struct xfrm_socket *s)
{
    const uint32_t hello[2] = { ATTACH_VERSION, NETLINK_XFRM };
    int lease = connect_control();
    if (lease < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EAGAIN ? ECONNREFUSED : errno;
    int error = ask(lease, ATTACH, hello, 2, s->data_plane_end);
    if (!error && s->shared->groups)
        error = ask(lease, GROUPS, &s->shared->groups, 1, -1);
    if (error) {
        real_close()(lease);
        return error;
    }
    if (s->lease < 0) {
        s->lease = hide(lease, 0);
        return s->lease < 0 ? errno : 0;
    }
    /* The number stays: a thread may be polling it. */
    real_dup3()(lease, s->lease, O_CLOEXEC);
    real_close()(lease);
    s->creator = getpid();
    return 0;
}

/* True if the data plane holds this lease. Takes what an interrupted conversation left on it. */
static bool lease_is_alive(int lease)
{
    char stale[1024];
    for (;;) {
        ssize_t length = real_recv()(lease, stale, sizeof stale, MSG_DONTWAIT);
        if (length == 0)
            return false;
        if (length < 0 && errno != EINTR)
            return errno == EAGAIN;
    }
}

/* A forked process of ours may still use the old pair: take a new one, on the same numbers. */
static int replace_pair(struct xfrm_socket *s)
{
    uint16_t entry = (uint16_t)(s - sockets);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    pthread_mutex_lock(&table_lock);
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++) {
        if (entry_of(fd) != entry)
            continue;
        int flags = real_fcntl()(fd, F_GETFD), status = real_fcntl()(fd, F_GETFL);
        real_dup3()(pair[0], fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        real_fcntl()(fd, F_SETFL, status);
    }
    real_dup3()(pair[1], s->data_plane_end, O_CLOEXEC);
    pthread_mutex_unlock(&table_lock);
    real_close()(pair[0]);
    real_close()(pair[1]);
    return 0;
}

/* Attaches a socket again whose data plane is gone. Requests that it left unread are dropped: their senders were told so. */
static int revive(struct xfrm_socket *s)
{
    if (s->creator != getpid() && (kill(s->creator, 0) == 0 || errno != ESRCH)) {
        int error = replace_pair(s);
        if (error)
            return error;
    }
    discard_requests(s);
    return attach(s);
}

/* Called with the turn on `s`. When a data plane is back, every XFRM socket of the process goes over to it: event sockets never send. */
static int ensure_attached(struct xfrm_socket *s)
{
    if (lease_is_alive(s->lease))
        return 0;
    int error = revive(s);
    for (int i = 1; !error && i < MAX_SOCKETS; i++) {
        struct xfrm_socket *other = &sockets[i];
        int cancel_state;
        pthread_mutex_lock(&table_lock);
        bool used = other != s && other->descriptors > 0;
        if (used)
            other->calls++;
        pthread_mutex_unlock(&table_lock);
        if (!used)
            continue;
        if (take_turn(other, false, &cancel_state) == 0) {
            if (!lease_is_alive(other->lease))
                revive(other);      /* if it fails, its own next send says so */
            end_turn(other, cancel_state);
        }
        release(other);
    }
    return error;
}

/* ---- Making a socket ---- */

static void read_configuration(void)
{
    const char *path = secure_getenv("ESPALIER_CONTROL"), *mark = secure_getenv("ESPALIER_MARK");
    if (path && strlen(path) < sizeof control_path)
        strcpy(control_path, path);
    if (mark && *mark)
        bypass_mark = (unsigned int)strtoul(mark, NULL, 0);
}

static bool is_enabled(void)
{
    pthread_once(&configured, read_configuration);
    return control_path[0] != 0;
}

static void before_fork(void) { pthread_mutex_lock(&table_lock); }
static void after_fork(void) { pthread_mutex_unlock(&table_lock); }

static void in_child(void)
{
    self = getpid();
    pthread_mutex_init(&table_lock, NULL);
    for (int i = 1; i < MAX_SOCKETS; i++)
        sockets[i].calls = 0;       /* they belonged to threads of the parent */
}

static void hook_fork(void)
{
    self = getpid();
    pthread_atfork(before_fork, after_fork, in_child);
}

static struct xfrm_socket *reserve(void)
{
    struct xfrm_socket *s = NULL;
    pthread_mutex_lock(&table_lock);
    for (int i = 1; i < MAX_SOCKETS && !s; i++)
        if (!sockets[i].used)
            s = &sockets[i];
    if (s)
        *s = (struct xfrm_socket){ .used = true, .calls = 1, .data_plane_end = -1, .lease = -1 };
    pthread_mutex_unlock(&table_lock);
    return s;
}

static int open_xfrm(int type)
{
    int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC), pair[2] = { -1, -1 }, error = 0, cancel_state;
    type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (type != SOCK_RAW && type != SOCK_DGRAM)
        return fail(ESOCKTNOSUPPORT);
    pthread_once(&fork_hooked, hook_fork);
    struct xfrm_socket *s = reserve();
    if (!s)
        return fail(EMFILE);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    s->type = type;
    s->creator = getpid();
    s->shared = new_shared();
    if (!s->shared)
        error = ENOMEM;
    else if (socketpair(AF_UNIX, SOCK_DGRAM | flags, 0, pair) < 0)
        error = errno;
    else if ((s->data_plane_end = hide(pair[1], 0)) < 0)
        error = errno;
    else if ((error = attach(s)) == ECONNREFUSED)
        error = EPROTONOSUPPORT;
    else if (!error && pair[0] >= MAX_DESCRIPTORS)
        error = EMFILE;

    int closing[2];
    pthread_mutex_lock(&table_lock);
    uint16_t entry = (uint16_t)(s - sockets);
    if (!error) {
        set_entry(s->lease, HIDDEN | entry);
        set_entry(s->data_plane_end, HIDDEN | entry);
        set_entry(pair[0], entry);
        s->descriptors = 1;
    }
    s->calls--;
    bool retired = retire(s, closing);
    pthread_mutex_unlock(&table_lock);
    if (retired) {
        close_both(closing);
        if (pair[0] >= 0)
            real_close()(pair[0]);
    }
    pthread_setcancelstate(cancel_state, NULL);
    return error ? fail(error) : pair[0];
}

EXPORT int socket(int domain, int type, int protocol)
{
    return domain == AF_NETLINK && protocol == NETLINK_XFRM && is_enabled() ? open_xfrm(type) : real_socket()(domain, type, protocol);
}

/* ---- Addresses and options ---- */

/* Gives the socket a port id, as the kernel does: wanted, else the process id, else a negative number. 0 or an errno. */
static int choose_port(struct xfrm_socket *s, uint32_t wanted)
{
    static uint32_t next = (uint32_t)-4097;
    int error = 0;
    pthread_mutex_lock(&table_lock);
    uint32_t port = wanted ? wanted : (uint32_t)getpid();
    for (int i = 1; i < MAX_SOCKETS; i++) {
        if (!sockets[i].used || !sockets[i].bound || &sockets[i] == s || sockets[i].port != port)
            continue;
        if (wanted) {
            error = EADDRINUSE;
            break;
        }
        port = next--;
        i = 0;
    }
    if (!error && !s->bound) {
        s->port = port;
        s->bound = true;
    }
    pthread_mutex_unlock(&table_lock);
    return error;
}

/* A subscription while no data plane is there is kept and handed over with the socket. */
static int subscribe(struct xfrm_socket *s, uint32_t groups)
{
    int cancel_state;
    int error = take_turn(s, true, &cancel_state);
    if (error)
        return error;
    if (groups != s->shared->groups) {
        error = ensure_attached(s);
        if (!error)
            error = ask(s->lease, GROUPS, &groups, 1, -1);
        if (error == ECONNREFUSED)
            error = 0;
        if (!error)
            s->shared->groups = groups;
    }
    end_turn(s, cancel_state);
    return error;
}

static int bind_netlink(struct xfrm_socket *s, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_nl name;
    if (length < sizeof name)
        return EINVAL;
    memcpy(&name, address, sizeof name);
    if (name.nl_family != AF_NETLINK || (s->bound && name.nl_pid != s->port && name.nl_pid != 0))
        return EINVAL;
    int error = s->bound ? 0 : choose_port(s, name.nl_pid);
    return error ? error : subscribe(s, name.nl_groups);
}

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    if (!is_ours(fd))
        return real_bind()(fd, address, length);
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return -1;
    int error = bind_netlink(s, address.__sockaddr__, length);
    release(s);
    return error ? fail(error) : 0;
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    if (!is_ours(fd))
        return real_connect()(fd, address, length);
    struct sockaddr_nl name = { .nl_family = AF_UNSPEC };
    if (length < sizeof name.nl_family)
        return fail(EINVAL);
    memcpy(&name, address.__sockaddr__, length < sizeof name ? length : sizeof name);
    if (name.nl_family != AF_UNSPEC && (name.nl_family != AF_NETLINK || length < sizeof name))
        return fail(EINVAL);
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return -1;
    int error = s->bound ? 0 : choose_port(s, 0);
    s->peer = name.nl_family == AF_UNSPEC ? 0 : name.nl_pid;
    release(s);
    return error ? fail(error) : 0;
}

static void give_name(struct sockaddr *to, socklen_t *length, socklen_t room, uint32_t port, uint32_t groups)
{
    struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_pid = port, .nl_groups = groups };
    if (to && length) {
        memcpy(to, &name, room < sizeof name ? room : sizeof name);
        *length = sizeof name;
    }
}

EXPORT int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
    if (!is_ours(fd))
        return real_getsockname()(fd, address, length);
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return -1;
    give_name(address.__sockaddr__, length, *length, s->port, s->shared->groups);
    release(s);
    return 0;
}

EXPORT int getpeername(int fd, __SOCKADDR_ARG address, socklen_t *restrict length)
{
    if (!is_ours(fd))
        return real_getpeername()(fd, address, length);
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return -1;
    give_name(address.__sockaddr__, length, *length, s->peer, 0);
    release(s);
    return 0;
}

/* SOL_NETLINK: 0 or an errno. */
static int set_netlink_option(struct xfrm_socket *s, int name, const void *value, socklen_t length)
{
    uint32_t number;
    if (length < sizeof number)
        return EINVAL;
    memcpy(&number, value, sizeof number);
    switch (name) {
    case NETLINK_ADD_MEMBERSHIP:
    case NETLINK_DROP_MEMBERSHIP:
        if (number == 0 || number > GROUP_COUNT)
            return EINVAL;
        number = UINT32_C(1) << (number - 1);
        return subscribe(s, name == NETLINK_ADD_MEMBERSHIP ? s->shared->groups | number : s->shared->groups & ~number);
    case NETLINK_BROADCAST_ERROR:
    case NETLINK_NO_ENOBUFS:
    case NETLINK_CAP_ACK:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
        s->options = number ? s->options | UINT32_C(1) << name : s->options & ~(UINT32_C(1) << name);
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

/* IP_XFRM_POLICY, IPV6_XFRM_POLICY: a bypass becomes the mark that Espalier's rules exempt. */
static int set_socket_policy(int fd, const void *value, socklen_t length)
{
    struct xfrm_userpolicy_info policy = { .action = XFRM_POLICY_ALLOW };
    unsigned int mark = bypass_mark;
    if (!value || length == 0)
        mark = 0;       /* the kernel removes the socket's policies */
    else if (length < sizeof policy)
        return fail(EINVAL);
    else
        memcpy(&policy, value, sizeof policy);
    if (policy.action != XFRM_POLICY_ALLOW || length > sizeof policy)
        return fail(EOPNOTSUPP);
    return policy.dir == XFRM_POLICY_OUT || mark == 0 ? real_setsockopt()(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) : 0;
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if ((level == IPPROTO_IP && (name == IP_XFRM_POLICY || name == OLD_IP_IPSEC_POLICY)) ||
        (level == IPPROTO_IPV6 && (name == IPV6_XFRM_POLICY || name == OLD_IPV6_IPSEC_POLICY)))
        return is_enabled() ? set_socket_policy(fd, value, length) : real_setsockopt()(fd, level, name, value, length);
    bool buffer = level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE);
    if ((level != SOL_NETLINK && !buffer) || !is_ours(fd))
        return real_setsockopt()(fd, level, name, value, length);
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return -1;
    int result = 0, error = 0;
    if (buffer)
        result = real_setsockopt()(s->data_plane_end, SOL_SOCKET, name == SO_RCVBUF ? SO_SNDBUF : SO_SNDBUFFORCE, value, length);
    else
        error = set_netlink_option(s, name, value, length);
    release(s);
    return error ? fail(error) : result;
}

/* 0 with the value in `number`, or an errno. */
static int get_netlink_option(const struct xfrm_socket *s, int name, uint32_t *number)
{
    switch (name) {
    case NETLINK_LIST_MEMBERSHIPS:
        *number = s->shared->groups;
        return 0;
    case NETLINK_BROADCAST_ERROR:
    case NETLINK_NO_ENOBUFS:
    case NETLINK_CAP_ACK:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
    case NETLINK_PKTINFO:
        *number = s->options >> name & 1;
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
    bool identity = level == SOL_SOCKET && (name == SO_DOMAIN || name == SO_PROTOCOL || name == SO_TYPE || name == SO_RCVBUF);
    if ((level != SOL_NETLINK && !identity) || !is_ours(fd))
        return real_getsockopt()(fd, level, name, value, length);
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return -1;
    uint32_t number = 0;
    int result = 0;
    if (level == SOL_NETLINK) {
        int error = *length < sizeof number ? EINVAL : get_netlink_option(s, name, &number);
        result = error ? fail(error) : 0;
    } else if (name == SO_RCVBUF) {
        socklen_t size = sizeof number;
        result = real_getsockopt()(s->data_plane_end, SOL_SOCKET, SO_SNDBUF, &number, &size);
    } else {
        number = name == SO_DOMAIN ? AF_NETLINK : name == SO_PROTOCOL ? NETLINK_XFRM : (uint32_t)s->type;
    }
    release(s);
    if (result == 0) {
        *length = *length < sizeof number ? *length : sizeof number;
        memcpy(value, &number, *length);
    }
    return result;
}

/* ---- Sending ---- */

/* The kernel answers to the port of the socket, whatever nlmsg_pid says. The data plane answers to nlmsg_pid. */
static void stamp_port(char *request, size_t length, uint32_t port)
{
    for (size_t at = 0; length - at >= sizeof(struct nlmsghdr);) {
        uint32_t size;
        memcpy(&size, request + at + offsetof(struct nlmsghdr, nlmsg_len), sizeof size);
        if (size < sizeof(struct nlmsghdr) || size > length - at)
            return;
        memcpy(request + at + offsetof(struct nlmsghdr, nlmsg_pid), &port, sizeof port);
        size_t step = NLMSG_ALIGN((size_t)size);
        if (step >= length - at)
            return;
        at += step;
    }
}

/* Sends one request and waits until it is handled. 0 or an errno. */
static int converse(struct xfrm_socket *s, int fd, const char *request, size_t length, int flags)
{
    int cancel_state;
    int error = take_turn(s, true, &cancel_state);
    if (error)
        return error;
    error = ensure_attached(s);
    if (!error)
        error = real_send()(fd, request, length, MSG_NOSIGNAL | (flags & MSG_DONTWAIT)) < 0 ? errno : await(s->lease, DONE, 0);
    end_turn(s, cancel_state);
    return error;
}

static int check_destination(const struct xfrm_socket *s, const void *name, socklen_t length)
{
    struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_pid = s->peer };
    if (name && length) {
        if (length < sizeof to)
            return EINVAL;
        memcpy(&to, name, sizeof to);
    }
    if (to.nl_family != AF_NETLINK)
        return EINVAL;
    return to.nl_groups ? EPERM : to.nl_pid ? ECONNREFUSED : 0;
}

static ssize_t submit(int fd, const struct msghdr *message, int flags)
{
    char small[8192], *request = small;
    size_t length = 0, copied = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        if (__builtin_add_overflow(length, message->msg_iov[i].iov_len, &length) || length > INT32_MAX)
            return fail(EMSGSIZE);
    if (flags & MSG_OOB)
        return fail(EOPNOTSUPP);
    if (length == 0)
        return fail(ENODATA);
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return -1;
    int error = check_destination(s, message->msg_name, message->msg_namelen);
    if (!error && !s->bound)
        error = choose_port(s, 0);
    if (!error && length > sizeof small && !(request = malloc(length)))
        error = ENOBUFS;
    if (!error) {
        for (size_t i = 0; i < message->msg_iovlen; i++) {
            if (message->msg_iov[i].iov_len)
                memcpy(request + copied, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
            copied += message->msg_iov[i].iov_len;
        }
        stamp_port(request, length, s->port);
        error = converse(s, fd, request, length, flags);
        explicit_bzero(request, length);        /* it may carry keys */
    }
    if (request != small)
        free(request);
    release(s);
    return error ? fail(error) : (ssize_t)length;
}

static ssize_t submit_bytes(int fd, const void *bytes, size_t length, int flags, const void *name, socklen_t name_length)
{
    struct iovec iov = { .iov_base = (void *)bytes, .iov_len = length };
    struct msghdr message = { .msg_name = (void *)name, .msg_namelen = name ? name_length : 0, .msg_iov = &iov, .msg_iovlen = 1 };
    return submit(fd, &message, flags);
}

EXPORT ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    return is_ours(fd) ? submit_bytes(fd, bytes, length, flags, NULL, 0) : real_send()(fd, bytes, length, flags);
}

EXPORT ssize_t sendto(int fd, const void *bytes, size_t length, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_length)
{
    return is_ours(fd) ? submit_bytes(fd, bytes, length, flags, to.__sockaddr__, to_length)
                       : real_sendto()(fd, bytes, length, flags, to, to_length);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return is_ours(fd) ? submit(fd, message, flags) : real_sendmsg()(fd, message, flags);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    if (!is_ours(fd))
        return real_sendmmsg()(fd, messages, count, flags);
    unsigned int sent = 0;
    for (; sent < count; sent++) {
        ssize_t length = submit(fd, &messages[sent].msg_hdr, flags);
        if (length < 0)
            break;
        messages[sent].msg_len = (unsigned int)length;
    }
    return sent > 0 || count == 0 ? (int)sent : -1;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t length)
{
    return is_ours(fd) ? submit_bytes(fd, bytes, length, 0, NULL, 0) : real_write()(fd, bytes, length);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
    if (!is_ours(fd) || count < 0)
        return real_writev()(fd, iov, count);
    struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
    return submit(fd, &message, 0);
}

/* ---- Receiving ---- */

/* Waits until A can be read: 0, or EINTR, or ECONNREFUSED if the data plane is gone and has left no answer. */
static int wait_for_answer(int fd, struct xfrm_socket *s)
{
    for (;;) {
        struct pollfd waiting[2] = { { .fd = fd, .events = POLLIN }, { .fd = s->lease, .events = POLLRDHUP } };
        if (poll(waiting, 2, -1) < 0)
            return errno;
        if (waiting[0].revents)
            return 0;
        /* Gone, unless it was attached again meanwhile; an answer that came before the end counts. */
        if (waiting[1].revents && poll(&waiting[1], 1, 0) > 0)
            return poll(waiting, 1, 0) > 0 ? 0 : ECONNREFUSED;
    }
}

/* Waits until A can be read: 0, or EINTR. A subscriber may never send, so it looks for a data plane that is back by itself. */
static int wait_for_event(int fd, struct xfrm_socket *s)
{
    for (;;) {
        struct pollfd waiting[2] = { { .fd = fd, .events = POLLIN }, { .fd = s->lease, .events = POLLRDHUP } };
        if (poll(waiting, 2, -1) < 0)
            return errno;
        if (waiting[0].revents)
            return 0;
        int cancel_state, error = take_turn(s, false, &cancel_state);
        if (!error) {
            error = ensure_attached(s);
            end_turn(s, cancel_state);
        }
        int ready = error ? poll(waiting, 1, RETRY_MS) : 0;
        if (ready != 0)
            return ready > 0 ? 0 : errno;
    }
}

/* Before a receive: false with errno set where it would wait for ever, or was interrupted. */
static bool may_receive(int fd, int flags)
{
    struct timeval timeout = { 0 };
    socklen_t length = sizeof timeout;
    if ((flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) || real_fcntl()(fd, F_GETFL) & O_NONBLOCK)
        return true;
    real_getsockopt()(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &length);
    if (timeout.tv_sec || timeout.tv_usec)
        return true;
    struct xfrm_socket *s = acquire(fd);
    if (!s)
        return true;
    int error = 0;
    pthread_cleanup_push(release, s);
    error = s->shared->groups ? wait_for_event(fd, s) : wait_for_answer(fd, s);
    pthread_cleanup_pop(1);
    if (error)
        errno = error;
    return error == 0;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (!is_ours(fd))
        return real_recvmsg()(fd, message, flags);
    socklen_t room = message->msg_namelen;
    ssize_t result = may_receive(fd, flags) ? real_recvmsg()(fd, message, flags) : -1;
    if (result >= 0)
        give_name(message->msg_name, &message->msg_namelen, room, 0, 0);
    return result;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    if (!is_ours(fd))
        return real_recvmmsg()(fd, messages, count, flags, timeout);
    if (!timeout && !may_receive(fd, flags))
        return -1;
    socklen_t rooms[64];
    count = count < 64 ? count : 64;
    for (unsigned int i = 0; i < count; i++)
        rooms[i] = messages[i].msg_hdr.msg_namelen;
    int received = real_recvmmsg()(fd, messages, count, flags, timeout);
    for (int i = 0; i < received; i++)
        give_name(messages[i].msg_hdr.msg_name, &messages[i].msg_hdr.msg_namelen, rooms[i], 0, 0);
    return received;
}

static ssize_t receive_from(int fd, void *bytes, size_t length, int flags, struct sockaddr *from, socklen_t *from_length)
{
    ssize_t result = may_receive(fd, flags) ? real_recv()(fd, bytes, length, flags) : -1;
    if (result >= 0)
        give_name(from, from_length, from_length ? *from_length : 0, 0, 0);
    return result;
}

EXPORT ssize_t recvfrom(int fd, void *restrict bytes, size_t length, int flags, __SOCKADDR_ARG from, socklen_t *restrict from_length)
{
    return is_ours(fd) ? receive_from(fd, bytes, length, flags, from.__sockaddr__, from_length)
                       : real_recvfrom()(fd, bytes, length, flags, from, from_length);
}

EXPORT ssize_t __recvfrom_chk(int fd, void *bytes, size_t length, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *from_length)
{
    return is_ours(fd) && length <= room ? receive_from(fd, bytes, length, flags, from.__sockaddr__, from_length)
                                         : real___recvfrom_chk()(fd, bytes, length, room, flags, from, from_length);
}

EXPORT ssize_t recv(int fd, void *bytes, size_t length, int flags)
{
    return is_ours(fd) && !may_receive(fd, flags) ? -1 : real_recv()(fd, bytes, length, flags);
}

EXPORT ssize_t __recv_chk(int fd, void *bytes, size_t length, size_t room, int flags)
{
    return is_ours(fd) && !may_receive(fd, flags) ? -1 : real___recv_chk()(fd, bytes, length, room, flags);
}

EXPORT ssize_t read(int fd, void *bytes, size_t length)
{
    return is_ours(fd) && !may_receive(fd, 0) ? -1 : real_read()(fd, bytes, length);
}

EXPORT ssize_t __read_chk(int fd, void *bytes, size_t length, size_t room)
{
    return is_ours(fd) && !may_receive(fd, 0) ? -1 : real___read_chk()(fd, bytes, length, room);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int count)
{
    return is_ours(fd) && !may_receive(fd, 0) ? -1 : real_readv()(fd, iov, count);
}

/* ---- Closing and duplicating ---- */

EXPORT int close(int fd)
{
    uint16_t entry = entry_of(fd);
    if (entry && getpid() == self) {
        if (entry & HIDDEN)
            return fail(EBADF);     /* not the program's */
        forget_descriptor(fd);
    }
    return real_close()(fd);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
    if (!self || flags & (int)CLOSE_RANGE_CLOEXEC || last < first || getpid() != self)
        return real_close_range()(first, last, flags);
    /* B and the leases stay as long as their sockets: those in the range go first. */
    unsigned int end = last < MAX_DESCRIPTORS - 1 ? last : MAX_DESCRIPTORS - 1, from = first;
    for (unsigned int fd = first; fd <= end; fd++)
        if (entry_of((int)fd) && !(entry_of((int)fd) & HIDDEN))
            forget_descriptor((int)fd);
    for (unsigned int fd = first; fd <= end; fd++) {
        if (!(entry_of((int)fd) & HIDDEN))
            continue;
        if (fd > from && real_close_range()(from, fd - 1, flags) < 0)
            return -1;
        from = fd + 1;
    }
    return from > last ? 0 : real_close_range()(from, last, flags);
}

EXPORT void closefrom(int first)
{
    if (!self || getpid() != self)
        real_closefrom()(first);
    else
        close_range(first < 0 ? 0 : (unsigned int)first, ~0U, 0);
}

EXPORT int dup(int fd)
{
    return is_ours(fd) ? add_descriptor(entry_of(fd), real_dup()(fd)) : real_dup()(fd);
}

/* The program wants a number where B or a lease stands: that moves on. */
static int make_way(int fd)
{
    uint16_t entry = entry_of(fd);
    int cancel_state;
    if (!(entry & HIDDEN))
        return 0;
    struct xfrm_socket *s = &sockets[entry & ~HIDDEN];
    int error = take_turn(s, true, &cancel_state);
    if (error)
        return error;
    pthread_mutex_lock(&table_lock);
    int *held = s->lease == fd ? &s->lease : &s->data_plane_end;
    int moved = real_fcntl()(fd, F_DUPFD_CLOEXEC, fd + 1);
    if (moved >= MAX_DESCRIPTORS) {
        real_close()(moved);
        moved = -1;
        errno = EMFILE;
    }
    if (moved < 0) {
        error = errno;
    } else {
        *held = moved;
        set_entry(moved, entry);
        set_entry(fd, 0);
    }
    pthread_mutex_unlock(&table_lock);
    end_turn(s, cancel_state);
    return error;
}

static int duplicate_to(int from, int to, int flags, bool plain)
{
    bool child = getpid() != self;
    uint16_t entry = child ? 0 : entry_of(from);
    if (!child && from != to && real_fcntl()(from, F_GETFD) >= 0) {
        int error = entry_of(to) & HIDDEN ? make_way(to) : 0;
        if (error)
            return fail(error);
        forget_descriptor(to < MAX_DESCRIPTORS ? to : -1);
    }
    int result = plain ? real_dup2()(from, to) : real_dup3()(from, to, flags);
    return result >= 0 && from != to && entry && !(entry & HIDDEN) ? add_descriptor(entry, result) : result;
}

EXPORT int dup2(int from, int to)
{
    return entry_of(from) || entry_of(to) ? duplicate_to(from, to, 0, true) : real_dup2()(from, to);
}

EXPORT int dup3(int from, int to, int flags)
{
    return entry_of(from) || entry_of(to) ? duplicate_to(from, to, flags, false) : real_dup3()(from, to, flags);
}

EXPORT int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = real_fcntl()(fd, command, argument);
    return (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && is_ours(fd) ? add_descriptor(entry_of(fd), result) : result;
}

EXPORT int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = real_fcntl64()(fd, command, argument);
    return (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && is_ours(fd) ? add_descriptor(entry_of(fd), result) : result;
}
