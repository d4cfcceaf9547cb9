using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Espalier.Io.Interop;
using Espalier.Ipsec;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using Microsoft.Extensions.Logging;

namespace Espalier.Xfrm.Server;

/// <summary>
/// What clients ask: from a datagram to its answers. A bug of ours that a request meets is told to its client, and ends neither the control thread nor others.
/// Control thread only.
/// </summary>
internal sealed class ControlRequests(IpsecDatabase database, XfrmService service, ConnectionMessages connection, ControlCounters counters, ILogger logger)
{
    private readonly NetlinkWriter _part = new(2 * XfrmContext.MaximumDatagram);

    // DONE of a request of the greatest length, made of the shortest messages.
    private readonly NetlinkWriter _done = new(NetlinkHeader.Size + sizeof(uint) + ControlServer.MaximumRequest / NetlinkHeader.Size * sizeof(uint));

    /// <summary>Handles a datagram on a client's connection.</summary>
    internal void HandleOnLease(ControlClient client, Span<byte> datagram, ref SafeDescriptor? descriptor)
    {
        try
        {
            var reader = new NetlinkMessageReader(datagram);
            while (reader.MoveNext())
            {
                if (reader.Header.Type >= ControlMessage.First)
                {
                    connection.Handle(client, reader.Message, reader.Header, ref descriptor);
                }
                else if (client.IsAttached)
                {
                    connection.Answer(client, reader.Message, reader.Header, XfrmError.Invalid("This client is attached: XFRM requests go to the attached socket"));
                }
                else
                {
                    service.Handle(reader.Message, client);
                }
            }

            counters.Malformed += reader.Malformed ? 1 : 0;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(datagram);
        }
    }

    /// <summary>Handles a datagram on an attached socket. Returns the errno that the client's send fails with, 0 for none.</summary>
    internal int HandleOnAttached(ControlClient client, Span<byte> datagram, bool truncated)
    {
        try
        {
            if (truncated)
            {
                counters.Malformed++;
                return LinuxError.MessageTooLong;
            }

            service.Handle(datagram, client);
            return 0;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(datagram);
        }
    }

    /// <summary>Tells the preload library that the request with this sequence number is handled, and how each of its messages ended.</summary>
    internal void SendDone(ControlClient client, uint sequence, int errno)
    {
        _done.Begin(ControlMessage.Done, 0, sequence, 0);
        _done.Reserve<uint>() = (uint)errno;
        _done.Append(MemoryMarshal.AsBytes(errno == 0 ? service.Outcomes : []));
        _done.End();
        client.SendOnLease(_done.Written);
        _done.Clear();
    }

    /// <summary>Makes and sends the next part of a dump. One that fails ends with an error in its NLMSG_DONE.</summary>
    internal void WritePart(PagedAnswer answer, ControlClient client)
    {
        try
        {
            using (database.Freeze())
            {
                answer.WritePart(_part);
            }
        }
#pragma warning disable CA1031 // A bug of ours in one dump must not end the data plane; it is logged, and the client is told.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _part.Clear();
            ControlLog.DumpFailed(logger, exception);
            answer.Finish(_part, XfrmService.Failure);
        }

        client.Reply(_part.Written);
        _part.Clear();
    }

    /// <summary>Answers a message that cannot be handled at all; false, for the client must go.</summary>
    internal bool RefuseDatagram(ControlClient client, XfrmError error, ReadOnlySpan<byte> datagram = default)
    {
        var header = datagram.Length >= NetlinkHeader.Size ? MemoryMarshal.Read<NetlinkHeader>(datagram) : default;
        Span<byte> quoted = stackalloc byte[NetlinkHeader.Size];
        MemoryMarshal.Write(quoted, header);
        connection.Answer(client, quoted, header, error);
        return false;
    }
}
