namespace Espalier.Io.Interop;

/// <summary>Constants of linux/netlink.h, of nftables over it (linux/netfilter/nfnetlink.h, nf_tables.h) and of socket filters (linux/filter.h).</summary>
internal static class Nl
{
    // Protocols
    internal const int NETLINK_ROUTE = 0;
    internal const int NETLINK_NETFILTER = 12;

    // nftables: a type is the subsystem times 256 and the message
    internal const int NFNLGRP_NFTABLES = 7;
    internal const ushort NFNL_SUBSYS_NFTABLES = 10;
    internal const ushort NFT_MSG_NEWGEN = 15;

    // Options
    internal const int SOL_NETLINK = 270;
    internal const int NETLINK_CAP_ACK = 10;
    internal const int NETLINK_EXT_ACK = 11;

    // Flags of messages
    internal const ushort NLM_F_REQUEST = 0x01;
    internal const ushort NLM_F_MULTI = 0x02;
    internal const ushort NLM_F_ACK = 0x04;
    internal const ushort NLM_F_DUMP_INTR = 0x10;
    internal const ushort NLM_F_REPLACE = 0x100;
    internal const ushort NLM_F_EXCL = 0x200;
    internal const ushort NLM_F_CREATE = 0x400;
    internal const ushort NLM_F_DUMP = 0x300;
    internal const ushort NLM_F_CAPPED = 0x100;
    internal const ushort NLM_F_ACK_TLVS = 0x200;

    // Types of messages
    internal const ushort NLMSG_ERROR = 2;
    internal const ushort NLMSG_DONE = 3;
    internal const ushort NLMSG_OVERRUN = 4;

    // Attributes
    internal const ushort NLMSGERR_ATTR_MSG = 1;
    internal const ushort NLA_F_NESTED = 0x8000;
    internal const ushort NLA_TYPE_MASK = 0x3fff;

    // Classic BPF on a socket
    internal const int SO_ATTACH_FILTER = 26;
    internal const ushort BPF_LD_B_ABS = 0x30;
    internal const ushort BPF_LD_H_ABS = 0x28;
    internal const ushort BPF_LD_W_ABS = 0x20;
    internal const ushort BPF_JMP_JEQ_K = 0x15;
    internal const ushort BPF_RET_K = 0x06;
}
