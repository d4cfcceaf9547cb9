using Espalier.Io.Interop;

namespace Espalier.Io.Netlink;

/// <summary>Tells that somebody removed a table of nftables, not which one. Non-blocking; owned by one thread.</summary>
public sealed unsafe class NftablesMonitor : IDisposable
{
    private const int BufferSize = 16 * 1024;
    private const ushort TableDeleted = (Nl.NFNL_SUBSYS_NFTABLES << 8) | Nl.NFT_MSG_DELTABLE;

    private readonly SafeDescriptor _descriptor;
    private readonly byte[] _buffer = new byte[BufferSize];

    private NftablesMonitor(SafeDescriptor descriptor) => _descriptor = descriptor;

    /// <summary>Descriptor to poll for reading.</summary>
    public int PollDescriptor => _descriptor.Number;

    /// <summary>Opens the socket and subscribes; null where the kernel has no nftables, or rights or descriptors are missing.</summary>
    public static NftablesMonitor? TryOpen()
    {
        var descriptor = new SafeDescriptor(
            Libc.socket(Socket.AF_NETLINK, Socket.SOCK_RAW | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, Nl.NETLINK_NETFILTER));
        var address = new sockaddr_nl { nl_family = Socket.AF_NETLINK, nl_groups = 1u << (Nl.NFNLGRP_NFTABLES - 1) };
        if (!descriptor.IsInvalid && Libc.bind(descriptor, &address, (uint)sizeof(sockaddr_nl)) == 0)
        {
            return new NftablesMonitor(descriptor);
        }

        descriptor.Dispose();
        return null;
    }

    /// <summary>Takes all notifications that wait; true where a table was removed since the last call, or notifications were lost.</summary>
    public bool Drain()
    {
        bool removed = false;
        fixed (byte* pointer = _buffer)
        {
            while (true)
            {
                nint length = Libc.recvfrom(_descriptor, pointer, (nuint)_buffer.Length, 0, null, null);
                if (length >= 0)
                {
                    removed |= TellsOfRemoval(_buffer.AsSpan(0, (int)length));
                }
                else if (Errno.Last == Errno.ENOBUFS)
                {
                    removed = true;
                }
                else if (Errno.Last != Errno.EINTR)
                {
                    return removed;
                }
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _descriptor.Dispose();

    private static bool TellsOfRemoval(ReadOnlySpan<byte> datagram)
    {
        var reader = new NetlinkReader(datagram);
        while (reader.TryNext(out var message))
        {
            if (message.Type == TableDeleted)
            {
                return true;
            }
        }

        return false;
    }
}
