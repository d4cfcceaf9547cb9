/*
 * libespalier-xfrm.so: gives a program Espalier where it opens a socket to the kernel's XFRM.
 *
 *     ESPALIER_CONTROL=/run/espalier.sock LD_PRELOAD=…/libespalier-xfrm.so PROGRAM      (`espalier exec` sets both)
 *
 * Contract
 * --------
 * Without ESPALIER_CONTROL, and for every descriptor that this library did not make, each call goes to the C library as it is, after
 * one look into a table. The exceptions are options and ports of IKE daemons: see "IKE sockets" below.
 *
 * socket(AF_NETLINK, SOCK_RAW | SOCK_DGRAM, NETLINK_XFRM) makes an XFRM socket: a pair of Unix datagram sockets. The program gets end A, a
 * real descriptor: select, poll, epoll, SO_RCVTIMEO, MSG_PEEK, MSG_TRUNC, O_NONBLOCK and FD_CLOEXEC are the kernel's own. End B goes to
 * the data plane over a connection to its control socket. That connection is the lease: one per XFRM socket, open as long as the socket.
 * A copy of B stays here, so that the death of the data plane is no end-of-file on A, which would make event loops spin.
 *
 *     program ── A ═══ B ── data plane             requests, answers, notifications: one netlink datagram each
 *     library ── lease ──── data plane             ATTACH (with B), GROUPS, ENCAP, DONE
 *
 * On an XFRM socket:
 *   bind, getsockname, connect    speak sockaddr_nl. The port id is what bind names, else getpid() or a negative number; nl_groups becomes
 *                                 the subscription. connect has nothing to do.
 *   setsockopt(SOL_NETLINK)       memberships become the subscription; EXT_ACK, CAP_ACK, GET_STRICT_CHK and the like are accepted, as
 *                                 Espalier answers so anyway; PKTINFO and others are refused.
 *   send, sendto, sendmsg, write  send the request with nlmsg_pid = the socket's port id, and return when the data plane has handled it:
 *                                 its answer (of a dump: the first part) is then queued, which programs rely on.
 *   recvmsg, recvfrom             fill in the sender: the kernel, sockaddr_nl with nl_pid 0. Where they block, and the data plane dies, they
 *                                 fail with ECONNREFUSED; with a subscription they wait for a data plane that is back. NLMSG_OVERRUN of
 *                                 the data plane becomes ENOBUFS, with NETLINK_NO_ENOBUFS nothing.
 *   close, close_range,           keep the table right. B and the lease stand at high numbers of their own: the program cannot close them,
 *     closefrom, dup*, fcntl      and gets EBUSY if it asks dup2 or dup3 for their number.
 *   All other calls see a Unix socket: recv and read wait for ever, sendmmsg and writev not for the answer.
 *
 * Data plane absent: socket() fails with EPROTONOSUPPORT, as on a kernel without XFRM; refused: with the errno of the refusal.
 * Data plane gone later: send fails with ECONNREFUSED, or, when a data plane is back, hands everything over again, also for the other XFRM
 * sockets of the process; a receive that blocks on a subscription does so, too. A request whose fate is unknown is not repeated.
 *
 * An IKE daemon (a process that installs SAs or policies and is subscribed to EXPIRE) may not speak for long. So it gets a thread that waits for the
 * end of the data plane, hands everything over to the next one, and repeats the policies that the daemon has installed, so that traps work and what
 * they hold leaves in clear no longer than that takes. Then it asks for each SA that the daemon has installed: of those that are gone, and all are after a restart, the data
 * plane says EXPIRE, and the daemon makes new ones. Policies as they were sent, and which the SAs are (address, SPI; no keys), are remembered here.
 *
 * Threads may share XFRM sockets; one request of a process is handled after the other. After fork the child shares what is queued; when it
 * first sends, the socket becomes its own, with the same numbers and subscription. After exec a descriptor without FD_CLOEXEC is no XFRM
 * socket any more. A child made by vfork may do what it is allowed to: close, dup2, exec. Not seen: static programs, system calls made
 * directly (Go), io_uring, programs that drop LD_PRELOAD (setuid).
 *
 * IKE sockets
 * -----------
 * setsockopt(IP_XFRM_POLICY, IPV6_XFRM_POLICY) with a policy that bypasses IPsec sets SO_MARK to the mark that Espalier's routing rules
 * exempt (ESPALIER_MARK, default 0x4550). A policy that asks for protection of a single socket is refused with EOPNOTSUPP.
 *
 * In a process that has an XFRM socket, for UDP sockets:
 *   setsockopt(UDP_ENCAP)   ESPINUDP on a bound socket tells the data plane its address and port, over every lease, and again over new ones; 0
 *                           takes it back. The data plane receives on that port with sockets of its own, bound to devices, and gives IKE to
 *                           the program's socket, which stays an ordinary one: the kernel, which could swallow ESP, is not told.
 *                           SO_REUSEADDR is set, so that the data plane can bind beside it, now and after a restart. Its refusal is the
 *                           call's errno. ESPINUDP_NON_IKE: ENOPROTOOPT; a socket that is not bound: EINVAL; other values are the kernel's.
 *   getsockopt(UDP_ENCAP)   tells what was set.
 *   bind                    where it fails with EADDRINUSE, it is tried again with SO_REUSEADDR if the data plane knows no other IKE daemon on
 *                           the port: then its own sockets may be what stands there.
 *   close                   is not looked at. The registration ends with the leases; until then IKE on a port that nobody holds goes to nobody.
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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

#define EXPORT __attribute__((visibility("default")))

/* Messages of the control connection. */
enum { ATTACH = 0xE500, DONE = 0xE501, GROUPS = 0xE502, ENCAP = 0xE504, ATTACH_VERSION = 1 };

enum {
    ANSWER_SECONDS = 10,        /* a data plane that does not answer for so long counts as gone */
    RETRY_MS = 1000,            /* how often a blocked subscriber looks for a data plane that is back */
    WATCH_MS = 100,             /* how often the watch of an IKE daemon does */
    MAX_DESCRIPTORS = 65536,    /* numbers that an XFRM socket can have */
    MAX_SOCKETS = 256,          /* XFRM sockets of a process; entry 0 is not used */
    MAX_REQUEST = 65536,        /* the data plane's bound */
    MAX_REGISTRATIONS = 256,    /* sockets with UDP_ENCAP; the data plane's bound, too */
    MAX_ASSOCIATIONS = 2048,    /* SAs remembered; as many EXPIREs as the data plane queues for a subscriber */
    MAX_POLICIES = 2048,        /* policies remembered */
    MAX_POLICY = 1024,          /* bytes of a policy's message */
    HIDDEN = 0x8000,            /* in the table: B or the lease of the socket in the low bits; of no socket: the watch's connection */
    FIRST_HIDDEN = 512,         /* where these stand, if the limit of open files allows it */
    GROUP_COUNT = 32,           /* multicast groups that the protocol can express */
    DEFAULT_MARK = 0x4550,
    OLD_IP_IPSEC_POLICY = 16, OLD_IPV6_IPSEC_POLICY = 34,
};

struct xfrm_socket {
    int descriptors;            /* numbers of A in this process; 0: free */
    int data_plane_end;         /* our copy of B */
    int lease;                  /* keeps its number for the socket's life */
    pid_t owner;                /* the process that attached B: a forked one has copies of the descriptors only */
    uint32_t port;              /* 0: not bound */
    uint32_t groups;            /* subscription: bit n - 1 is group n */
    bool ignores_loss;          /* NETLINK_NO_ENOBUFS */
};

/* The payload of ENCAP. Port and address in network byte order; AF_UNSPEC is every address of both families. */
struct encapsulation {
    uint32_t operation;
    uint16_t family, port;
    uint8_t address[16];
};
enum { ENCAP_CLOSE, ENCAP_OPEN, ENCAP_MAY_SHARE };

/* What the program last sent of a policy: xfrm_userpolicy_info and attributes. */
struct policy {
    struct policy *next;
    struct nlmsghdr header;
    struct xfrm_userpolicy_info info;
};

static _Atomic uint16_t table[MAX_DESCRIPTORS];
static struct xfrm_socket sockets[MAX_SOCKETS];
static struct registration { int fd; struct encapsulation name; } registrations[MAX_REGISTRATIONS];     /* free: all zero */
static struct xfrm_usersa_id associations[MAX_ASSOCIATIONS];    /* free: SPI 0 */
static struct policy *policies;                                 /* in the order in which they were installed: of equal priorities the first decides */
static int policy_count;
static pid_t watched;                                           /* the process whose watch runs */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;        /* whose turn it is to speak on the leases, and to change the above */
static pid_t self;                                              /* 0 before the first XFRM socket; differs from getpid() in a child of vfork */
static char control_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static unsigned int bypass_mark = DEFAULT_MARK;

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
EXPORT int fcntl64(int, int, ...);

REAL(socket) REAL(bind) REAL(connect) REAL(getsockname) REAL(getsockopt) REAL(setsockopt)
REAL(recvmsg) REAL(recvfrom) REAL(__recvfrom_chk) REAL(send) REAL(sendto) REAL(sendmsg) REAL(write)
REAL(close) REAL(close_range) REAL(closefrom) REAL(dup) REAL(dup2) REAL(dup3) REAL(fcntl) REAL(fcntl64)

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Closes a descriptor of ours: not close(), at which a thread can be cancelled. Keeps errno. */
static void discard(int fd)
{
    int saved = errno;
    if (fd >= 0)
        syscall(SYS_close, fd);
    errno = saved;
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
    if (fd >= 0 && fd < MAX_DESCRIPTORS)
        atomic_store_explicit(&table[fd], entry, memory_order_release);
}

static uint16_t number_of(const struct xfrm_socket *s)
{
    return (uint16_t)(s - sockets);
}

static struct xfrm_socket *socket_of(int fd)
{
    return &sockets[entry_of(fd) & ~HIDDEN];
}

/* One thread at a time speaks, or changes the table. One that is cancelled must not take the turn along. */
static int take_turn(void)
{
    int cancel_state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pthread_mutex_lock(&turn);
    return cancel_state;
}

static void end_turn(int cancel_state)
{
    pthread_mutex_unlock(&turn);
    pthread_setcancelstate(cancel_state, NULL);
}

/* Frees a socket that has no descriptors. In turn. */
static void retire(struct xfrm_socket *s)
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
static int add_descriptor(uint16_t entry, int fd)
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
static void forget_descriptor(int fd)
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
static int hide(const struct xfrm_socket *s, int fd)
{
    int hidden = real_fcntl()(fd, F_DUPFD_CLOEXEC, FIRST_HIDDEN);
    if (hidden < 0)
        hidden = real_fcntl()(fd, F_DUPFD_CLOEXEC, 0);
    discard(fd);
    set_entry(hidden, HIDDEN | number_of(s));
    return hidden;
}

/* ---- The conversation on the lease ---- */

/* Waits for a message of this type on the lease, with this sequence number unless that is 0. Returns the errno it carries (0 = good), or
   ECONNREFUSED if the data plane is gone or says nothing for too long. A message numbered 0 is a refusal that came before the question. */
static int await(int lease, uint16_t type, uint32_t sequence)
{
    _Alignas(struct nlmsghdr) char buffer[1024];
    const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
    for (;;) {
        ssize_t length = recv(lease, buffer, sizeof buffer, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return ECONNREFUSED;
        if ((size_t)length < NLMSG_LENGTH(sizeof(int)) || message->nlmsg_type != type || (sequence && message->nlmsg_seq && message->nlmsg_seq != sequence)) {
            explicit_bzero(buffer, (size_t)length);     /* an SA with its keys, if GETSA found it */
            continue;
        }
        int error;
        memcpy(&error, NLMSG_DATA(message), sizeof error);
        return error < 0 ? -error : error;
    }
}

/* Sends one message on the lease (or a request on a connection without ATTACH), with a descriptor unless that is -1, and waits for the answer: 0 or an errno. */
static int exchange(int lease, struct nlmsghdr *message, int descriptor)
{
    static _Atomic uint32_t questions;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    message->nlmsg_seq = (uint32_t)getpid() << 12 | (++questions & 0xfff);
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int))]; } rights = { .space = { 0 } };
    struct iovec iov = { .iov_base = message, .iov_len = message->nlmsg_len };
    struct msghdr packet = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (descriptor >= 0) {
        rights.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof descriptor), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&rights.header), &descriptor, sizeof descriptor);
        packet.msg_control = &rights;
        packet.msg_controllen = sizeof rights.space;
    }
    if (real_sendmsg()(lease, &packet, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        return errno;
    return await(lease, NLMSG_ERROR, message->nlmsg_seq);
}

/* The same with a message of ours. */
static int ask(int lease, uint16_t type, const void *payload, size_t length, int descriptor)
{
    struct { struct nlmsghdr header; char payload[sizeof(struct encapsulation)]; } message = {
        .header = { .nlmsg_len = NLMSG_LENGTH(length), .nlmsg_type = type },
    };
    memcpy(message.payload, payload, length);
    return exchange(lease, &message.header, descriptor);
}

/* A new connection to the control socket, or -1. */
static int connect_control(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = ANSWER_SECONDS };
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
    real_setsockopt()(lease, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (real_connect()(lease, (struct sockaddr *)&address, length) == 0)
        return lease;
    discard(lease);
    return -1;
}

/* Hands B to the data plane over a new lease, subscribes and registers again. Returns 0 or an errno; then the socket is as it was. */
static int attach(struct xfrm_socket *s)
{
    const uint32_t hello[2] = { ATTACH_VERSION, NETLINK_XFRM };
    int lease = connect_control();
    if (lease < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EAGAIN ? ECONNREFUSED : errno;
    int error = ask(lease, ATTACH, hello, sizeof hello, s->data_plane_end);
    if (!error && s->groups)
        error = ask(lease, GROUPS, &s->groups, sizeof s->groups, -1);
    for (struct registration *r = registrations; !error && r < &registrations[MAX_REGISTRATIONS]; r++)
        if (r->name.port && ask(lease, ENCAP, &r->name, sizeof r->name, -1) == ECONNREFUSED)
            error = ECONNREFUSED;       /* another refusal is for the data plane to log: the SAs must go on */
    if (error) {
        discard(lease);
        return error;
    }
    if (s->lease < 0) {
        s->lease = hide(s, lease);
        error = s->lease < 0 ? errno : 0;
    } else {        /* the number stays: a thread may be polling it */
        real_dup3()(lease, s->lease, O_CLOEXEC);
        discard(lease);
    }
    s->owner = getpid();
    return error;
}

/* True if the data plane holds this lease. Takes what an interrupted conversation left on it. */
static bool lease_is_alive(int lease)
{
    char stale[1024];
    for (;;) {
        ssize_t length = recv(lease, stale, sizeof stale, MSG_DONTWAIT);
        if (length == 0)
            return false;
        if (length < 0 && errno != EINTR)
            return errno == EAGAIN;
    }
}

/* A forked process that speaks takes a pair of its own, on the same numbers: the old one goes on in the process that it comes from. */
static int replace_pair(struct xfrm_socket *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++) {
        if (entry_of(fd) != number_of(s))
            continue;
        int flags = real_fcntl()(fd, F_GETFD), status = real_fcntl()(fd, F_GETFL);
        real_dup3()(pair[0], fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
        real_fcntl()(fd, F_SETFL, status);
    }
    real_dup3()(pair[1], s->data_plane_end, O_CLOEXEC);
    discard(pair[0]);
    discard(pair[1]);
    return 0;
}

/* Attaches a socket again. Requests that the old data plane left unread are dropped: their senders were told so. */
static int revive(struct xfrm_socket *s)
{
    char unread[16];
    int error = s->owner == getpid() ? 0 : replace_pair(s);
    while (!error && recv(s->data_plane_end, unread, sizeof unread, MSG_DONTWAIT) >= 0)
        ;
    return error ? error : attach(s);
}

/* In turn. When a data plane is back, every XFRM socket of the process goes over to it: event sockets never send. */
static void revive_all(void)
{
    for (struct xfrm_socket *s = &sockets[1]; s < &sockets[MAX_SOCKETS]; s++)
        if (s->descriptors > 0 && !lease_is_alive(s->lease))
            revive(s);      /* if it fails, its own next send says so */
}

/* In turn. 0 or an errno. */
static int ensure_attached(struct xfrm_socket *s)
{
    if (s->descriptors == 0)
        return EBADF;       /* another thread has closed it */
    if (s->owner == getpid() && lease_is_alive(s->lease))
        return 0;
    int error = revive(s);
    if (!error)
        revive_all();
    return error;
}

/* Asks on a lease that is alive. 0 or an errno. */
static int ask_in_turn(struct xfrm_socket *s, uint16_t type, const void *payload, size_t length)
{
    int cancel_state = take_turn();
    int error = ensure_attached(s);
    if (!error)
        error = ask(s->lease, type, payload, length, -1);
    end_turn(cancel_state);
    return error;
}

/* ---- The watch of an IKE daemon ---- */

/* Waits for the end of the data plane, hands everything over to the next one, gives it the policies, and asks it for every SA. */
static void *watch(void *connection)
{
    int fd = (int)(intptr_t)connection, lease;
    for (;;) {
        struct pollfd waiting = { .fd = fd, .events = POLLRDHUP };
        if (poll(&waiting, 1, -1) <= 0)
            continue;
        do
            poll(NULL, 0, WATCH_MS);
        while ((lease = connect_control()) < 0);
        real_dup3()(lease, fd, O_CLOEXEC);
        discard(lease);
        int cancel_state = take_turn(), error = 0;
        revive_all();
        for (struct policy *p = policies; p && error != ECONNREFUSED; p = p->next)
            error = exchange(fd, &p->header, -1);
        for (int i = 0; i < MAX_ASSOCIATIONS && error != ECONNREFUSED; i++)
            if (associations[i].spi)
                error = ask(fd, XFRM_MSG_GETSA, &associations[i], sizeof associations[i], -1);
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
    } else {
        set_entry(fd, 0);
        discard(fd);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static bool is_subscribed(enum xfrm_nlgroups group)
{
    for (int i = 1; i < MAX_SOCKETS; i++)
        if (sockets[i].descriptors > 0 && sockets[i].groups & UINT32_C(1) << (group - 1))
            return true;
    return false;
}

/* Where an SA is remembered, or a free place for that of zeroes, or NULL. */
static struct xfrm_usersa_id *find_association(const struct xfrm_usersa_id *id)
{
    for (int i = 0; i < MAX_ASSOCIATIONS; i++)
        if (associations[i].spi == id->spi && memcmp(&associations[i], id, sizeof *id) == 0)
            return &associations[i];
    return NULL;
}

/* Remembers or forgets the SA that one request that was handled installs or removes. In turn. True if it installs one. */
static bool note_association(const struct nlmsghdr *message)
{
    static const struct xfrm_usersa_id none;
    struct xfrm_usersa_id id = none;
    bool installs = message->nlmsg_type == XFRM_MSG_NEWSA || message->nlmsg_type == XFRM_MSG_UPDSA;
    if (installs && message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct xfrm_usersa_info))) {
        const struct xfrm_usersa_info *info = NLMSG_DATA(message);
        id = (struct xfrm_usersa_id){ .daddr = info->id.daddr, .spi = info->id.spi, .family = info->family, .proto = info->id.proto };
    } else if (message->nlmsg_type == XFRM_MSG_DELSA && message->nlmsg_len >= NLMSG_LENGTH(sizeof id)) {
        memcpy(&id, NLMSG_DATA(message), sizeof id);
    } else if (message->nlmsg_type == XFRM_MSG_FLUSHSA) {
        memset(associations, 0, sizeof associations);
    }
    if (!id.spi)
        return false;
    struct xfrm_usersa_id *known = find_association(&id), *place = installs && !known ? find_association(&none) : known;
    if (place)
        *place = installs ? id : none;
    return installs;
}

/* Where a policy is remembered, or the end of the list. */
static struct policy **find_policy(const struct xfrm_selector *selector, uint8_t direction)
{
    struct policy **place = &policies;
    while (*place && ((*place)->info.dir != direction || memcmp(&(*place)->info.sel, selector, sizeof *selector) != 0))
        place = &(*place)->next;
    return place;
}

static void forget_policy(struct policy **place)
{
    struct policy *known = *place;
    if (!known)
        return;
    *place = known->next;
    free(known);
    policy_count--;
}

/* The message as it is goes to the next data plane, where it replaces what stands there. */
static void remember_policy(const struct nlmsghdr *message)
{
    struct xfrm_userpolicy_info info;
    memcpy(&info, NLMSG_DATA(message), sizeof info);
    struct policy **place = find_policy(&info.sel, info.dir);
    forget_policy(place);
    struct policy *next = *place, *policy = NULL;
    if (policy_count < MAX_POLICIES && message->nlmsg_len <= MAX_POLICY)
        policy = malloc(offsetof(struct policy, header) + message->nlmsg_len);
    if (!policy)
        return;
    memcpy(&policy->header, message, message->nlmsg_len);
    policy->header.nlmsg_type = XFRM_MSG_UPDPOLICY;
    policy->header.nlmsg_pid = 0;
    policy->next = next;
    *place = policy;
    policy_count++;
}

/* As note_association, of policies. One that is removed by its index, which IKE daemons do not do, stays remembered. */
static bool note_policy(const struct nlmsghdr *message)
{
    const struct xfrm_userpolicy_id *id = NLMSG_DATA(message);
    bool installs = (message->nlmsg_type == XFRM_MSG_NEWPOLICY || message->nlmsg_type == XFRM_MSG_UPDPOLICY)
        && message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct xfrm_userpolicy_info));
    if (installs)
        remember_policy(message);
    else if (message->nlmsg_type == XFRM_MSG_DELPOLICY && message->nlmsg_len >= NLMSG_LENGTH(sizeof *id) && !id->index)
        forget_policy(find_policy(&id->sel, id->dir));
    else if (message->nlmsg_type == XFRM_MSG_FLUSHPOLICY)
        while (policies)
            forget_policy(&policies);
    return installs;
}

/* In turn. */
static void note(const struct nlmsghdr *message)
{
    bool association = note_association(message), policy = note_policy(message);
    if ((association || policy) && watched != getpid() && is_subscribed(XFRMNLGRP_EXPIRE))
        start_watch();
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
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    pthread_once(&configured, read_configuration);
    return control_path[0] != 0;
}

/* The turn belonged to a thread of the parent. What that was about to change is half done at worst, and only our own descriptors get lost. */
static void in_child(void)
{
    self = getpid();
    pthread_mutex_init(&turn, NULL);
}

static void hook_fork(void)
{
    self = getpid();
    pthread_atfork(NULL, NULL, in_child);
}

/* Makes the pair and hands B over. In turn. Returns A, or -1 with errno set. */
static int make_pair(struct xfrm_socket *s, int flags)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | flags, 0, pair) < 0)
        return -1;
    *s = (struct xfrm_socket){ .data_plane_end = hide(s, pair[1]), .lease = -1, .owner = getpid() };
    int error = s->data_plane_end < 0 ? errno : pair[0] >= MAX_DESCRIPTORS ? EMFILE : attach(s);
    if (!error) {
        s->descriptors = 1;
        set_entry(pair[0], number_of(s));
        return pair[0];
    }
    discard(pair[0]);
    retire(s);
    return fail(error == ECONNREFUSED ? EPROTONOSUPPORT : error);
}

static int open_xfrm(int type)
{
    static pthread_once_t fork_hooked = PTHREAD_ONCE_INIT;
    int flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC), fd;
    struct xfrm_socket *s = &sockets[1];
    if ((type & ~flags) != SOCK_RAW && (type & ~flags) != SOCK_DGRAM)
        return fail(ESOCKTNOSUPPORT);
    pthread_once(&fork_hooked, hook_fork);
    int cancel_state = take_turn();
    while (s < &sockets[MAX_SOCKETS] && s->descriptors > 0)
        s++;
    fd = s < &sockets[MAX_SOCKETS] ? make_pair(s, flags) : fail(EMFILE);
    end_turn(cancel_state);
    return fd;
}

EXPORT int socket(int domain, int type, int protocol)
{
    return domain == AF_NETLINK && protocol == NETLINK_XFRM && is_enabled() ? open_xfrm(type) : real_socket()(domain, type, protocol);
}

/* ---- IKE sockets ---- */

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

/* True for a UDP socket in a process that has an XFRM socket. */
static bool is_ike_socket(int fd)
{
    int protocol = 0, i = 1;
    socklen_t length = sizeof protocol;
    if (!self || getpid() != self)
        return false;
    while (i < MAX_SOCKETS && sockets[i].descriptors == 0)
        i++;
    return i < MAX_SOCKETS && real_getsockopt()(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 && protocol == IPPROTO_UDP;
}

/* What a UDP socket receives that is bound to `address`, by default to its own. Port 0: it is not bound. */
static struct encapsulation receives(int fd, uint32_t operation, const struct sockaddr *address, socklen_t length)
{
    struct encapsulation name = { .operation = operation };
    union { struct sockaddr_storage any; struct sockaddr_in v4; struct sockaddr_in6 v6; } own = { .any = { 0 } };
    int only = 0;
    socklen_t size = sizeof own;
    if (!address)
        real_getsockname()(fd, (struct sockaddr *)&own, &size);
    else
        memcpy(&own, address, length < size ? length : size);
    if (own.any.ss_family == AF_INET) {
        name.port = own.v4.sin_port;
        memcpy(name.address, &own.v4.sin_addr, sizeof own.v4.sin_addr);
    } else if (own.any.ss_family == AF_INET6) {
        name.port = own.v6.sin6_port;
        memcpy(name.address, &own.v6.sin6_addr, sizeof own.v6.sin6_addr);
        size = sizeof only;
        real_getsockopt()(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size);
        if (!only && IN6_IS_ADDR_UNSPECIFIED(&own.v6.sin6_addr))
            own.any.ss_family = AF_UNSPEC;
    }
    name.family = own.any.ss_family;
    return name;
}

/* Tells the data plane over every lease of the process, so that a registration ends with the last of them. In turn. 0 or an errno. */
static int tell(const struct encapsulation *name)
{
    int error = ENOPROTOOPT;
    for (struct xfrm_socket *s = &sockets[1]; s < &sockets[MAX_SOCKETS]; s++)
        if (s->descriptors > 0 && (error = ensure_attached(s)) == 0)
            error = ask(s->lease, ENCAP, name, sizeof *name, -1);
    return error;
}

static bool is_same(const struct encapsulation *a, const struct encapsulation *b)
{
    return a->port == b->port && a->family == b->family && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* Where the name is registered, or NULL; one of zeroes finds a free place. In turn. */
static struct registration *find(const struct encapsulation *name)
{
    for (struct registration *r = registrations; r < &registrations[MAX_REGISTRATIONS]; r++)
        if (is_same(&r->name, name))
            return r;
    return NULL;
}

/* Takes back what sockets have registered that are closed: a host whose addresses change would fill the table in the end. In turn. */
static void forget_closed(void)
{
    for (struct registration *r = registrations; r < &registrations[MAX_REGISTRATIONS]; r++) {
        struct encapsulation now = receives(r->fd, 0, NULL, 0), name = r->name;
        if (!is_same(&name, &now)) {
            *r = (struct registration){ 0 };
            name.operation = ENCAP_CLOSE;
            tell(&name);
        }
    }
}

/* UDP_ENCAP. Without a data plane it is kept, as a subscription is. In turn. 0 or an errno. */
static int set_encapsulation(int fd, const struct encapsulation *name)
{
    static const struct encapsulation none;
    struct registration *r = find(name);
    if (!r && name->operation == ENCAP_OPEN && !(r = find(&none))) {
        forget_closed();
        if (!(r = find(&none)))
            return ENOBUFS;
    }
    int error = tell(name);
    if (error == ECONNREFUSED)
        error = 0;
    if (r)
        *r = error || name->operation == ENCAP_CLOSE ? (struct registration){ 0 } : (struct registration){ fd, *name };
    return error;
}

static int encapsulate(int fd, int type)
{
    struct encapsulation name = receives(fd, type ? ENCAP_OPEN : ENCAP_CLOSE, NULL, 0);
    int on = 1;
    if (name.port == 0)
        return fail(EINVAL);
    if (type)
        real_setsockopt()(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int cancel_state = take_turn();
    int error = set_encapsulation(fd, &name);
    end_turn(cancel_state);
    return error ? fail(error) : 0;
}

/* The data plane's own sockets may stand on the port: they and the program's can share it, unless another IKE daemon has it. */
static int bind_beside(int fd, const struct sockaddr *address, socklen_t length)
{
    struct encapsulation name = receives(fd, ENCAP_MAY_SHARE, address, length);
    int on = 1, off = 0, cancel_state = take_turn(), error = tell(&name);
    end_turn(cancel_state);
    if (error)
        return fail(EADDRINUSE);
    real_setsockopt()(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (real_bind()(fd, address, length) == 0)
        return 0;
    real_setsockopt()(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof off);
    return fail(EADDRINUSE);
}

/* ---- Addresses and options ---- */

/* As the kernel, but that it would let only one socket of the host have an id: nothing here depends on that. */
static void take_port(struct xfrm_socket *s, uint32_t wanted)
{
    if (!s->port)
        s->port = wanted ? wanted : number_of(s) == 1 ? (uint32_t)getpid() : (uint32_t)-4096 - number_of(s);
}

/* A subscription while no data plane is there is kept and handed over with the socket. */
static int subscribe(struct xfrm_socket *s, uint32_t groups)
{
    uint32_t before = s->groups;
    s->groups = groups;
    int error = groups == before ? 0 : ask_in_turn(s, GROUPS, &groups, sizeof groups);
    if (error == ECONNREFUSED)
        error = 0;
    if (error)
        s->groups = before;
    return error;
}

static int bind_netlink(struct xfrm_socket *s, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_nl name;
    if (length < sizeof name)
        return EINVAL;
    memcpy(&name, address, sizeof name);
    if (name.nl_family != AF_NETLINK || (s->port && name.nl_pid && name.nl_pid != s->port))
        return EINVAL;
    take_port(s, name.nl_pid);
    return subscribe(s, name.nl_groups);
}

EXPORT int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    if (!is_ours(fd)) {
        int result = real_bind()(fd, address, length);
        return result < 0 && errno == EADDRINUSE && is_ike_socket(fd) ? bind_beside(fd, address.__sockaddr__, length) : result;
    }
    int error = bind_netlink(socket_of(fd), address.__sockaddr__, length);
    return error ? fail(error) : 0;
}

/* A is connected already. */
EXPORT int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    return is_ours(fd) ? 0 : real_connect()(fd, address, length);
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
    give_name(address.__sockaddr__, length, *length, socket_of(fd)->port, socket_of(fd)->groups);
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
        return subscribe(s, name == NETLINK_ADD_MEMBERSHIP ? s->groups | number : s->groups & ~number);
    case NETLINK_NO_ENOBUFS:
        s->ignores_loss = number != 0;
        return 0;
    case NETLINK_BROADCAST_ERROR:
    case NETLINK_CAP_ACK:
    case NETLINK_EXT_ACK:
    case NETLINK_GET_STRICT_CHK:
        return 0;
    default:
        return ENOPROTOOPT;
    }
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    if (level == SOL_NETLINK && is_ours(fd)) {
        int error = set_netlink_option(socket_of(fd), name, value, length);
        return error ? fail(error) : 0;
    }
    if (((level == IPPROTO_IP && (name == IP_XFRM_POLICY || name == OLD_IP_IPSEC_POLICY)) ||
         (level == IPPROTO_IPV6 && (name == IPV6_XFRM_POLICY || name == OLD_IPV6_IPSEC_POLICY))) && is_enabled())
        return set_socket_policy(fd, value, length);
    int type;
    if (level == IPPROTO_UDP && name == UDP_ENCAP && length >= sizeof type && is_ike_socket(fd)) {
        memcpy(&type, value, sizeof type);
        if (type == 0 || type == UDP_ENCAP_ESPINUDP)
            return encapsulate(fd, type);
        if (type == UDP_ENCAP_ESPINUDP_NON_IKE)
            return fail(ENOPROTOOPT);
    }
    return real_setsockopt()(fd, level, name, value, length);
}

EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
    int result = real_getsockopt()(fd, level, name, value, length), type = UDP_ENCAP_ESPINUDP;
    if (result == 0 && level == IPPROTO_UDP && name == UDP_ENCAP && *length == sizeof type && is_ike_socket(fd)) {
        struct encapsulation own = receives(fd, 0, NULL, 0);
        int cancel_state = take_turn();
        if (own.port && find(&own))
            memcpy(value, &type, sizeof type);
        end_turn(cancel_state);
    }
    return result;
}

/* ---- Sending ---- */

/* The kernel answers to the port of the socket, whatever nlmsg_pid says. The data plane answers to nlmsg_pid. */
static void stamp_port(char *request, int length, uint32_t port)
{
    for (struct nlmsghdr *message = (struct nlmsghdr *)request; NLMSG_OK(message, length); message = NLMSG_NEXT(message, length))
        message->nlmsg_pid = port;
}

/* What DONE will carry: a thread that sends while another closes or replaces its descriptor can cause one that nobody waits for. */
static uint32_t sequence_of(const char *request, size_t length)
{
    struct nlmsghdr header = { 0 };
    memcpy(&header, request, length < sizeof header ? 0 : sizeof header);
    return header.nlmsg_seq;
}

/* Sends one request and waits until it is handled. 0 or an errno. */
static int converse(struct xfrm_socket *s, int fd, const char *request, size_t length, int flags)
{
    int cancel_state = take_turn();
    int error = ensure_attached(s);
    if (!error && entry_of(fd) != number_of(s))
        error = EBADF;      /* another thread has closed or replaced it: it may be anybody's */
    if (!error)
        error = real_send()(fd, request, length, MSG_NOSIGNAL | (flags & MSG_DONTWAIT)) < 0 ? errno : await(s->lease, DONE, sequence_of(request, length));
    int left = (int)length;
    for (const struct nlmsghdr *message = (const struct nlmsghdr *)request; !error && NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
        note(message);
    end_turn(cancel_state);
    return error;
}

static ssize_t submit(int fd, const struct msghdr *message, int flags)
{
    const struct sockaddr_nl *to = message->msg_name;
    size_t length = 0, copied = 0;
    if (to && message->msg_namelen >= sizeof *to && (to->nl_family != AF_NETLINK || to->nl_pid || to->nl_groups))
        return fail(to->nl_family != AF_NETLINK ? EINVAL : to->nl_groups ? EPERM : ECONNREFUSED);
    for (size_t i = 0; i < message->msg_iovlen; length += message->msg_iov[i++].iov_len)
        if (message->msg_iov[i].iov_len > MAX_REQUEST - length)
            return fail(EMSGSIZE);
    if (length == 0)
        return fail(ENODATA);
    struct xfrm_socket *s = socket_of(fd);
    char *request = malloc(length);
    if (!request)
        return fail(ENOBUFS);
    for (size_t i = 0; i < message->msg_iovlen; copied += message->msg_iov[i++].iov_len)
        if (message->msg_iov[i].iov_len)
            memcpy(request + copied, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
    take_port(s, 0);
    stamp_port(request, (int)length, s->port);
    int error = converse(s, fd, request, length, flags);
    explicit_bzero(request, length);        /* it may carry keys */
    free(request);
    return error ? fail(error) : (ssize_t)length;
}

EXPORT ssize_t sendto(int fd, const void *bytes, size_t length, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_length)
{
    if (!is_ours(fd))
        return real_sendto()(fd, bytes, length, flags, to, to_length);
    struct iovec iov = { .iov_base = (void *)bytes, .iov_len = length };
    struct msghdr message = { .msg_name = (void *)to.__sockaddr__, .msg_namelen = to_length, .msg_iov = &iov, .msg_iovlen = 1 };
    return submit(fd, &message, flags);
}

EXPORT ssize_t send(int fd, const void *bytes, size_t length, int flags)
{
    return is_ours(fd) ? sendto(fd, bytes, length, flags, (struct sockaddr *)NULL, 0) : real_send()(fd, bytes, length, flags);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return is_ours(fd) ? submit(fd, message, flags) : real_sendmsg()(fd, message, flags);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t length)
{
    return is_ours(fd) ? sendto(fd, bytes, length, 0, (struct sockaddr *)NULL, 0) : real_write()(fd, bytes, length);
}

/* ---- Receiving ---- */

/* Waits until A can be read: 0, or EINTR, or ECONNREFUSED if the data plane is gone, has left no answer and was not subscribed to. A subscriber
   may never send, so it looks by itself for a data plane that is back. */
static int wait_for_input(int fd, struct xfrm_socket *s)
{
    for (;;) {
        struct pollfd waiting[2] = { { .fd = fd, .events = POLLIN }, { .fd = s->lease, .events = POLLRDHUP } };
        if (poll(waiting, 2, -1) < 0)
            return errno;
        if (waiting[0].revents)
            return 0;
        if (poll(&waiting[1], 1, 0) == 0 || (s->groups && ask_in_turn(s, GROUPS, &s->groups, sizeof s->groups) == 0))
            continue;       /* attached again */
        int ready = poll(waiting, 1, s->groups ? RETRY_MS : 0);
        if (ready != 0)
            return ready > 0 ? 0 : errno;
        if (!s->groups)
            return ECONNREFUSED;
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
    int error = wait_for_input(fd, socket_of(fd));
    return error ? fail(error) == 0 : true;
}

/* Where notifications were lost the data plane leaves NLMSG_OVERRUN; a program knows ENOBUFS from the kernel. True for such a datagram, which is taken. */
static bool is_loss(int fd, const void *bytes, size_t room, ssize_t length, int flags)
{
    struct nlmsghdr message;
    if (length != sizeof message || room < sizeof message)
        return false;
    memcpy(&message, bytes, sizeof message);
    if (message.nlmsg_type != NLMSG_OVERRUN)
        return false;
    if (flags & MSG_PEEK)
        recv(fd, &message, sizeof message, MSG_DONTWAIT);
    return true;
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    if (!is_ours(fd))
        return real_recvmsg()(fd, message, flags);
    struct msghdr asked = *message;
    socklen_t room = message->msg_namelen;
    ssize_t result = may_receive(fd, flags) ? real_recvmsg()(fd, message, flags) : -1;
    if (message->msg_iovlen && is_loss(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, result, flags)) {
        *message = asked;
        return socket_of(fd)->ignores_loss ? recvmsg(fd, message, flags) : fail(ENOBUFS);
    }
    if (result >= 0)
        give_name(message->msg_name, &message->msg_namelen, room, 0, 0);
    return result;
}

EXPORT ssize_t recvfrom(int fd, void *restrict bytes, size_t length, int flags, __SOCKADDR_ARG from, socklen_t *restrict from_length)
{
    if (!is_ours(fd))
        return real_recvfrom()(fd, bytes, length, flags, from, from_length);
    ssize_t result = may_receive(fd, flags) ? recv(fd, bytes, length, flags) : -1;
    if (is_loss(fd, bytes, length, result, flags))
        return socket_of(fd)->ignores_loss ? recvfrom(fd, bytes, length, flags, from, from_length) : fail(ENOBUFS);
    if (result >= 0)
        give_name(from.__sockaddr__, from_length, from_length ? *from_length : 0, 0, 0);
    return result;
}

EXPORT ssize_t __recvfrom_chk(int fd, void *bytes, size_t length, size_t room, int flags, __SOCKADDR_ARG from, socklen_t *from_length)
{
    return is_ours(fd) && length <= room ? recvfrom(fd, bytes, length, flags, from, from_length)
                                         : real___recvfrom_chk()(fd, bytes, length, room, flags, from, from_length);
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

/* Between the numbers that are ours as it is; XFRM sockets by close(), which leaves B and the leases to their sockets. */
EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
    if (!self || flags & (int)CLOSE_RANGE_CLOEXEC || last < first || getpid() != self)
        return real_close_range()(first, last, flags);
    unsigned int from = first;
    for (unsigned int fd = first; fd <= last && fd < MAX_DESCRIPTORS; fd++) {
        if (!entry_of((int)fd))
            continue;
        if (fd > from && real_close_range()(from, fd - 1, flags) < 0)
            return -1;
        close((int)fd);
        from = fd + 1;
    }
    return from > last ? 0 : real_close_range()(from, last, flags);
}

EXPORT void closefrom(int first)
{
    if (self && getpid() == self)
        close_range(first < 0 ? 0 : (unsigned int)first, ~0U, 0);
    else
        real_closefrom()(first);
}

EXPORT int dup(int fd)
{
    return is_ours(fd) ? add_descriptor(entry_of(fd), real_dup()(fd)) : real_dup()(fd);
}

static int duplicate_to(int from, int to, int flags, bool plain)
{
    uint16_t entry = entry_of(from);
    bool child = getpid() != self;
    if (!child && from != to && entry_of(to) & HIDDEN)
        return fail(EBUSY);
    int result = plain ? real_dup2()(from, to) : real_dup3()(from, to, flags);
    if (result < 0 || from == to || child)
        return result;
    forget_descriptor(to);
    return entry && !(entry & HIDDEN) ? add_descriptor(entry, to) : to;
}

EXPORT int dup2(int from, int to)
{
    return entry_of(from) || entry_of(to) ? duplicate_to(from, to, 0, true) : real_dup2()(from, to);
}

EXPORT int dup3(int from, int to, int flags)
{
    return entry_of(from) || entry_of(to) ? duplicate_to(from, to, flags, false) : real_dup3()(from, to, flags);
}

#define FCNTL(name)                                                                                                                     \
    EXPORT int name(int fd, int command, ...)                                                                                           \
    {                                                                                                                                   \
        va_list arguments;                                                                                                              \
        va_start(arguments, command);                                                                                                   \
        void *argument = va_arg(arguments, void *);                                                                                     \
        va_end(arguments);                                                                                                              \
        int result = real_##name()(fd, command, argument);                                                                              \
        return (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && is_ours(fd) ? add_descriptor(entry_of(fd), result) : result;        \
    }

FCNTL(fcntl)
FCNTL(fcntl64)
