// refuse RULE=ERRNO… -- PROGRAM ARGUMENT…
// Runs a program under a kernel that refuses rungs of the offload ladder, as an older one or another device would: a seccomp filter hands the calls in question to a
// process beside it, which looks at their arguments and answers with the errno, or lets the kernel do them. The program keeps this process's id.
//
//   IFF_VNET_HDR, IFF_MULTI_QUEUE  TUNSETIFF with that flag
//   MORE_QUEUES                    TUNSETIFF with IFF_MULTI_QUEUE but the first: before Linux 3.8 the flag is ignored
//   TUNSETOFFLOAD, USO             TUNSETOFFLOAD with any offload, with USO
//   UDP_GRO, UDP_SEGMENT           setsockopt
//   SEND                           sendmmsg of a message with UDP_SEGMENT that stands first; one behind it ends the call, as in the kernel
//   WRITE                          writev of a super-packet to a TUN
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <linux/udp.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TUN_F_USO4 // Headers before Linux 6.2.
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

enum { VNET_HDR, MULTI_QUEUE, MORE_QUEUES, OFFLOAD, USO, GRO, SEGMENT, SEND, WRITE, RULES };
static const char *const names[RULES] = { "IFF_VNET_HDR", "IFF_MULTI_QUEUE", "MORE_QUEUES", "TUNSETOFFLOAD", "USO", "UDP_GRO", "UDP_SEGMENT", "SEND", "WRITE" };
static const struct { const char *name; int value; } errnos[] = {
    { "EIO", EIO }, { "EINVAL", EINVAL }, { "EMSGSIZE", EMSGSIZE }, { "ENOPROTOOPT", ENOPROTOOPT }, { "EBUSY", EBUSY },
};
enum { SPOILT = 0x7fff };
static int rules[RULES];

static void fail(const char *what)
{
    perror(what);
    exit(125);
}

static int parse(const char *word)
{
    const char *sign = strchr(word, '=');
    for (int rule = 0; sign && rule < RULES; rule++)
        for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++)
            if (strlen(names[rule]) == (size_t)(sign - word) && !strncmp(word, names[rule], sign - word) && !strcmp(sign + 1, errnos[i].name))
                return rules[rule] = errnos[i].value;
    return 0;
}

static int peek(pid_t task, __u64 from, void *to, size_t length)
{
    struct iovec local = { to, length }, remote = { (void *)from, length };
    return process_vm_readv(task, &local, 1, &remote, 1, 0) == (ssize_t)length;
}

// True for a message that is to be cut. With spoil, its control message becomes one that the kernel refuses.
static int is_cut(pid_t task, const struct msghdr *message, int spoil)
{
    char control[256];
    struct msghdr copy = { .msg_control = control, .msg_controllen = message->msg_controllen };
    if (copy.msg_controllen > sizeof control || !peek(task, (__u64)message->msg_control, control, copy.msg_controllen))
        return 0;
    for (struct cmsghdr *one = CMSG_FIRSTHDR(&copy); one; one = CMSG_NXTHDR(&copy, one))
        if (one->cmsg_level == IPPROTO_UDP && (one->cmsg_type == UDP_SEGMENT || one->cmsg_type == SPOILT)) {
            int type = SPOILT;
            struct iovec local = { &type, sizeof type }, remote = { (char *)message->msg_control + ((char *)&one->cmsg_type - control), sizeof type };
            return !spoil || process_vm_writev(task, &local, 1, &remote, 1, 0) == sizeof type;
        }
    return 0;
}

// The kernel stops at the first message that it refuses, and says why only where that is the first of the call. So one behind is left to the kernel to stop at.
static int judge_send(pid_t task, __u64 messages, unsigned count)
{
    struct mmsghdr message;
    for (unsigned i = 0; i < count; i++)
        if (peek(task, messages + i * sizeof message, &message, sizeof message) && is_cut(task, &message.msg_hdr, i > 0))
            return i == 0 ? rules[SEND] : 0;
    return 0;
}

static int judge_write(pid_t task, __u64 vectors)
{
    struct iovec first;
    struct virtio_net_hdr header;
    return peek(task, vectors, &first, sizeof first) && first.iov_len == sizeof header && peek(task, (__u64)first.iov_base, &header, sizeof header)
        && header.gso_type != VIRTIO_NET_HDR_GSO_NONE ? rules[WRITE] : 0;
}

static int judge_ioctl(pid_t task, const __u64 *arguments)
{
    if ((unsigned)arguments[1] == TUNSETOFFLOAD)
        return arguments[2] & (TUN_F_USO4 | TUN_F_USO6) && rules[USO] ? rules[USO] : rules[OFFLOAD];
    struct ifreq request;
    if (!peek(task, arguments[2], &request, sizeof request))
        return 0;
    if (request.ifr_flags & IFF_VNET_HDR && rules[VNET_HDR])
        return rules[VNET_HDR];
    static int queues;
    return !(request.ifr_flags & IFF_MULTI_QUEUE) ? 0 : queues++ ? rules[MORE_QUEUES] : rules[MULTI_QUEUE];
}

static int judge(pid_t task, const struct seccomp_data *call)
{
    switch (call->nr) {
    case SYS_ioctl: return judge_ioctl(task, call->args);
    case SYS_setsockopt: return call->args[2] == UDP_GRO ? rules[GRO] : rules[SEGMENT];
    case SYS_sendmmsg: return judge_send(task, call->args[1], call->args[2]);
    default: return judge_write(task, call->args[1]);
    }
}

static void serve(int listener)
{
    for (;;) {
        struct seccomp_notif call;
        memset(&call, 0, sizeof call);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
            if (errno == EINTR || errno == ENOENT)
                continue;
            exit(0);
        }
        int refusal = judge(call.pid, &call.data);
        struct seccomp_notif_resp answer = { .id = call.id, .error = -refusal, .flags = refusal ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
}

#define CALL BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define IF(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)

static int filter(void)
{
    struct sock_filter code[] = {
        CALL,
        IF(rules[SEND] ? SYS_sendmmsg : -1, 11, 0),
        IF(rules[WRITE] ? SYS_writev : -1, 10, 0),
        IF(SYS_ioctl, 0, 3),
        ARGUMENT(1),
        IF(TUNSETIFF, 7, 0),
        IF(TUNSETOFFLOAD, 6, 4),
        IF(SYS_setsockopt, 0, 3),
        ARGUMENT(1),
        IF(IPPROTO_UDP, 0, 1),
        ARGUMENT(2),
        IF(UDP_GRO, 1, 0),
        IF(UDP_SEGMENT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

int main(int count, char **words)
{
    int word = 1;
    while (word < count && parse(words[word]))
        word++;
    int ready[2];
    if (word + 1 >= count || strcmp(words[word], "--") || pipe2(ready, O_CLOEXEC)) {
        fputs("refuse RULE=ERRNO... -- PROGRAM ARGUMENT...\n", stderr);
        return 125;
    }
    // The process beside shares the descriptors until the program starts, and sends no signal when it ends.
    pid_t beside = syscall(SYS_clone, CLONE_FILES, NULL, NULL, NULL, NULL);
    if (beside < 0)
        fail("clone");
    if (!beside) {
        int listener;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(ready[0], &listener, sizeof listener) != sizeof listener)
            exit(125);
        unshare(CLONE_FILES);
        close_range(0, listener - 1, 0);
        close_range(listener + 1, ~0U, 0);
        serve(listener);
    }
    int listener = filter();
    if (listener < 0)
        fail("seccomp");
    if (write(ready[1], &listener, sizeof listener) != sizeof listener)
        fail("pipe");
    execvp(words[word + 1], words + word + 1);
    fail(words[word + 1]);
}
