using System.Security.Cryptography;
using Espalier.Io.Interop;
using Espalier.Io.Polling;
using Espalier.Io.UnixSockets;

namespace Espalier.Xfrm.Server;

/// <summary>
/// One socket of a client with what waits to be written to it. Datagrams are sent at once where the socket takes them, in order; the rest waits,
/// bounded by whoever queues. What waited is zeroed when it is sent, because it may hold keys. Control thread only.
/// </summary>
internal sealed class ClientChannel : IDisposable
{
    // The kernel's default (net.core.wmem_default), which an administrator may have raised for other sockets.
    private const int KernelQueueBytes = 208 * 1024;

    private readonly UnixConnection _connection;
    private readonly ControlLoop.Registration _registration;
    private readonly Queue<byte[]> _waiting = new();
    private bool _reading = true;

    public ClientChannel(ControlLoop loop, UnixConnection connection, Action<PollEvent> ready)
    {
        _connection = connection;
        _connection.BoundSendQueue(KernelQueueBytes / 2); // The kernel doubles it, for its own overhead.
        _registration = loop.Register(connection.PollDescriptor, ready);
    }

    /// <summary>Bytes that wait.</summary>
    public int WaitingBytes { get; private set; }

    /// <summary>True when the other end is gone.</summary>
    public bool Broken { get; private set; }

    /// <summary>True where nothing waits.</summary>
    public bool IsIdle => _waiting.Count == 0;

    /// <summary>Whether requests are read. Off, the client's own socket fills and its sends block.</summary>
    public bool Reading
    {
        get => _reading;
        set
        {
            _reading = value;
            Watch();
        }
    }

    /// <summary>Takes one message.</summary>
    public UnixMessage Receive(Span<byte> buffer) => _connection.Receive(buffer);

    /// <summary>Ends what the other end can send: its sends fail from here on. What it sent before can still be received.</summary>
    public void StopReceiving() => _connection.StopReceiving();

    /// <summary>Sends a datagram, or keeps a copy of it until the socket takes it.</summary>
    public void Send(ReadOnlySpan<byte> datagram)
    {
        if (Broken || (_waiting.Count == 0 && TrySend(datagram)))
        {
            return;
        }

        _waiting.Enqueue(datagram.ToArray());
        WaitingBytes += datagram.Length;
        Watch();
    }

    /// <summary>Sends what waits, as far as the socket takes it.</summary>
    public void Flush()
    {
        while (_waiting.TryPeek(out byte[]? datagram) && TrySend(datagram))
        {
            _waiting.Dequeue();
            WaitingBytes -= datagram.Length;
            CryptographicOperations.ZeroMemory(datagram);
        }

        Watch();
    }

    /// <summary>Asks to be told when the socket has room, although nothing waits.</summary>
    public void WantRoom(bool wanted) => _registration.Want(_reading, wanted || _waiting.Count > 0);

    /// <summary>Closes the socket; what waits is zeroed.</summary>
    public void Dispose()
    {
        foreach (byte[] datagram in _waiting)
        {
            CryptographicOperations.ZeroMemory(datagram);
        }

        _waiting.Clear();
        WaitingBytes = 0;
        Broken = true;
        _registration.Dispose();
        _connection.Dispose();
    }

    // True where the datagram is settled: sent, or nobody is there to take it.
    private bool TrySend(ReadOnlySpan<byte> datagram)
    {
        int errno = Broken ? Errno.EPIPE : _connection.Send(datagram);
        if (errno is Errno.EAGAIN or Errno.ENOBUFS or Errno.ENOMEM)
        {
            return false;
        }

        Broken |= errno != 0;
        return true;
    }

    private void Watch() => _registration.Want(_reading, _waiting.Count > 0);
}
