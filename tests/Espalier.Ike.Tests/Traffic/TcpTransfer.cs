using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Traffic;

/// <summary>A TCP connection that carries so many bytes each way, one way after the other; what arrives must be what was sent.</summary>
internal static class TcpTransfer
{
    /// <summary>Stands in every kilobyte, so that clear text is found on a wire.</summary>
    public static readonly byte[] Marker = Encoding.ASCII.GetBytes("ESPALIER-CLEAR-TEXT");

    /// <summary>Sends from client to server, then back; the client's address as the server sees it.</summary>
    public static string BothWays(NetworkNamespace client, NetworkNamespace server, string serverAddress, int bytes, int seconds = 30)
    {
        var address = IPAddress.Parse(serverAddress);
        using var listener = server.Run(() => Listen(address));
        using var near = client.Run(() => new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = seconds * 1000, SendTimeout = seconds * 1000 });
        var accept = listener.AcceptAsync();
        Assert.True(near.ConnectAsync(listener.LocalEndPoint!).Wait(TimeSpan.FromSeconds(10)), $"no TCP connection to {serverAddress}");
        Assert.True(accept.Wait(TimeSpan.FromSeconds(10)));
        using var far = accept.Result;
        far.ReceiveTimeout = far.SendTimeout = seconds * 1000;
        byte[] data = Data(bytes);
        OneWay(near, far, data);
        OneWay(far, near, data);
        return ((IPEndPoint)far.RemoteEndPoint!).Address.ToString();
    }

    private static Socket Listen(IPAddress address)
    {
        var listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(address, 0));
        listener.Listen(1);
        return listener;
    }

    private static byte[] Data(int bytes)
    {
        byte[] data = RandomNumberGenerator.GetBytes(bytes);
        for (int at = 0; at + Marker.Length <= bytes; at += 1024)
        {
            Marker.CopyTo(data, at);
        }

        return data;
    }

    private static void OneWay(Socket from, Socket to, byte[] data)
    {
        var sending = Task.Run(() =>
        {
            for (int sent = 0; sent < data.Length;)
            {
                sent += from.Send(data.AsSpan(sent, Math.Min(65536, data.Length - sent)));
            }
        });
        byte[] received = new byte[data.Length];
        for (int got = 0; got < data.Length;)
        {
            int count = to.Receive(received.AsSpan(got));
            Assert.True(count > 0, $"the connection ended after {got} of {data.Length} bytes");
            got += count;
        }

        sending.Wait();
        Assert.True(data.AsSpan().SequenceEqual(received), "other bytes arrived than were sent");
    }
}
