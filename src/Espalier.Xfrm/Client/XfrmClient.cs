using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Espalier.Io;
using Espalier.Io.UnixSockets;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Client;

/// <summary>
/// A client of a data plane's control socket that speaks XFRM netlink itself, without the preload library. One thread at a time. Requests wait for their
/// answer; notifications that come meanwhile are kept for <see cref="Receive"/>.
/// </summary>
public sealed class XfrmClient : IDisposable
{
    private readonly UnixConnection _connection;
    private readonly int _timeout;
    private readonly NetlinkWriter _writer = new(64 * 1024);
    private readonly byte[] _buffer = GC.AllocateArray<byte>(64 * 1024, pinned: true);
    private readonly Queue<XfrmNotification> _notifications = new();
    private uint _sequence;

    /// <summary>Connects.</summary>
    /// <param name="path">Path of the control socket; <c>@name</c> for the abstract namespace.</param>
    /// <param name="timeoutMilliseconds">How long a request may wait for its answer.</param>
    /// <exception cref="DeviceException">Nobody listens, or access is denied.</exception>
    public XfrmClient(string path, int timeoutMilliseconds = 10_000)
    {
        _connection = UnixConnection.Connect(path);
        _timeout = timeoutMilliseconds;
    }

    /// <summary>Adds an SA (NEWSA), or fills a larval one and changes a valid one (UPDSA).</summary>
    /// <exception cref="XfrmException">Refused.</exception>
    public void AddSa(SaRequest request, bool update = false)
    {
        ArgumentNullException.ThrowIfNull(request);
        Begin(update ? XfrmMessage.UpdateSa : XfrmMessage.NewSa, Netlink.Acknowledge);
        RequestEncoder.WriteSa(_writer, request);
        Transact();
    }

    /// <summary>Removes an SA.</summary>
    /// <exception cref="XfrmException">It is not there (ESRCH).</exception>
    public void DeleteSa(SaIdentity identity)
    {
        Begin(XfrmMessage.DeleteSa, Netlink.Acknowledge);
        RequestEncoder.WriteId(_writer, identity);
        Transact();
    }

    /// <summary>An SA, or null if it is not there.</summary>
    public SaInfo? GetSa(SaIdentity identity)
    {
        Begin(XfrmMessage.GetSa, 0);
        RequestEncoder.WriteId(_writer, identity);
        SaInfo? found = null;
        try
        {
            Transact(XfrmMessage.NewSa, message => found = MessageDecoder.DecodeSa(message), single: true);
        }
        catch (XfrmException exception) when (exception.Error == LinuxError.NoProcess)
        {
            return null;
        }

        return found;
    }

    /// <summary>All SAs, newest first.</summary>
    public IReadOnlyList<SaInfo> DumpSas()
    {
        var all = new List<SaInfo>();
        Begin(XfrmMessage.GetSa, Netlink.Dump);
        Transact(XfrmMessage.NewSa, message => all.Add(MessageDecoder.DecodeSa(message) ?? throw Malformed()), single: false);
        return all;
    }

    /// <summary>Removes all SAs.</summary>
    public void FlushSas()
    {
        Begin(XfrmMessage.FlushSa, Netlink.Acknowledge);
        _writer.Reserve<XfrmUserSaFlush>().Protocol = XfrmValue.ProtocolAny;
        Transact();
    }

    /// <summary>Reserves an SPI for a destination (ALLOCSPI).</summary>
    /// <exception cref="XfrmException">None is free in the range (ENOENT), or the request is refused.</exception>
    public Spi AllocateSpi(InternetAddress source, InternetAddress destination, uint minimum, uint maximum, uint reqId = 0)
    {
        Begin(XfrmMessage.AllocateSpi, 0);
        ref var info = ref _writer.Reserve<XfrmUserSpiInfo>();
        info.Info.Id.DestinationAddress = XfrmConversions.FromAddress(destination);
        info.Info.Id.Protocol = XfrmValue.ProtocolEsp;
        info.Info.SourceAddress = XfrmConversions.FromAddress(source);
        info.Info.Family = XfrmConversions.ToFamily(destination.Version);
        info.Info.Mode = XfrmValue.ModeTunnel;
        info.Info.ReqId = reqId;
        info.Minimum = minimum;
        info.Maximum = maximum;
        Spi spi = default;
        Transact(XfrmMessage.NewSa, message => spi = (MessageDecoder.DecodeSa(message) ?? throw Malformed()).Id.Spi, single: true);
        return spi;
    }

    /// <summary>Adds a policy (NEWPOLICY), or puts it in place of the one with the same selector and direction (UPDPOLICY).</summary>
    /// <exception cref="XfrmException">Refused.</exception>
    public void AddPolicy(PolicyRequest request, bool update = false)
    {
        ArgumentNullException.ThrowIfNull(request);
        Begin(update ? XfrmMessage.UpdatePolicy : XfrmMessage.NewPolicy, Netlink.Acknowledge);
        RequestEncoder.WritePolicy(_writer, request);
        Transact();
    }

    /// <summary>Removes a policy.</summary>
    /// <exception cref="XfrmException">It is not there (ENOENT).</exception>
    public void DeletePolicy(in TrafficSelector selector, PolicyDirection direction)
    {
        Begin(XfrmMessage.DeletePolicy, Netlink.Acknowledge);
        ref var id = ref _writer.Reserve<XfrmUserPolicyId>();
        XfrmConversions.FromSelector(selector, ref id.Selector);
        id.Direction = (byte)direction;
        Transact();
    }

    /// <summary>All policies, newest first.</summary>
    public IReadOnlyList<PolicyInfo> DumpPolicies()
    {
        var all = new List<PolicyInfo>();
        Begin(XfrmMessage.GetPolicy, Netlink.Dump);
        Transact(XfrmMessage.NewPolicy, message => all.Add(MessageDecoder.DecodePolicy(message) ?? throw Malformed()), single: false);
        return all;
    }

    /// <summary>Removes all policies.</summary>
    public void FlushPolicies()
    {
        Begin(XfrmMessage.FlushPolicy, Netlink.Acknowledge);
        Transact();
    }

    /// <summary>Replaces the subscription.</summary>
    public void Subscribe(params ReadOnlySpan<XfrmGroup> groups)
    {
        uint mask = 0;
        foreach (var group in groups)
        {
            mask |= 1u << ((int)group - 1);
        }

        Begin(ControlMessage.Groups, 0);
        _writer.Reserve<uint>() = mask;
        Transact();
    }

    /// <summary>The next notification, or null if none comes in time.</summary>
    public XfrmNotification? Receive(int timeoutMilliseconds)
    {
        while (_notifications.Count == 0)
        {
            if (!_connection.WaitReadable(timeoutMilliseconds))
            {
                return null;
            }

            var reader = new NetlinkMessageReader(ReceiveDatagram());
            while (reader.MoveNext())
            {
                _notifications.Enqueue(MessageDecoder.DecodeNotification(reader.Message));
            }
        }

        return _notifications.Dequeue();
    }

    /// <summary>Asks whether the data plane would serve a program, as ATTACH without a descriptor does. Returns the firewall mark that it exempts; null: it says none.</summary>
    /// <exception cref="XfrmException">It would not; the message says why.</exception>
    public uint? Probe()
    {
        Begin(ControlMessage.Attach, 0);
        _writer.Reserve<uint>() = ControlMessage.Version;
        _writer.Reserve<uint>() = ControlMessage.NetlinkXfrm;
        uint? mark = null;
        Transact((XfrmMessage)Netlink.Error, message =>
        {
            var cookie = ErrorAnswer.Attribute(message, MemoryMarshal.Read<NetlinkHeader>(message), ControlMessage.CookieAttribute);
            mark = cookie.Length >= sizeof(uint) ? MemoryMarshal.Read<uint>(cookie) : null;
        }, single: true);
        return mark;
    }

    /// <summary>The data plane's statistics: one JSON document in UTF-8.</summary>
    public byte[] Stat()
    {
        var document = new MemoryStream();
        Begin(ControlMessage.Statistics, 0);
        Transact((XfrmMessage)ControlMessage.Statistics, message => document.Write(message[NetlinkHeader.Size..]), single: false);
        return document.ToArray();
    }

    /// <summary>Hangs up.</summary>
    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_buffer);
        _connection.Dispose();
    }

    internal static DeviceException Malformed() => new("the data plane's answer makes no sense: is it of another version?");

    private void Begin(XfrmMessage type, int flags) => Begin((ushort)type, flags);

    private void Begin(ushort type, int flags)
    {
        _writer.Clear();
        _writer.Begin(type, Netlink.Request | flags, ++_sequence, (uint)Environment.ProcessId);
    }

    private void Transact() => Transact((XfrmMessage)Netlink.Error, null, single: true);

    // Sends what was begun; gives each answer to `answer` until the acknowledgement, the single answer, or the end of the dump.
    // Where sending fails, the reason may be there to read.
    private void Transact(XfrmMessage answerType, MessageHandler? answer, bool single)
    {
        _writer.End();
        int errno = _connection.Send(_writer.Written);
        _writer.Clear();
        if (errno != 0 && !_connection.WaitReadable(0))
        {
            throw new DeviceException("the data plane does not take requests: " + Io.Interop.Errno.Text(errno), errno);
        }

        for (bool done = false; !done;)
        {
            if (!_connection.WaitReadable(_timeout))
            {
                throw new DeviceException($"the data plane did not answer within {_timeout} ms");
            }

            var reader = new NetlinkMessageReader(ReceiveDatagram());
            while (reader.MoveNext())
            {
                done |= Take(reader.Message, reader.Header, answerType, answer, single);
            }
        }
    }

    private bool Take(ReadOnlySpan<byte> message, in NetlinkHeader header, XfrmMessage answerType, MessageHandler? answer, bool single)
    {
        // 0: the data plane tells a client that it does not serve, before it was asked.
        bool ours = header.Sequence == _sequence || (header.Sequence == 0 && header.Type == Netlink.Error);
        if (ours && header.Type == Netlink.Error)
        {
            ErrorAnswer.ThrowIfError(message, header);
            if (answerType == (XfrmMessage)Netlink.Error)
            {
                answer?.Invoke(message);
            }

            return true;
        }

        if (ours && header.Type == Netlink.Done)
        {
            int error = message.Length >= NetlinkHeader.Size + sizeof(int) ? -MemoryMarshal.Read<int>(message[NetlinkHeader.Size..]) : 0;
            return error == 0 ? true : throw new XfrmException(error, null);
        }

        if (ours && answer is not null && header.Type == (ushort)answerType)
        {
            answer(message);
            return single;
        }

        _notifications.Enqueue(MessageDecoder.DecodeNotification(message));
        return false;
    }

    private ReadOnlySpan<byte> ReceiveDatagram()
    {
        var received = _connection.Receive(_buffer);
        received.Descriptor?.Dispose();
        return received.Outcome == UnixReceiveOutcome.Message && !received.Truncated
            ? _buffer.AsSpan(0, received.Length)
            : throw new DeviceException("the data plane hung up", received.Error);
    }

    private delegate void MessageHandler(ReadOnlySpan<byte> message);
}
