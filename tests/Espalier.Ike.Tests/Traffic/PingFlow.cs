using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Traffic;

/// <summary>
/// Echo requests at a fixed pace on a raw socket, and which of them were answered. Unlike ping(8) it waits for the last answers before it counts, and names
/// the lost ones with their times.
/// </summary>
internal sealed class PingFlow : IDisposable
{
    private const int Capacity = 65_536;
    private readonly Socket _socket;
    private readonly IPEndPoint _target;
    private readonly bool _ipv6;
    private readonly TimeSpan _interval;
    private readonly Thread _sender;
    private readonly Thread _receiver;
    private readonly byte[] _answers = new byte[Capacity];
    private readonly DateTime[] _sentAt = new DateTime[Capacity];
    private readonly ushort _identifier = (ushort)Random.Shared.Next(1, 65536);
    private volatile bool _stop;
    private volatile bool _close;
    private volatile int _sent;

    /// <summary>Starts at once.</summary>
    /// <param name="host">Where it sends from.</param>
    /// <param name="target">Address that answers.</param>
    /// <param name="source">Source address; null = the kernel's choice.</param>
    /// <param name="perSecond">Requests a second.</param>
    public PingFlow(NetworkNamespace host, string target, string? source = null, int perSecond = 100)
    {
        _target = new IPEndPoint(IPAddress.Parse(target), 0);
        _ipv6 = _target.AddressFamily == AddressFamily.InterNetworkV6;
        _interval = TimeSpan.FromSeconds(1.0 / perSecond);
        _socket = host.Run(() =>
        {
            var socket = new Socket(_target.AddressFamily, SocketType.Raw, _ipv6 ? ProtocolType.IcmpV6 : ProtocolType.Icmp) { ReceiveTimeout = 100 };
            if (source is not null)
            {
                socket.Bind(new IPEndPoint(IPAddress.Parse(source), 0));
            }

            return socket;
        });
        _sender = new Thread(Send) { IsBackground = true };
        _receiver = new Thread(Receive) { IsBackground = true };
        _receiver.Start();
        _sender.Start();
    }

    /// <summary>Requests sent so far.</summary>
    public int Sent => _sent;

    /// <summary>Answers so far, without duplicates.</summary>
    public int Answered => _answers.AsSpan(0, _sent).Count((byte)1);

    /// <summary>Waits until so many more requests have been answered.</summary>
    public void AwaitAnswers(int more, double seconds = 10)
    {
        int goal = Answered + more;
        Wait.Until(() => Answered >= goal, () => $"{more} more answers of {_target.Address}: {Answered} of {_sent}", seconds);
    }

    /// <summary>Stops, waits for the last answers, and fails if one is missing.</summary>
    public void ExpectAllAnswered()
    {
        var lost = Finish();
        Assert.True(lost.Count == 0, Describe(lost));
    }

    /// <summary>How many were lost, and when they were sent.</summary>
    public string Describe(IReadOnlyList<int> lost) =>
        $"{lost.Count} of {_sent} lost {string.Join(", ", lost.Take(20).Select(i => $"{i} at {_sentAt[i]:HH:mm:ss.fff}"))}";

    /// <summary>Stops, waits up to 2 s for the last answers; the numbers of those that never came.</summary>
    public IReadOnlyList<int> Finish()
    {
        _stop = true;
        _sender.Join();
        for (int wait = 0; wait < 100 && Answered < _sent; wait++)
        {
            Thread.Sleep(20);
        }

        return [.. Enumerable.Range(0, _sent).Where(i => _answers[i] == 0)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop = _close = true;
        _sender.Join();
        _receiver.Join();
        _socket.Dispose();
    }

    private void Send()
    {
        byte[] request = new byte[64];
        var clock = Stopwatch.StartNew();
        for (int number = 0; number < Capacity && !_stop; number++)
        {
            // RFC 792, RFC 4443 §4.1: type, code, checksum, identifier, sequence number. The kernel fills in ICMPv6's checksum.
            request[0] = (byte)(_ipv6 ? 128 : 8);
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(4), _identifier);
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(6), (ushort)number);
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(2), 0);
            BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(2), NaiveChecksum.Of(request));
            _sentAt[number] = DateTime.Now;
            _sent = number + 1;
            try
            {
                _socket.SendTo(request, _target);
            }
            catch (SocketException)
            {
                // Counted as lost: the answer will be missing.
            }

            var due = _interval * (number + 1) - clock.Elapsed;
            if (due > TimeSpan.Zero)
            {
                Thread.Sleep(due);
            }
        }
    }

    private void Receive()
    {
        byte[] buffer = new byte[2048];
        while (!_close)
        {
            int length;
            try
            {
                length = _socket.Receive(buffer);
            }
            catch (SocketException)
            {
                continue;
            }

            int at = _ipv6 ? 0 : (buffer[0] & 15) * 4;
            if (length >= at + 8 && buffer[at] == (_ipv6 ? 129 : 0) && BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(at + 4)) == _identifier)
            {
                _answers[BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(at + 6))] = 1;
            }
        }
    }
}
