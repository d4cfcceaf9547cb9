using Espalier.Wire.Addresses;

namespace Espalier.Io.Batches;

/// <summary>Inner side of the data plane: a TUN, or a device in memory. Non-blocking; one reader thread and one writer thread.</summary>
public interface ITunnelDevice : IDisposable
{
    /// <summary>Descriptor to poll for reading, or -1 for a device in memory.</summary>
    int PollDescriptor { get; }

    /// <summary>
    /// Fills the batch with the packets that are waiting, each at its slot's headroom. Returns their number; fewer than
    /// <see cref="PacketBatch.SegmentLimit"/> = no more wait now.
    /// </summary>
    int Receive(PacketBatch batch);

    /// <summary>Writes one IP packet. Returns 0 or an errno (EAGAIN, EIO when the device is down, …).</summary>
    int Send(ReadOnlySpan<byte> packet);

    /// <summary>
    /// Writes the packets of the slots named in <paramref name="slots"/>, in that order. Sets each slot's Error. Returns how many the kernel took. The
    /// packets' bytes may be changed.
    /// </summary>
    int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        int sent = 0;
        foreach (int index in slots)
        {
            batch[index].Error = Send(batch.Packet(index));
            sent += batch[index].Error == 0 ? 1 : 0;
        }

        return sent;
    }
}

/// <summary>Outer side: a UDP socket (encapsulation) or a raw socket (protocol 50) of one address family, or a device in memory. Non-blocking.</summary>
public interface IOuterSocket : IDisposable
{
    /// <summary>Bytes of packets that one message to the kernel holds at most, to be cut by it: the largest UDP payload of IPv4 (RFC 768, RFC 791).</summary>
    const int LargestMessage = 65_507;

    /// <summary>IPv4 or IPv6.</summary>
    IpVersion Version { get; }

    /// <summary>Local UDP port, 0 for raw ESP.</summary>
    ushort LocalPort { get; }

    /// <summary>Descriptor to poll for reading, or -1 for a device in memory.</summary>
    int PollDescriptor { get; }

    /// <summary>
    /// Fills the batch with datagrams that are waiting, each at its slot's headroom: the UDP payload, or the ESP packet without IP header.
    /// What the kernel gave as one (UDP_GRO) is in one slot, as several packets. Sets Remote, RemotePort, Local, TrafficClass and Truncated. Returns the
    /// number of slots filled: 0 = nothing waits now, all = there may be more.
    /// </summary>
    int Receive(PacketBatch batch);

    /// <summary>
    /// Sends the packets of the slots named in <paramref name="slots"/>, in that order: Remote, RemotePort, Local, TrafficClass and DontFragment
    /// of each slot say how. Sets each slot's Error. Returns how many the kernel took.
    /// </summary>
    int Send(PacketBatch batch, ReadOnlySpan<int> slots);

    /// <summary>
    /// Takes one ICMP error from the socket's error queue: false = none. <paramref name="quoted"/> receives what the error quotes, from the first
    /// byte of ESP (behind the UDP header where there is one).
    /// </summary>
    bool TryReceiveError(Span<byte> quoted, out OuterError error);

    /// <summary>Packets that the kernel dropped because the socket's queue was full (SO_RXQ_OVFL).</summary>
    long KernelDrops { get; }

    /// <summary>
    /// Of a socket that shares its port: lets others bind it (at first), or does not. What is bound already stays. Only while an IKE daemon's socket, or
    /// another of ours, is to be bound: any program could. Any thread.
    /// </summary>
    void Share(bool open)
    {
    }
}

/// <summary>An error about a packet we sent: by ICMP, or by this host's own kernel, which refused to send it.</summary>
/// <param name="Remote">Destination of the packet.</param>
/// <param name="RemotePort">Its UDP port, 0 for raw ESP.</param>
/// <param name="QuotedLength">Bytes of ESP that the error quotes. May be 0: RFC 792 asks routers for no more than the UDP header.</param>
/// <param name="IcmpType">Type of the ICMP or ICMPv6 error; 0 where it is local.</param>
/// <param name="IcmpCode">Its code.</param>
/// <param name="PathMtu">
/// The MTU it tells, where <paramref name="Errno"/> is EMSGSIZE (bytes of outer packet, IP header included; 0 from routers older than RFC 1191);
/// of a local error, the interface's.
/// </param>
/// <param name="Errno">The kernel's translation.</param>
/// <param name="IsLocal">Raised by this host (SO_EE_ORIGIN_LOCAL): it cannot be forged, and quotes nothing.</param>
/// <param name="Offender">Who sent the ICMP error; the default value where it is local.</param>
/// <param name="Local">The address of ours that the error came to: the source of the packet. The default value where it is not known.</param>
public readonly record struct OuterError(
    InternetAddress Remote, ushort RemotePort, int QuotedLength, byte IcmpType, byte IcmpCode, int PathMtu, int Errno, bool IsLocal = false,
    InternetAddress Offender = default, InternetAddress Local = default);

/// <summary>
/// Gives what came to a UDP port that we share with an IKE daemon, and is not ours, to the daemon's own socket. Belongs to one thread.
/// </summary>
public interface IPortRelay : IDisposable
{
    /// <summary>Gives back a datagram: Remote, RemotePort, Local and TrafficClass of <paramref name="about"/> say how it came. Returns 0 or an errno.</summary>
    int Relay(in PacketSlot about, ReadOnlySpan<byte> payload, ushort localPort);

    /// <summary>Gives back an ICMP error about a datagram that was sent from <paramref name="localPort"/>. Returns 0 or an errno.</summary>
    int RelayError(in OuterError error, ReadOnlySpan<byte> quoted, ushort localPort);
}

/// <summary>Sends inner packets in clear past Espalier's own rules: for policies that allow without a template, and for no policy.</summary>
public interface IBypassSender : IDisposable
{
    /// <summary>Sends a whole IP packet as it is. Returns 0 or an errno.</summary>
    int Send(ReadOnlySpan<byte> packet);

    /// <summary>
    /// The MTU of the way out to a destination, in bytes, as the kernel named it when it refused the last packet there with EMSGSIZE; 0 = it is not known. Told once.
    /// </summary>
    int TakeMtu(InternetAddress destination) => 0;
}

/// <summary>Sends ICMP errors of our own; the kernel chooses the source address.</summary>
public interface IIcmpSender : IDisposable
{
    /// <summary>Sends an ICMP or ICMPv6 message (type to end; the checksum field of ICMPv4 must be right, the kernel fills in ICMPv6's). Returns 0 or an errno.</summary>
    int Send(InternetAddress destination, ReadOnlySpan<byte> message);
}
