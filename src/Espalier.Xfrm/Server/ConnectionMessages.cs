using System.Runtime.InteropServices;
using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Io.UnixSockets;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using Microsoft.Extensions.Logging;

namespace Espalier.Xfrm.Server;

/// <summary>The messages of the control connection itself: ATTACH, GROUPS, STAT, ENCAP. Control thread only.</summary>
internal sealed class ConnectionMessages(ControlServerOptions options, EncapsulationRegistry encapsulation, ILogger logger)
{
    private readonly NetlinkWriter _writer = new(2 * XfrmContext.MaximumDatagram);

    /// <summary>Makes the document that STAT answers, UTF-8 JSON; null: there is none.</summary>
    internal Func<byte[]>? Statistics { get; set; }

    /// <summary>Handles one message. ATTACH takes over <paramref name="descriptor"/> and sets it to null.</summary>
    internal void Handle(ControlClient client, ReadOnlySpan<byte> message, in NetlinkHeader header, ref SafeDescriptor? descriptor)
    {
        try
        {
            Dispatch(client, message, header, ref descriptor);
        }
#pragma warning disable CA1031 // A bug of ours in one message must not end the data plane: statistics that cannot be had, say. It is logged, and the client is told.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _writer.Clear();
            ControlLog.RequestFailed(logger, exception);
            Answer(client, message, header, XfrmService.Failure);
        }
    }

    /// <summary>Answers a message on the connection itself.</summary>
    internal void Answer(ControlClient client, ReadOnlySpan<byte> message, in NetlinkHeader header, XfrmError error)
    {
        // Always capped: the answer fits the small buffer in which the preload library waits for it.
        NetlinkAnswers.Error(_writer, message, header, header.PortId, error, room: 0);
        client.SendOnLease(_writer.Written);
        _writer.Clear();
    }

    private void Dispatch(ControlClient client, ReadOnlySpan<byte> message, in NetlinkHeader header, ref SafeDescriptor? descriptor)
    {
        var payload = message[NetlinkHeader.Size..];
        switch (header.Type)
        {
            case ControlMessage.Attach:
                var error = Attach(client, payload, ref descriptor);
                AnswerAttach(client, message, header, error);
                break;
            case ControlMessage.Groups when payload.Length >= sizeof(uint):
                client.Groups = MemoryMarshal.Read<uint>(payload);
                Answer(client, message, header, XfrmError.None);
                break;
            case ControlMessage.Statistics:
                StartStatistics(client, message, header);
                break;
            case ControlMessage.Encapsulation when payload.Length >= EncapsulationRequest.Size:
                Encapsulate(client, message, header);
                break;
            case ControlMessage.Encapsulation:
                Answer(client, message, header, XfrmError.Invalid("ENCAP has no operation, family, port and address"));
                break;
            case ControlMessage.Groups:
                Answer(client, message, header, XfrmError.Invalid("GROUPS has no mask"));
                break;
            default:
                Answer(client, message, header, XfrmError.Invalid("This message type is not known on the control connection"));
                break;
        }
    }

    private static XfrmError Attach(ControlClient client, ReadOnlySpan<byte> payload, ref SafeDescriptor? descriptor)
    {
        if (payload.Length < 2 * sizeof(uint))
        {
            return XfrmError.Invalid("ATTACH has no version and protocol");
        }

        if (MemoryMarshal.Read<uint>(payload) != ControlMessage.Version)
        {
            return XfrmError.Protocol($"This data plane speaks version {ControlMessage.Version} of its control protocol: use the preload library of the same version");
        }

        if (MemoryMarshal.Read<uint>(payload[sizeof(uint)..]) != ControlMessage.NetlinkXfrm)
        {
            return XfrmError.Protocol("This data plane serves NETLINK_XFRM only");
        }

        if (descriptor is null)
        {
            return XfrmError.None;
        }

        if (client.IsAttached)
        {
            return new XfrmError(LinuxError.Exists, "This client is attached already");
        }

        try
        {
            // Adopt closes it where it refuses it.
            var end = descriptor;
            descriptor = null;
            client.Attach(UnixConnection.Adopt(end));
            return XfrmError.None;
        }
        catch (DeviceException exception)
        {
            return XfrmError.Invalid(exception.Message);
        }
    }

    private void Encapsulate(ControlClient client, ReadOnlySpan<byte> message, in NetlinkHeader header)
    {
        var request = MemoryMarshal.Read<EncapsulationRequest>(message[NetlinkHeader.Size..]);
        var error = encapsulation.Handle(client, request);
        if (error.Failed && request.Operation == EncapsulationOperation.Open)
        {
            ControlLog.EncapsulationRefused(logger, XfrmConversions.Swap(request.Port), error.Text!);
        }

        Answer(client, message, header, error);
    }

    private void StartStatistics(ControlClient client, ReadOnlySpan<byte> message, in NetlinkHeader header)
    {
        if (client.DumpInProgress || client.IsAttached)
        {
            Answer(client, message, header, new XfrmError(LinuxError.Busy, "Statistics need a connection of their own"));
        }
        else if (Statistics is null)
        {
            Answer(client, message, header, XfrmError.Unsupported("This data plane has no statistics"));
        }
        else
        {
            client.StartDump(new StatisticsAnswer(Statistics(), header.Sequence, header.PortId));
        }
    }

    // The answer tells the mark that routing exempts, for the sockets of IKE daemons (NLMSGERR_ATTR_COOKIE).
    private void AnswerAttach(ControlClient client, ReadOnlySpan<byte> message, in NetlinkHeader header, XfrmError error)
    {
        if (error.Failed || options.Mark == 0)
        {
            Answer(client, message, header, error);
            return;
        }

        _writer.Begin(Netlink.Error, Netlink.Capped | Netlink.AckAttributes, header.Sequence, header.PortId);
        _writer.Reserve<int>() = 0;
        _writer.Append(message[..NetlinkHeader.Size]);
        MemoryMarshal.Write(_writer.ReserveAttribute(ControlMessage.CookieAttribute, sizeof(uint)), options.Mark);
        _writer.End();
        client.SendOnLease(_writer.Written);
        _writer.Clear();
    }
}
