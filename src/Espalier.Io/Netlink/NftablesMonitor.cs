using System.Text;
using Espalier.Io.Interop;

namespace Espalier.Io.Netlink;

/// <summary>
/// Tells that something of a table of nftables was added, changed or removed, the table itself included, and by whom. Tables of one name in several families count as one.
/// Non-blocking; owned by one thread.
/// </summary>
public sealed unsafe class NftablesMonitor : IDisposable
{
    private const int BufferSize = 16 * 1024;
    private const int FamilyHeaderLength = 4;

    // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE and so on: the first attribute of each message names the table.
    private const ushort TableAttribute = 1;

    private readonly SafeDescriptor _descriptor;
    private readonly byte[] _table;
    private readonly byte[] _buffer = new byte[BufferSize];

    private NftablesMonitor(SafeDescriptor descriptor, string table)
    {
        _descriptor = descriptor;
        _table = Encoding.UTF8.GetBytes(table);
    }

    /// <summary>Descriptor to poll for reading.</summary>
    public int PollDescriptor => _descriptor.Number;

    /// <summary>Opens the socket and subscribes; null where the kernel has no nftables, or rights or descriptors are missing.</summary>
    public static NftablesMonitor? TryOpen(string table)
    {
        var descriptor = new SafeDescriptor(
            Libc.socket(Socket.AF_NETLINK, Socket.SOCK_RAW | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, Nl.NETLINK_NETFILTER));
        var address = new sockaddr_nl { nl_family = Socket.AF_NETLINK, nl_groups = 1u << (Nl.NFNLGRP_NFTABLES - 1) };
        if (!descriptor.IsInvalid && Libc.bind(descriptor, &address, (uint)sizeof(sockaddr_nl)) == 0)
        {
            return new NftablesMonitor(descriptor, table);
        }

        descriptor.Dispose();
        return null;
    }

    /// <summary>
    /// Takes all notifications that wait. Adds to <paramref name="authors"/> the netlink ports (of the program nft: its process id) of those who changed something; true where
    /// notifications were lost.
    /// </summary>
    public bool Drain(ISet<uint> authors)
    {
        ArgumentNullException.ThrowIfNull(authors);
        bool lost = false;
        fixed (byte* pointer = _buffer)
        {
            while (true)
            {
                nint length = Libc.recvfrom(_descriptor, pointer, (nuint)_buffer.Length, 0, null, null);
                if (length >= 0)
                {
                    FindAuthors(_buffer.AsSpan(0, (int)length), authors);
                }
                else if (Errno.Last == Errno.ENOBUFS)
                {
                    lost = true;
                }
                else if (Errno.Last != Errno.EINTR)
                {
                    return lost;
                }
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _descriptor.Dispose();

    private void FindAuthors(ReadOnlySpan<byte> datagram, ISet<uint> authors)
    {
        var reader = new NetlinkReader(datagram);
        while (reader.TryNext(out var message))
        {
            if (IsChange(message.Type) && !authors.Contains(message.PortId) && IsOfTable(message))
            {
                authors.Add(message.PortId);
            }
        }
    }

    // A message of another kind that the group has is NFT_MSG_NEWGEN, which ends each transaction.
    private static bool IsChange(ushort type) => type >> 8 == Nl.NFNL_SUBSYS_NFTABLES && (type & 0xff) != Nl.NFT_MSG_NEWGEN;

    private bool IsOfTable(in NetlinkMessage message)
    {
        var attributes = message.AttributesAfter(FamilyHeaderLength);
        while (attributes.TryNext(out var attribute))
        {
            if (attribute.Type == TableAttribute)
            {
                return attribute.Value.TrimEnd((byte)0).SequenceEqual(_table);
            }
        }

        return false;
    }
}
