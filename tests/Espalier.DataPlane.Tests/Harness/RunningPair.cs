namespace Espalier.DataPlane.Tests.Harness;

/// <summary>
/// Two data planes with their threads, the kernel's UDP sockets on loopback between them, and socket pairs in the place of the TUNs:
/// <code>
///   test ── pair ── left ══ 127.0.0.1 ── UDP ── 127.0.0.2 ══ right ── pair ── test
/// </code>
/// </summary>
internal sealed class RunningPair : IDisposable
{
    public const string Near = "10.1.0.1";
    public const string Far = "10.2.0.1";

    public RunningPair()
    {
        var (leftPort, rightPort) = (FreePort(), FreePort());
        Left = new RunningHost("127.0.0.1", leftPort);
        Right = new RunningHost("127.0.0.2", rightPort);
        foreach (var side in new[] { Left, Right })
        {
            side.AddSa(0x1000, "127.0.0.1", leftPort, "127.0.0.2", rightPort);
            side.AddSa(0x2000, "127.0.0.2", rightPort, "127.0.0.1", leftPort);
        }

        Left.AddPolicies("10.1.0.0/16", "10.2.0.0/16", "127.0.0.1", "127.0.0.2");
        Right.AddPolicies("10.2.0.0/16", "10.1.0.0/16", "127.0.0.2", "127.0.0.1");
        Left.Host.Start();
        Right.Host.Start();
    }

    public RunningHost Left { get; }

    public RunningHost Right { get; }

    public static ushort FreePort()
    {
        using var socket = new System.Net.Sockets.Socket(
            System.Net.Sockets.AddressFamily.InterNetwork, System.Net.Sockets.SocketType.Dgram, System.Net.Sockets.ProtocolType.Udp);
        socket.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Any, 0));
        return (ushort)((System.Net.IPEndPoint)socket.LocalEndPoint!).Port;
    }

    public void Dispose()
    {
        Left.Dispose();
        Right.Dispose();
    }
}
