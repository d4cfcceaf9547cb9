using System.Globalization;
using Espalier.Io.Interop;
using Espalier.Io.UnixSockets;
using Espalier.Testing;

namespace Espalier.Io.Tests.UnixSockets;

public sealed class UnixSocketTests : IDisposable
{
    private static int s_number;
    private readonly string _path = Path.Combine(
        Path.GetTempPath(), string.Create(CultureInfo.InvariantCulture, $"esp{Environment.ProcessId}-{Interlocked.Increment(ref s_number)}.sock"));

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void Connection_Message_ArrivesWholeAndAlone()
    {
        using var listener = ControlListener.Bind(_path);
        using var client = UnixConnection.Connect(_path);
        using var server = Accept(listener);

        Assert.Equal(0, client.Send([1, 2, 3]));
        Assert.Equal(0, client.Send([4]));

        byte[] buffer = new byte[16];
        var first = server.Receive(buffer);
        Assert.Equal(new UnixMessage(UnixReceiveOutcome.Message, 3, false, null, false, 0), first);
        Assert.Equal([1, 2, 3], buffer[..3]);
        Assert.Equal(1, server.Receive(buffer).Length);
        Assert.Equal(UnixReceiveOutcome.Nothing, server.Receive(buffer).Outcome);
    }

    [Fact]
    public void Receive_MessageLargerThanBuffer_TellsTrueLength()
    {
        var (left, right) = UnixConnection.Pair(datagram: false);
        using (left)
        using (right)
        {
            left.Send(new byte[100]);
            var message = right.Receive(new byte[10]);
            Assert.True(message.Truncated);
            Assert.Equal(100, message.Length);
        }
    }

    [Fact]
    public void Receive_PeerGone_SequencedPacketSaysClosedAndDatagramDoesNot()
    {
        var (left, right) = UnixConnection.Pair(datagram: false);
        left.Dispose();
        Assert.Equal(UnixReceiveOutcome.Closed, right.Receive(new byte[10]).Outcome);
        Assert.Equal(Errno.EPIPE, right.Send([1]));
        right.Dispose();

        (left, right) = UnixConnection.Pair(datagram: true);
        left.Dispose();
        Assert.Equal(UnixReceiveOutcome.Nothing, right.Receive(new byte[10]).Outcome);
        Assert.Equal(Errno.ECONNREFUSED, right.Send([1]));
        right.Dispose();
    }

    [Fact]
    public void Send_Descriptor_ArrivesAndWorks()
    {
        var (left, right) = UnixConnection.Pair(datagram: false);
        var (passed, kept) = UnixConnection.Pair(datagram: true);
        using (left)
        using (right)
        using (kept)
        {
            Assert.Equal(0, left.Send([1], passed.Descriptor));
            passed.Dispose();
            var message = right.Receive(new byte[10]);
            Assert.NotNull(message.Descriptor);
            Assert.False(message.TooManyDescriptors);
            using var adopted = UnixConnection.Adopt(message.Descriptor);
            Assert.Equal(0, adopted.Send([7, 8]));
            Assert.Equal(2, kept.Receive(new byte[10]).Length);

            // A datagram of no bytes is a message, not an end.
            Assert.Equal(0, adopted.Send([]));
            Assert.Equal(new UnixMessage(UnixReceiveOutcome.Message, 0, false, null, false, 0), kept.Receive(new byte[10]));
        }
    }

    [Fact]
    public void Adopt_NoUnixSocket_IsRefusedAndClosed()
    {
        var descriptor = new SafeDescriptor(Libc.socket(Socket.AF_INET, Socket.SOCK_DGRAM, 0));
        Assert.Throws<DeviceException>(() => UnixConnection.Adopt(descriptor));
        Assert.True(descriptor.IsClosed);
    }

    [Fact]
    public void Send_QueueFull_SaysTryAgain()
    {
        var (left, right) = UnixConnection.Pair(datagram: false);
        using (left)
        using (right)
        {
            int errno = 0;
            for (int i = 0; i < 100_000 && errno == 0; i++)
            {
                errno = left.Send(new byte[1000]);
            }

            Assert.Equal(Errno.EAGAIN, errno);
        }
    }

    [Fact]
    public void Credentials_OfClient_AreItsOwn()
    {
        using var listener = ControlListener.Bind(_path);
        using var client = UnixConnection.Connect(_path);
        using var server = Accept(listener);
        var peer = UnixPeer.Credentials(server);
        Assert.Equal(Environment.ProcessId, peer?.ProcessId);
        Assert.Equal(Libc.geteuid(), peer?.UserId);
        Assert.All(UnixPeer.Groups(server), group => Assert.InRange(group, 0u, uint.MaxValue - 1));
    }

    [Fact]
    public void SharesNetworkNamespace_ClientInAnother_IsFalseAndCookieIsTheClients()
    {
        using var other = NetworkNamespace.Create("peer");
        using var listener = ControlListener.Bind(_path);
        using var near = UnixConnection.Connect(_path);
        using var acceptedNear = Accept(listener);
        using var far = other.Run(() => UnixConnection.Connect(_path));
        using var acceptedFar = Accept(listener);

        Assert.True(UnixPeer.SharesNetworkNamespace(acceptedNear));
        Assert.False(UnixPeer.SharesNetworkNamespace(acceptedFar));
        ulong expected = other.Run(() => UnixPeer.TryOwnCookie(out ulong cookie) ? cookie : 0);
        Assert.True(UnixPeer.TryCookie(acceptedFar.Descriptor, out ulong seen));
        Assert.Equal(expected, seen);
    }

    [Fact]
    public void Bind_PathInUse_SaysSo()
    {
        using var listener = ControlListener.Bind(_path);
        var refusal = Assert.Throws<DeviceException>(() => ControlListener.Bind(_path));
        Assert.Contains("is in use", refusal.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(_path));
    }

    [Fact]
    public void Bind_StaleSocket_IsReplaced_ButNoOtherFile()
    {
        MakeStale();
        using (ControlListener.Bind(_path))
        {
            Assert.True(File.Exists(_path));
        }

        Assert.False(File.Exists(_path));
        File.WriteAllText(_path, "precious");
        Assert.Throws<DeviceException>(() => ControlListener.Bind(_path));
        Assert.Equal("precious", File.ReadAllText(_path));
    }

    [Fact]
    public void Bind_Abstract_Works()
    {
        string name = $"@esp-test-{Environment.ProcessId}";
        using var listener = ControlListener.Bind(name);
        using var client = UnixConnection.Connect(name);
        using var server = Accept(listener);
        Assert.Throws<DeviceException>(() => ControlListener.Bind(name));
    }

    [Fact]
    public void Connect_NobodyThere_SaysWhatToDo()
    {
        var refusal = Assert.Throws<DeviceException>(() => UnixConnection.Connect(_path));
        Assert.Contains("espalier run", refusal.Message, StringComparison.Ordinal);
    }

    private static UnixConnection Accept(ControlListener listener)
    {
        Assert.True(listener.TryAccept(out var connection, out _));
        return connection;
    }

    private unsafe void MakeStale()
    {
        File.Delete(_path);
        sockaddr_un address;
        uint length = UnixSocketAddress.Fill(_path, &address);
        using var dead = new SafeDescriptor(Libc.socket(Socket.AF_UNIX, Socket.SOCK_SEQPACKET, 0));
        Assert.Equal(0, Libc.bind(dead, &address, length));
    }
}
