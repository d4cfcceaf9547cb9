using System.Text;
using Espalier.Io.UnixSockets;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>Messages of the control connection, sent and received one at a time.</summary>
internal static class ControlSocket
{
    public static string Unused() => Path.Combine(Path.GetTempPath(), $"esp{Environment.ProcessId}-{Guid.NewGuid():N}.sock");

    public static byte[] Attach(uint version = 1, uint protocol = 6) => Private(ControlMessage.Attach, version, protocol);

    public static byte[] Groups(params XfrmGroup[] groups) =>
        Private(ControlMessage.Groups, groups.Aggregate(0u, (mask, group) => mask | 1u << ((int)group - 1)));

    public static byte[] Private(ushort type, params uint[] payload)
    {
        var request = Request.Bare((XfrmMessage)type, Netlink.Request);
        byte[] message = [.. request.Bytes(), .. payload.SelectMany(BitConverter.GetBytes)];
        return message.WithLength();
    }

    public static Parsed Ask(UnixConnection connection, byte[] message, UnixConnection? passed = null)
    {
        Assert.Equal(0, connection.Send(message, passed?.Descriptor));
        return Next(connection);
    }

    public static Parsed Next(UnixConnection connection)
    {
        Assert.True(connection.WaitReadable(10_000), "no answer");
        byte[] buffer = new byte[32 * 1024];
        var received = connection.Receive(buffer);
        Assert.Equal(UnixReceiveOutcome.Message, received.Outcome);
        return Assert.Single(Parsed.All(buffer[..received.Length]));
    }
}
