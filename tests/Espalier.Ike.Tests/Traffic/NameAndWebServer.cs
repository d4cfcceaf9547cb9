using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Traffic;

/// <summary>A resolver that knows one name, on UDP port 53, and a web server with one page, on TCP port 80; and a client that uses both.</summary>
internal sealed class NameAndWebServer : IDisposable
{
    /// <summary>The name.</summary>
    public const string Name = "web.espalier.test";

    private readonly Socket _resolver;
    private readonly Socket _web;
    private readonly IPAddress _address;

    /// <summary>Starts both.</summary>
    public NameAndWebServer(NetworkNamespace resolverHost, string resolverAddress, NetworkNamespace webHost, string webAddress)
    {
        _address = IPAddress.Parse(webAddress);
        _resolver = resolverHost.Run(() => Bound(SocketType.Dgram, new IPEndPoint(IPAddress.Parse(resolverAddress), 53)));
        _web = webHost.Run(() => Bound(SocketType.Stream, new IPEndPoint(_address, 80)));
        _web.Listen(8);
        Serve(Resolve);
        Serve(Answer);
    }

    /// <summary>Page by page, whom the web server has served: the address that it saw, and how many bytes.</summary>
    public List<string> Visitors { get; } = [];

    /// <summary>Resolves the name and fetches the page of so many bytes, as a browser on the host would.</summary>
    public static int Fetch(NetworkNamespace client, string resolver, int bytes)
    {
        var address = client.Run(() => Lookup(resolver));
        using var http = client.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 10_000, SendTimeout = 10_000 });
        Assert.True(http.ConnectAsync(new IPEndPoint(address, 80)).Wait(TimeSpan.FromSeconds(10)), $"no connection to {address}");
        http.Send(Encoding.ASCII.GetBytes($"GET /{bytes} HTTP/1.0\r\nHost: {Name}\r\n\r\n"));
        byte[] buffer = new byte[65536];
        int total = 0, header = -1;
        for (int count; (count = http.Receive(buffer)) > 0; total += count)
        {
            header = header < 0 ? buffer.AsSpan(0, count).IndexOf("\r\n\r\n"u8) + 4 : header;
        }

        return total - header;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _resolver.Dispose();
        _web.Dispose();
    }

    // RFC 1035 §4.1: header of 12 bytes, then the question.
    private static IPAddress Lookup(string resolver)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 5000 };
        socket.Connect(IPAddress.Parse(resolver), 53);
        byte[] query = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, .. Labels(), 0, 1, 0, 1];
        socket.Send(query);
        byte[] answer = new byte[512];
        int length = socket.Receive(answer);
        Assert.Equal(query.Length + 16, length);
        return new IPAddress(answer.AsSpan(length - 4, 4));
    }

    private static byte[] Labels() => [.. Name.Split('.').SelectMany(label => (byte[])[(byte)label.Length, .. Encoding.ASCII.GetBytes(label)]), 0];

    private static Socket Bound(SocketType type, IPEndPoint local)
    {
        var socket = new Socket(local.AddressFamily, type, type == SocketType.Dgram ? ProtocolType.Udp : ProtocolType.Tcp);
        socket.Bind(local);
        return socket;
    }

    private static void Serve(Action round)
    {
        var thread = new Thread(() =>
        {
            try
            {
                while (true)
                {
                    round();
                }
            }
            catch (Exception end) when (end is SocketException or ObjectDisposedException)
            {
                // The server has been closed.
            }
        });
        thread.IsBackground = true;
        thread.Start();
    }

    private void Resolve()
    {
        byte[] query = new byte[512];
        EndPoint peer = new IPEndPoint(IPAddress.Any, 0);
        int length = _resolver.ReceiveFrom(query, ref peer);
        // Response, one answer: a pointer to the name, A, IN, an hour, four bytes.
        byte[] answer = [.. query.AsSpan(0, length), 0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, .. _address.GetAddressBytes()];
        BinaryPrimitives.WriteUInt16BigEndian(answer.AsSpan(2), 0x8180);
        BinaryPrimitives.WriteUInt16BigEndian(answer.AsSpan(6), 1);
        _resolver.SendTo(answer, peer);
    }

    private void Answer()
    {
        using var visitor = _web.Accept();
        byte[] request = new byte[1024];
        string line = Encoding.ASCII.GetString(request, 0, visitor.Receive(request));
        int bytes = int.Parse(line.Split(' ')[1][1..], System.Globalization.CultureInfo.InvariantCulture);
        visitor.Send(Encoding.ASCII.GetBytes($"HTTP/1.0 200 OK\r\nContent-Length: {bytes}\r\n\r\n"));
        visitor.Send(new byte[bytes]);
        lock (Visitors)
        {
            Visitors.Add($"{((IPEndPoint)visitor.RemoteEndPoint!).Address} {bytes}");
        }

        visitor.Shutdown(SocketShutdown.Both);
    }
}
