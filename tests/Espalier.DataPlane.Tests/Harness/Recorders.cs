using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

internal sealed class RecordingBypass : IBypassSender
{
    public List<byte[]> Sent { get; } = [];

    public int Refusal { get; set; }

    /// <summary>The largest packet that it takes.</summary>
    public int Mtu { get; set; } = int.MaxValue;

    /// <summary>Says how large that is.</summary>
    public bool NamesMtu { get; set; } = true;

    /// <summary>Where what was sent goes, for a loop.</summary>
    public Action<byte[]>? Carry { get; set; }

    public int Send(ReadOnlySpan<byte> packet)
    {
        const int MessageTooLong = 90;
        if (Refusal != 0 || packet.Length > Mtu)
        {
            return Refusal != 0 ? Refusal : MessageTooLong;
        }

        byte[] copy = packet.ToArray();
        Sent.Add(copy);
        Carry?.Invoke(copy);
        return 0;
    }

    public int TakeMtu(InternetAddress destination) => NamesMtu ? Mtu : 0;

    public void Dispose()
    {
    }
}

internal sealed class RecordingIcmp : IIcmpSender
{
    public List<(InternetAddress Destination, byte[] Message)> Sent { get; } = [];

    public int Refusal { get; set; }

    public int Send(InternetAddress destination, ReadOnlySpan<byte> message)
    {
        if (Refusal != 0)
        {
            return Refusal;
        }

        Sent.Add((destination, message.ToArray()));
        return 0;
    }

    public void Dispose()
    {
    }
}

internal sealed class RecordingRelay : IPortRelay
{
    public List<(PacketSlot About, byte[] Payload, ushort Port)> Relayed { get; } = [];

    public List<(OuterError Error, byte[] Quoted, ushort Port)> Errors { get; } = [];

    public int Refusal { get; set; }

    public int Relay(in PacketSlot about, ReadOnlySpan<byte> payload, ushort localPort)
    {
        if (Refusal == 0)
        {
            Relayed.Add((about, payload.ToArray(), localPort));
        }

        return Refusal;
    }

    public int RelayError(in OuterError error, ReadOnlySpan<byte> quoted, ushort localPort)
    {
        if (Refusal == 0)
        {
            Errors.Add((error, quoted[..error.QuotedLength].ToArray(), localPort));
        }

        return Refusal;
    }

    public void Dispose()
    {
    }
}

internal sealed class LocalAddressSet : ILocalAddresses
{
    public HashSet<InternetAddress> Addresses { get; } = [];

    public bool IsLocal(InternetAddress address) => Addresses.Contains(address);
}
