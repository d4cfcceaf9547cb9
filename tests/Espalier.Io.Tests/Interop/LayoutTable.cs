using System.Runtime.CompilerServices;
using Espalier.Io.Interop;

namespace Espalier.Io.Tests.Interop;

/// <summary>
/// What C must agree with: one entry for each struct in Interop, with its C name, our size, and our offset of each member.
/// A new struct is registered here; the layout test fails for one that is not. Other areas compare their layouts by
/// <see cref="Espalier.Testing.CompilerFacts"/> in their own tests.
/// </summary>
internal static class LayoutTable
{
    /// <summary>Headers of the C program, in this order.</summary>
    internal static readonly string[] Headers =
    [
        "sys/types.h", "sys/socket.h", "netinet/in.h", "netinet/icmp6.h", "linux/udp.h", "sys/un.h", "sys/uio.h", "sys/stat.h", "sys/resource.h", "sys/prctl.h",
        "sys/eventfd.h", "sys/ioctl.h", "net/if.h", "poll.h", "fcntl.h", "sched.h", "errno.h", "grp.h", "pwd.h", "linux/errqueue.h", "linux/if_tun.h", "linux/virtio_net.h",
        "linux/filter.h", "linux/sock_diag.h", "linux/netlink.h", "linux/rtnetlink.h", "linux/fib_rules.h", "linux/icmp.h", "linux/if_addr.h",
        "linux/if_link.h", "linux/netfilter/nfnetlink.h", "linux/netfilter/nf_tables.h", "linux/if_packet.h", "linux/if_ether.h", "linux/veth.h", "sys/mman.h", "sys/wait.h", "signal.h", "spawn.h",
    ];

    /// <summary>Constants of ours that put several of C's together, and of kernels newer than the headers of some hosts (6.2).</summary>
    internal const string Prologue = """
        #define BPF_LD_B_ABS (BPF_LD | BPF_B | BPF_ABS)
        #define BPF_LD_H_ABS (BPF_LD | BPF_H | BPF_ABS)
        #define BPF_LD_W_ABS (BPF_LD | BPF_W | BPF_ABS)
        #define BPF_JMP_JEQ_K (BPF_JMP | BPF_JEQ | BPF_K)
        #define BPF_RET_K (BPF_RET | BPF_K)
        #ifndef TUN_F_USO4
        #define TUN_F_USO4 0x20
        #define TUN_F_USO6 0x40
        #endif
        #ifndef VIRTIO_NET_HDR_GSO_UDP_L4
        #define VIRTIO_NET_HDR_GSO_UDP_L4 5
        #endif
        """;

    /// <summary>Structs: their C name, our size, and our offset of each member.</summary>
    internal static IEnumerable<StructLayout> Structs => [.. Sockets(), .. Others()];

    private static unsafe List<StructLayout> Sockets()
    {
        var list = new List<StructLayout>();
        sockaddr_in v4 = default;
        list.Add(new("struct sockaddr_in", sizeof(sockaddr_in), [("sin_family", Of(&v4, &v4.sin_family)), ("sin_port", Of(&v4, &v4.sin_port)), ("sin_addr", Of(&v4, &v4.sin_addr)), ("sin_zero", Of(&v4, v4.sin_zero))]));
        sockaddr_in6 v6 = default;
        list.Add(new("struct sockaddr_in6", sizeof(sockaddr_in6), [("sin6_family", Of(&v6, &v6.sin6_family)), ("sin6_port", Of(&v6, &v6.sin6_port)), ("sin6_flowinfo", Of(&v6, &v6.sin6_flowinfo)), ("sin6_addr", Of(&v6, v6.sin6_addr)), ("sin6_scope_id", Of(&v6, &v6.sin6_scope_id))]));
        sockaddr_un un = default;
        list.Add(new("struct sockaddr_un", sizeof(sockaddr_un), [("sun_family", Of(&un, &un.sun_family)), ("sun_path", Of(&un, un.sun_path))]));
        sockaddr_nl nl = default;
        list.Add(new("struct sockaddr_nl", sizeof(sockaddr_nl), [("nl_family", Of(&nl, &nl.nl_family)), ("nl_pid", Of(&nl, &nl.nl_pid)), ("nl_groups", Of(&nl, &nl.nl_groups))]));
        sockaddr_ll ll = default;
        list.Add(new("struct sockaddr_ll", sizeof(sockaddr_ll), [("sll_family", Of(&ll, &ll.sll_family)), ("sll_protocol", Of(&ll, &ll.sll_protocol)), ("sll_ifindex", Of(&ll, &ll.sll_ifindex)), ("sll_hatype", Of(&ll, &ll.sll_hatype)), ("sll_pkttype", Of(&ll, &ll.sll_pkttype)), ("sll_halen", Of(&ll, &ll.sll_halen)), ("sll_addr", Of(&ll, ll.sll_addr))]));
        iovec vector = default;
        list.Add(new("struct iovec", sizeof(iovec), [("iov_base", Of(&vector, &vector.iov_base)), ("iov_len", Of(&vector, &vector.iov_len))]));
        msghdr message = default;
        list.Add(new("struct msghdr", sizeof(msghdr), [("msg_name", Of(&message, &message.msg_name)), ("msg_namelen", Of(&message, &message.msg_namelen)), ("msg_iov", Of(&message, &message.msg_iov)), ("msg_iovlen", Of(&message, &message.msg_iovlen)), ("msg_control", Of(&message, &message.msg_control)), ("msg_controllen", Of(&message, &message.msg_controllen)), ("msg_flags", Of(&message, &message.msg_flags))]));
        mmsghdr messages = default;
        list.Add(new("struct mmsghdr", sizeof(mmsghdr), [("msg_hdr", Of(&messages, &messages.msg_hdr)), ("msg_len", Of(&messages, &messages.msg_len))]));
        cmsghdr control = default;
        list.Add(new("struct cmsghdr", sizeof(cmsghdr), [("cmsg_len", Of(&control, &control.cmsg_len)), ("cmsg_level", Of(&control, &control.cmsg_level)), ("cmsg_type", Of(&control, &control.cmsg_type))]));
        in_pktinfo info = default;
        list.Add(new("struct in_pktinfo", sizeof(in_pktinfo), [("ipi_ifindex", Of(&info, &info.ipi_ifindex)), ("ipi_spec_dst", Of(&info, &info.ipi_spec_dst)), ("ipi_addr", Of(&info, &info.ipi_addr))]));
        in6_pktinfo info6 = default;
        list.Add(new("struct in6_pktinfo", sizeof(in6_pktinfo), [("ipi6_addr", Of(&info6, info6.ipi6_addr)), ("ipi6_ifindex", Of(&info6, &info6.ipi6_ifindex))]));
        sock_extended_err error = default;
        list.Add(new("struct sock_extended_err", sizeof(sock_extended_err), [("ee_errno", Of(&error, &error.ee_errno)), ("ee_origin", Of(&error, &error.ee_origin)), ("ee_type", Of(&error, &error.ee_type)), ("ee_code", Of(&error, &error.ee_code)), ("ee_info", Of(&error, &error.ee_info)), ("ee_data", Of(&error, &error.ee_data))]));
        return list;
    }

    private static unsafe List<StructLayout> Others()
    {
        var list = new List<StructLayout>();
        pollfd poll = default;
        list.Add(new("struct pollfd", sizeof(pollfd), [("fd", Of(&poll, &poll.fd)), ("events", Of(&poll, &poll.events)), ("revents", Of(&poll, &poll.revents))]));
        ucred credentials = default;
        list.Add(new("struct ucred", sizeof(ucred), [("pid", Of(&credentials, &credentials.pid)), ("uid", Of(&credentials, &credentials.uid)), ("gid", Of(&credentials, &credentials.gid))]));
        rlimit limit = default;
        list.Add(new("struct rlimit", sizeof(rlimit), [("rlim_cur", Of(&limit, &limit.rlim_cur)), ("rlim_max", Of(&limit, &limit.rlim_max))]));
        timespec time = default;
        list.Add(new("struct timespec", sizeof(timespec), [("tv_sec", Of(&time, &time.tv_sec)), ("tv_nsec", Of(&time, &time.tv_nsec))]));
        ifreq request = default;
        list.Add(new("struct ifreq", sizeof(ifreq), [("ifr_name", Of(&request, request.ifr_name)), ("ifr_flags", Of(&request, &request.ifr_flags)), ("ifr_mtu", Of(&request, &request.ifr_mtu)), ("ifr_ifindex", Of(&request, &request.ifr_ifindex))]));
        virtio_net_hdr vnet = default;
        list.Add(new("struct virtio_net_hdr", sizeof(virtio_net_hdr), [("flags", Of(&vnet, &vnet.flags)), ("gso_type", Of(&vnet, &vnet.gso_type)), ("hdr_len", Of(&vnet, &vnet.hdr_len)), ("gso_size", Of(&vnet, &vnet.gso_size)), ("csum_start", Of(&vnet, &vnet.csum_start)), ("csum_offset", Of(&vnet, &vnet.csum_offset))]));
        statx status = default;
        list.Add(new("struct statx", sizeof(statx), [("stx_mask", Of(&status, &status.stx_mask)), ("stx_mode", Of(&status, &status.stx_mode))]));
        passwd user = default;
        list.Add(new("struct passwd", sizeof(passwd), [("pw_name", Of(&user, &user.pw_name)), ("pw_passwd", Of(&user, &user.pw_passwd)), ("pw_uid", Of(&user, &user.pw_uid)), ("pw_gid", Of(&user, &user.pw_gid)), ("pw_gecos", Of(&user, &user.pw_gecos)), ("pw_dir", Of(&user, &user.pw_dir)), ("pw_shell", Of(&user, &user.pw_shell))]));
        group members = default;
        list.Add(new("struct group", sizeof(group), [("gr_name", Of(&members, &members.gr_name)), ("gr_passwd", Of(&members, &members.gr_passwd)), ("gr_gid", Of(&members, &members.gr_gid)), ("gr_mem", Of(&members, &members.gr_mem))]));
        list.Add(new("struct icmp6_filter", sizeof(icmp6_filter), []));
        sock_filter instruction = default;
        list.Add(new("struct sock_filter", sizeof(sock_filter), [("code", Of(&instruction, &instruction.code)), ("jt", Of(&instruction, &instruction.jt)), ("jf", Of(&instruction, &instruction.jf)), ("k", Of(&instruction, &instruction.k))]));
        sock_fprog program = default;
        list.Add(new("struct sock_fprog", sizeof(sock_fprog), [("len", Of(&program, &program.len)), ("filter", Of(&program, &program.filter))]));
        return list;
    }

    /// <summary>Where a member stands in its struct.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe int Of(void* start, void* member) => (int)((byte*)member - (byte*)start);
}

/// <summary>One struct as we lay it out.</summary>
internal sealed record StructLayout(string Name, int Size, (string Member, int Offset)[] Members);
