using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Espalier.Io.Interop;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Server;

/// <content>What clients ask: from a datagram to its answers. A bug of ours that a request meets is told to its client, and ends neither the control thread nor others.</content>
public sealed partial class ControlServer
{
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
                    HandlePrivateContained(client, reader.Message, reader.Header, ref descriptor);
                }
                else if (client.IsAttached)
                {
                    Answer(client, reader.Message, reader.Header, XfrmError.Invalid("This client is attached: XFRM requests go to the attached socket"));
                }
                else
                {
                    _service.Handle(reader.Message, client);
                }
            }

            Counters.Malformed += reader.Malformed ? 1 : 0;
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
                Counters.Malformed++;
                return LinuxError.MessageTooLong;
            }

            _service.Handle(datagram, client);
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
        _done.Append(MemoryMarshal.AsBytes(errno == 0 ? _service.Outcomes : []));
        _done.End();
        client.SendOnLease(_done.Written);
        _done.Clear();
    }

    /// <summary>Makes and sends the next part of a dump. One that fails ends with an error in its NLMSG_DONE.</summary>
    internal void WritePart(PagedAnswer answer, ControlClient client)
    {
        try
        {
            using (_database.Freeze())
            {
                answer.WritePart(_writer);
            }
        }
#pragma warning disable CA1031 // A bug of ours in one dump must not end the data plane; it is logged, and the client is told.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _writer.Clear();
            Log.DumpFailed(_logger, exception);
            answer.Finish(_writer, XfrmService.Failure);
        }

        client.Reply(_writer.Written);
        _writer.Clear();
    }

    /// <summary>Answers a message that cannot be handled at all; false, for the client must go.</summary>
    internal bool RefuseDatagram(ControlClient client, XfrmError error, ReadOnlySpan<byte> datagram = default)
    {
        var header = datagram.Length >= NetlinkHeader.Size ? MemoryMarshal.Read<NetlinkHeader>(datagram) : default;
        Span<byte> quoted = stackalloc byte[NetlinkHeader.Size];
        MemoryMarshal.Write(quoted, header);
        Answer(client, quoted, header, error);
        return false;
    }

    private void HandlePrivateContained(ControlClient client, ReadOnlySpan<byte> message, in NetlinkHeader header, ref SafeDescriptor? descriptor)
    {
        try
        {
            HandlePrivate(client, message, header, ref descriptor);
        }
#pragma warning disable CA1031 // As below: statistics that cannot be had, say.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _writer.Clear();
            Log.RequestFailed(_logger, exception);
            Answer(client, message, header, XfrmService.Failure);
        }
    }
}
