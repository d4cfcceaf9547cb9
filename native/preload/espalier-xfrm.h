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
 *   bind, connect, getsockname,   speak sockaddr_nl. The port id is what bind names, else getpid() or a negative number; nl_groups becomes
 *     getpeername                 the subscription. There is nothing to connect to but the kernel.
 *   setsockopt, getsockopt        SOL_NETLINK: memberships become the subscription; EXT_ACK, CAP_ACK, GET_STRICT_CHK and the like are
 *                                 accepted, as Espalier answers so anyway; PKTINFO and others are refused. SOL_SOCKET: domain, protocol and
 *                                 type are netlink's, all else is the kernel's own.
 *   send, sendto, sendmsg, write, send the request with nlmsg_pid = the socket's port id, and return when the data plane has handled it:
 *     writev, sendmmsg            its answer (of a dump: the first part) is then queued, which programs rely on.
 *   recvmsg, recvfrom, recv,      fill in the sender: the kernel, sockaddr_nl with nl_pid 0. Where they block without a timeout, and the
 *     read, readv, recvmmsg       data plane dies, they fail with ECONNREFUSED; with a subscription they wait for a data plane that is back.
 *                                 A signal ends them with EINTR, unless all handlers have SA_RESTART. NLMSG_OVERRUN of the data plane
 *                                 becomes ENOBUFS, with NETLINK_NO_ENOBUFS nothing.
 *   close, close_range,           keep the table right. B and the lease stand at high numbers of their own: the program cannot close them,
 *     closefrom, dup*, fcntl      and gets EBUSY if it asks dup2 or dup3 for their number.
 *   All other calls see a Unix socket: preadv2, say, waits for ever, and pwritev2 not for the answer.
 *
 * Data plane absent: socket() fails with EPROTONOSUPPORT, as on a kernel without XFRM; refused: with the errno of the refusal.
 * Data plane gone later: send fails with ECONNREFUSED, or, when a data plane is back, hands everything over again, also for the other XFRM
 * sockets of the process; a receive that blocks on a subscription does so, too. A request whose fate is unknown is not repeated.
 *
 * An IKE daemon (a process that installs SAs or policies and is subscribed to EXPIRE) may not speak for long. So it gets a thread that waits
 * for the end of the data plane, hands everything over to the next one, and repeats the policies that the daemon has installed, so that traps
 * work and what they hold leaves in clear no longer than that takes. Then it asks for each SA that the daemon has installed: of those that are
 * gone, and all are after a restart, the data plane says EXPIRE, and the daemon makes new ones. Policies as they were sent, and which the SAs
 * are (address, SPI; no keys), are remembered here, from when the data plane has taken them: DONE says of each message of a request how it
 * ended, whether or not it asked for an acknowledgement (NLM_F_ACK). What is removed is forgotten also where no data plane was there to remove
 * it. Policies are told apart as in the kernel: by direction, selector, mark, interface id and type. Of one that is removed by its index the
 * data plane is asked first which that is. The thread listens to what becomes of policies, too: one that is gone because another process has removed
 * it is forgotten.
 *
 * Threads may share XFRM sockets; one request of a process is handled after the other. Signal handlers must leave them alone, close included.
 * After fork the child shares what is queued; when it first sends, the socket becomes its own, with the same numbers, options and
 * subscription, and must be given to epoll again. After exec a descriptor without FD_CLOEXEC is no XFRM socket any more. A child made by vfork
 * may do what it is allowed to: close, dup2, exec. Not seen: static programs, system calls made directly (Go), io_uring, programs that drop
 * LD_PRELOAD (setuid).
 *
 * IKE sockets
 * -----------
 * setsockopt(IP_XFRM_POLICY, IPV6_XFRM_POLICY) with a policy that bypasses IPsec sets SO_MARK to the mark that Espalier's routing rules exempt
 * (ESPALIER_MARK, default 0x4550); when the socket's policies are removed, it has the mark again that it had before, of up to 1,024 sockets. A
 * policy that asks for protection of a single socket is refused with EOPNOTSUPP.
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
 *
 * Files
 * -----
 * descriptors.c says whether a descriptor is an XFRM socket; libc.c has the C library's own functions, for those that are none. The others, in
 * the order in which a request goes through them:
 *   configuration.c         the environment: is there a data plane?
 *   opening.c               socket: makes the pair
 *   names.c, options.c      bind, connect, getsockname, getpeername; setsockopt, getsockopt
 *   sending.c               send, sendto, sendmsg, write, writev, sendmmsg: the request goes to the data plane, whose DONE is waited for
 *   lease.c                 what is said on the lease; hands a socket over
 *   handing-over.c          does so again: to a data plane that is back, and after fork
 *   remembered-associations.c, remembered-policies.c, policy-key.c, migrations.c
 *                           the SAs and policies that the request has installed, changed or removed
 *   watch.c                 the thread of an IKE daemon, which gives them to the next data plane, and learns what others have removed
 *   receiving.c             recvmsg, recvfrom, recv, read, readv, recvmmsg: the answer, and notifications
 *   closing.c               close, close_range, closefrom, dup, dup2, dup3, fcntl
 * What options.c and names.c meet on sockets that are none of XFRM: bypass policies (socket-policies.c); UDP_ENCAP, bind beside the data plane (ike-sockets.c).
 */
#ifndef ESPALIER_XFRM_H
#define ESPALIER_XFRM_H

#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT ssize_t __read_chk(int, void *, size_t, size_t);
EXPORT ssize_t __recv_chk(int, void *, size_t, size_t, int);
EXPORT ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, __SOCKADDR_ARG, socklen_t *);
EXPORT int fcntl64(int, int, ...);

/* All below is the library's own. The compiler must know so where it is used, too: then it calls and loads without detour. */
#pragma GCC visibility push(hidden)

/* Messages of the control connection. */
enum { ATTACH = 0xE500, DONE = 0xE501, GROUPS = 0xE502, ENCAP = 0xE504, ATTACH_VERSION = 1 };

/* The payload of ENCAP. Port and address in network byte order; AF_UNSPEC is every address of both families. */
struct encapsulation {
    uint32_t operation;
    uint16_t family, port;
    uint8_t address[16];
};
enum { ENCAP_CLOSE, ENCAP_OPEN, ENCAP_MAY_SHARE };

enum {
    MAX_SOCKETS = 256,          /* XFRM sockets of a process; entry 0 is not used */
    MAX_VECTOR = 1024,          /* parts of a vector, or messages of sendmmsg: UIO_MAXIOV of the kernel */
    HIDDEN = 0x8000,            /* in the table: B or the lease of the socket in the low bits; of no socket: the watch's connection */
};

struct xfrm_socket {
    int descriptors;            /* numbers of A in this process; 0: free */
    int data_plane_end;         /* our copy of B */
    int lease;                  /* keeps its number for the socket's life */
    pid_t owner;                /* the process that attached B: a forked one has copies of the descriptors only */
    uint32_t port;              /* 0: not bound */
    uint32_t groups;            /* subscription: bit n - 1 is group n */
    int type;                   /* as the program asked for it: SOCK_RAW or SOCK_DGRAM */
    uint32_t options;           /* of SOL_NETLINK that are set: bit n is option n */
    bool ignores_loss;          /* NETLINK_NO_ENOBUFS */
    _Atomic bool untold_loss;   /* recvmmsg met the loss of notifications behind what it returned: the next receive says so */
};

/* libc.c: real_socket() and so on give the C library's own functions. */
#define REAL_FUNCTIONS(EACH)                                                                                    \
    EACH(socket) EACH(bind) EACH(connect) EACH(getsockname) EACH(getpeername) EACH(getsockopt) EACH(setsockopt)                  \
    EACH(recvmsg) EACH(recvfrom) EACH(__recvfrom_chk) EACH(recv) EACH(__recv_chk) EACH(read) EACH(__read_chk) EACH(send) EACH(sendto) EACH(sendmsg) EACH(write)         \
    EACH(readv) EACH(recvmmsg) EACH(writev) EACH(sendmmsg)                                                                      \
    EACH(close) EACH(close_range) EACH(closefrom) EACH(dup) EACH(dup2) EACH(dup3) EACH(fcntl) EACH(fcntl64)
#define DECLARE(name) __typeof__(&name) real_##name(void);
REAL_FUNCTIONS(DECLARE)
#undef DECLARE
int fail(int error);
ssize_t length_of(const struct iovec *parts, int count);
void discard(int fd);

/* configuration.c */
extern char control_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
extern unsigned int bypass_mark;
bool is_enabled(void);

/* descriptors.c */
extern struct xfrm_socket sockets[MAX_SOCKETS];
extern pid_t self;              /* 0 before the first XFRM socket; differs from getpid() in a child of vfork */
uint16_t entry_of(int fd);
bool is_ours(int fd);
int next_entry(int fd);
bool set_entry(int fd, uint16_t entry);
uint16_t number_of(const struct xfrm_socket *s);
struct xfrm_socket *socket_of(int fd);
int take_turn(void);
void end_turn(int cancel_state);
void retire(struct xfrm_socket *s);
int add_descriptor(uint16_t entry, int fd);
void forget_descriptor(int fd);
int hide(const struct xfrm_socket *s, int fd);
void hook_fork(void);

/* names.c */
int subscribe(struct xfrm_socket *s, uint32_t keep, uint32_t add);
void take_port(struct xfrm_socket *s, uint32_t wanted);
void give_name(struct sockaddr *to, socklen_t *length, socklen_t room, uint32_t port, uint32_t groups);

/* lease.c */
bool await(int lease, uint16_t type, uint16_t other, uint32_t sequence, struct nlmsghdr *message, size_t room);
int error_of(const struct nlmsghdr *answer);
int exchange(int lease, struct nlmsghdr *message, int descriptor);
int fetch(int connection, struct nlmsghdr *message, uint16_t type, struct nlmsghdr *answer, size_t room);
int ask(int lease, uint16_t type, const void *payload, size_t length, int descriptor);
int connect_control(void);
int attach(struct xfrm_socket *s);

/* handing-over.c */
void revive_all(void);
int ensure_attached(struct xfrm_socket *s);
int ask_in_turn(struct xfrm_socket *s, uint16_t type, const void *payload, size_t length);

/* watch.c */
void end_watch(void);

/* socket-policies.c */
int set_socket_policy(int fd, const void *value, socklen_t length);

/* ike-sockets.c */
bool is_ike_socket(int fd);
int encapsulate(int fd, int type);
bool is_encapsulated(int fd);
int bind_beside(int fd, const struct sockaddr *address, socklen_t length);
int register_again(int lease);

#pragma GCC visibility pop

#endif
