using System.Diagnostics;
using Espalier.Io;
using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Wire.Addresses;

namespace Espalier.Testing;

/// <summary>A datagram as a daemon sees it.</summary>
public sealed record DaemonMessage(byte[] Payload, InternetAddress Remote, ushort RemotePort, InternetAddress Local, byte TrafficClass);

/// <summary>
/// A UDP socket as an IKE daemon has it under Espalier: SO_REUSEADDR, bound to no interface, told the address that a packet came to, with an error queue.
/// Opened in the network namespace of the calling thread.
/// </summary>
public sealed unsafe class DaemonSocket : IDisposable
{
    private const int PatienceMilliseconds = 5000;
    private readonly SafeDescriptor _descriptor;
    private readonly DatagramReceiver _receiver;
    private readonly IpVersion _version;
    private readonly PacketBatch _batch = new(1, 66_000, 128);

    /// <summary>Opens and binds it.</summary>
    /// <param name="local">0.0.0.0 or :: for all addresses.</param>
    /// <param name="port">The port.</param>
    /// <param name="reuse">False: as a daemon that is not under Espalier.</param>
    /// <exception cref="DeviceException">It cannot be bound.</exception>
    public DaemonSocket(InternetAddress local, ushort port, bool reuse = true)
    {
        _version = local.Version;
        bool isIPv6 = _version == IpVersion.IPv6;
        _descriptor = SocketOptions.Open(isIPv6 ? Socket.AF_INET6 : Socket.AF_INET, Socket.SOCK_DGRAM, 0, "a daemon's socket");
        Set(Socket.SOL_SOCKET, Socket.SO_REUSEADDR, reuse ? 1 : 0);
        Set(Socket.SOL_SOCKET, Socket.SO_RCVBUFFORCE, 8 << 20);
        if (isIPv6)
        {
            Set(Ip.IPPROTO_IPV6, Ip.IPV6_V6ONLY, 1);
            Set(Ip.IPPROTO_IPV6, Ip.IPV6_RECVERR, 1);
            Set(Ip.IPPROTO_IPV6, Ip.IPV6_RECVPKTINFO, 1);
            Set(Ip.IPPROTO_IPV6, Ip.IPV6_RECVTCLASS, 1);
        }
        else
        {
            Set(Ip.IPPROTO_IP, Ip.IP_RECVERR, 1);
            Set(Ip.IPPROTO_IP, Ip.IP_PKTINFO, 1);
            Set(Ip.IPPROTO_IP, Ip.IP_RECVTOS, 1);
        }

        byte* name = stackalloc byte[SocketAddress.Capacity];
        if (Libc.bind(_descriptor, name, SocketAddress.Write(name, local, port, scope: 0)) != 0)
        {
            var refusal = DeviceException.FromLast($"cannot bind {local} port {port}");
            _descriptor.Dispose();
            throw refusal;
        }

        _receiver = new DatagramReceiver(_descriptor, stripIPv4Header: false);
    }

    /// <summary>Sets the firewall mark, which is what a bypass policy of its own becomes.</summary>
    public void SetMark(uint mark) => SocketOptions.SetMark(_descriptor, mark);

    /// <summary>Sets DF, or not.</summary>
    public void SetDontFragment(bool value) => Set(
        _version == IpVersion.IPv6 ? Ip.IPPROTO_IPV6 : Ip.IPPROTO_IP, _version == IpVersion.IPv6 ? Ip.IPV6_MTU_DISCOVER : Ip.IP_MTU_DISCOVER,
        value ? Ip.IP_PMTUDISC_PROBE : Ip.IP_PMTUDISC_DONT);

    /// <summary>Sets the DSCP and ECN of what it sends.</summary>
    public void SetTrafficClass(byte value) => Set(
        _version == IpVersion.IPv6 ? Ip.IPPROTO_IPV6 : Ip.IPPROTO_IP, _version == IpVersion.IPv6 ? Ip.IPV6_TCLASS : Ip.IP_TOS, value);

    /// <summary>Sends a datagram.</summary>
    public void Send(ReadOnlySpan<byte> payload, InternetAddress remote, ushort port)
    {
        byte* name = stackalloc byte[SocketAddress.Capacity];
        uint length = SocketAddress.Write(name, remote, port, scope: 0);
        fixed (byte* data = payload)
        {
            // The first call may report an ICMP error about an earlier datagram in place of sending, and in an overload there is no room for a while.
            var limit = Stopwatch.StartNew();
            while (Libc.sendto(_descriptor, data, (nuint)payload.Length, 0, name, length) < 0)
            {
                if (limit.ElapsedMilliseconds > PatienceMilliseconds)
                {
                    throw DeviceException.FromLast($"cannot send to {remote} port {port}");
                }
            }
        }
    }

    /// <summary>The next datagram; null = none came for five seconds, or, with <paramref name="wait"/> false, none waits.</summary>
    public DaemonMessage? Receive(bool wait = true)
    {
        var limit = Stopwatch.StartNew();
        while (_receiver.Receive(_batch) == 0)
        {
            if (!wait || limit.ElapsedMilliseconds > PatienceMilliseconds)
            {
                return null;
            }

            Thread.Sleep(1);
        }

        var slot = _batch[0];
        return new DaemonMessage(_batch.Packet(0).ToArray(), slot.Remote, slot.RemotePort, slot.Local, slot.TrafficClass);
    }

    /// <summary>The next error of its queue and what it quotes; null = none came for five seconds, or, with <paramref name="wait"/> false, none waits.</summary>
    public (OuterError Error, byte[] Quoted)? ReceiveError(bool wait = true)
    {
        byte[] quoted = new byte[2048];
        OuterError error;
        var limit = Stopwatch.StartNew();
        while (!ErrorQueue.TryReceive(_descriptor, quoted, out error))
        {
            if (!wait || limit.ElapsedMilliseconds > PatienceMilliseconds)
            {
                return null;
            }

            Thread.Sleep(1);
        }

        return (error, quoted[..error.QuotedLength]);
    }

    /// <summary>True where poll reports an error on the socket (POLLERR).</summary>
    public bool PollsError()
    {
        pollfd entry = new() { fd = _descriptor.Number };
        return Libc.poll(&entry, 1, PatienceMilliseconds) > 0 && (entry.revents & Files.POLLERR) != 0;
    }

    /// <summary>Closes it.</summary>
    public void Dispose() => _descriptor.Dispose();

    private void Set(int level, int option, int value) => SocketOptions.Set(_descriptor, level, option, value, "of a daemon's socket");
}
