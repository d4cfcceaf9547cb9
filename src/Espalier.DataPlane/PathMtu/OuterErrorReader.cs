using Espalier.DataPlane.Counters;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;

namespace Espalier.DataPlane.PathMtu;

/// <summary>
/// Reads ICMP errors from the error queues of outer sockets. Anyone can send an ICMP error; it is believed only if it quotes an ESP packet
/// that one of our SAs sent: its SPI, to that destination and port, with a sequence number that was used (RFC 4301 §8.2.1).
/// Then a smaller path MTU becomes an event for the control thread. What is about an IKE daemon's message goes to the daemon's own socket. All else is
/// counted and changes nothing. One worker's.
/// </summary>
internal sealed class OuterErrorReader(
    IpsecDatabase database, LocalPathMtu local, WorkerCounters counters, int defaultPathMtu, IPortRelay? relay = null)
{
    // Of ESP, nothing behind the SPI and the sequence number is of use; a daemon gets what an ICMPv6 error can hold.
    private const int QuotedBytes = 64;
    private const int RelayedBytes = IcmpErrorMessage.LargestIPv6Error;
    private const int AtOnce = 64;

    private const byte DestinationUnreachable = 3;
    private const byte FragmentationNeeded = 4;
    private const byte PacketTooBig = 2;

    private readonly byte[] _quoted = GC.AllocateArray<byte>(relay is null ? QuotedBytes : RelayedBytes, pinned: true);

    /// <summary>Takes the errors that wait, a bounded number. The caller is inside its gate.</summary>
    public void Drain(IOuterSocket socket)
    {
        for (int i = 0; i < AtOnce && socket.TryReceiveError(_quoted, out var error); i++)
        {
            if (relay is not null && socket.LocalPort != 0 && !error.IsLocal && !QuotesEsp(error))
            {
                bool relayed = relay.RelayError(error, _quoted, socket.LocalPort) == 0;
                counters.Add(relayed ? TrafficCounter.IkeErrorsRelayed : TrafficCounter.IkeErrorsLost);
            }
            else if (!TryLearn(socket, error))
            {
                counters.Add(TrafficCounter.IcmpErrorsIgnored);
            }
        }
    }

    // RFC 3948 §2.2. An error that quotes no payload may be about either; the daemon would see it if we were not there, and so it does.
    private bool QuotesEsp(in OuterError error) => error.QuotedLength >= sizeof(uint) && QuotedEspPacket.TryParseEsp(_quoted, out _);

    private bool TryLearn(IOuterSocket socket, in OuterError error)
    {
        if (error.IsLocal)
        {
            local.Set(error.Remote, error.PathMtu);
            return true;
        }

        bool isTooBig = socket.Version == IpVersion.IPv6
            ? error is { IcmpType: PacketTooBig, IcmpCode: 0 }
            : error is { IcmpType: DestinationUnreachable, IcmpCode: FragmentationNeeded };
        if (!isTooBig || Quoted(socket, error) is not { } association)
        {
            return false;
        }

        int current = PathMtuRules.Effective(association, defaultPathMtu);
        int mtu = PathMtuRules.Accept(socket.Version, error.PathMtu, current);
        if (mtu == 0)
        {
            return false;
        }

        counters.Add(TrafficCounter.PathMtuLearnt);
        database.Events.TryPost(new IpsecEvent(IpsecEventKind.PathMtu, association, null, default, default, 0, mtu));
        return true;
    }

    private SecurityAssociation? Quoted(IOuterSocket socket, in OuterError error)
    {
        var esp = _quoted.AsSpan(0, Math.Min(error.QuotedLength, _quoted.Length));
        if (!QuotedEspPacket.TryParseEsp(esp, out var quoted) || quoted.Sequence is not { } sequence)
        {
            return null;
        }

        var association = database.Sad.Find(new SaIdentity(new Spi(quoted.Spi), error.Remote));
        return association is { State: SaState.Valid } && WasSentThrough(association, socket, error) && WasSent(association, sequence)
            ? association : null;
    }

    private static bool WasSentThrough(SecurityAssociation association, IOuterSocket socket, in OuterError error) =>
        association.Encapsulation is { } encapsulation
            ? encapsulation.SourcePort == socket.LocalPort && encapsulation.DestinationPort == error.RemotePort
            : socket.LocalPort == 0;

    // The quote holds the low half. With ESN a number left of the current low half belongs to the 2^32 numbers before, if there were any.
    private static bool WasSent(SecurityAssociation association, uint sequence)
    {
        ulong last = Volatile.Read(ref association.OutboundSequence);
        return last >> 32 != 0 || (sequence != 0 && sequence <= last);
    }
}
