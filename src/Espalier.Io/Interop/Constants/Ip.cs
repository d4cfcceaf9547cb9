namespace Espalier.Io.Interop;

/// <summary>Constants of netinet/in.h, linux/in.h, linux/in6.h, linux/errqueue.h and linux/icmp.h.</summary>
internal static class Ip
{
    // Protocols
    internal const int IPPROTO_IP = 0;
    internal const int IPPROTO_ICMP = 1;
    internal const int IPPROTO_UDP = 17;
    internal const int IPPROTO_IPV6 = 41;
    internal const int IPPROTO_ESP = 50;
    internal const int IPPROTO_ICMPV6 = 58;
    internal const int IPPROTO_RAW = 255;

    // Options of IPPROTO_IP
    internal const int IP_TOS = 1;
    internal const int IP_HDRINCL = 3;
    internal const int IP_PKTINFO = 8;
    internal const int IP_MTU_DISCOVER = 10;
    internal const int IP_RECVERR = 11;
    internal const int IP_RECVTOS = 13;
    internal const int IP_FREEBIND = 15;

    // Values of IP_MTU_DISCOVER
    internal const int IP_PMTUDISC_DONT = 0;
    internal const int IP_PMTUDISC_PROBE = 3;
    internal const int IP_PMTUDISC_OMIT = 5;

    // Options of IPPROTO_IPV6
    internal const int IPV6_MTU_DISCOVER = 23;
    internal const int IPV6_RECVERR = 25;
    internal const int IPV6_V6ONLY = 26;
    internal const int IPV6_HDRINCL = 36;
    internal const int IPV6_RECVPKTINFO = 49;
    internal const int IPV6_PKTINFO = 50;
    internal const int IPV6_FREEBIND = 78;
    internal const int IPV6_RECVTCLASS = 66;
    internal const int IPV6_TCLASS = 67;

    // Values of IPV6_MTU_DISCOVER
    internal const int IPV6_PMTUDISC_DONT = 0;
    internal const int IPV6_PMTUDISC_PROBE = 3;

    // Origins of errors
    internal const int SO_EE_ORIGIN_LOCAL = 1;
    internal const int SO_EE_ORIGIN_ICMP = 2;
    internal const int SO_EE_ORIGIN_ICMP6 = 3;

    // Filters of raw ICMP sockets: levels and options
    internal const int SOL_RAW = 255;
    internal const int ICMP_FILTER = 1;
    internal const int SOL_ICMPV6 = 58;
    internal const int ICMP6_FILTER = 1;
}
