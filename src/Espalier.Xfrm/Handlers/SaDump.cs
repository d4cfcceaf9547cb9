using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>A dump of the SAD, all of it or what an address filter and a protocol leave.</summary>
internal sealed class SaDump : XfrmDump
{
    private readonly IpsecDatabase _database;
    private readonly SecurityAssociation[] _associations;
    private readonly XfrmAddressFilter? _filter;
    private int _next;

    public SaDump(IpsecDatabase database, uint sequence, uint portId, byte protocol, XfrmAddressFilter? filter)
        : base(sequence, portId)
    {
        _database = database;
        _filter = filter;
        _associations = SaHandlers.ProtocolMatches(protocol) ? [.. database.Sad.All] : [];
        Array.Reverse(_associations);
    }

    /// <inheritdoc/>
    protected override XfrmMessage MessageType => XfrmMessage.NewSa;

    /// <inheritdoc/>
    protected override bool WriteCurrent(NetlinkWriter writer)
    {
        var sa = _next < _associations.Length ? _associations[_next] : null;
        if (sa?.State == SaState.Dead && sa.Id.Spi.Value != 0)
        {
            // Replaced by UPDSA since the dump began, or gone.
            sa = _database.Sad.Find(sa.Id);
        }

        if (sa is null || sa.State == SaState.Dead || !Matches(sa))
        {
            return false;
        }

        SaWriter.Fill(ref writer.Reserve<XfrmUserSaInfo>(), sa);
        SaWriter.WriteAttributes(writer, sa);
        return true;
    }

    /// <inheritdoc/>
    protected override bool MoveNext() => ++_next < _associations.Length;

    private bool Matches(SecurityAssociation sa)
    {
        if (_filter is not { } filter)
        {
            return true;
        }

        return (XfrmConversions.ToVersion(filter.Family) is var version and not IpVersion.None ? sa.Id.Destination.Version == version : true)
            && PrefixMatches(filter.SourceAddress, filter.SourcePrefixLength, sa.Source)
            && PrefixMatches(filter.DestinationAddress, filter.DestinationPrefixLength, sa.Id.Destination);
    }

    // addr_match compares whole xfrm_address_t: bits beyond an IPv4 address are zero on both sides, or differ.
    private static bool PrefixMatches(in XfrmAddress prefix, int length, InternetAddress address)
    {
        var own = XfrmConversions.FromAddress(address);
        return XfrmConversions.ToAddress(prefix, IpVersion.IPv6).Masked(length)
            == XfrmConversions.ToAddress(own, IpVersion.IPv6).Masked(length);
    }
}
