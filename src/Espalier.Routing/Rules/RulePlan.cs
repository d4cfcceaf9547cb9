using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Rules;

/// <summary>
/// The routing rules of one IP version, in the order in which they are tried. T is Espalier's table, U its table for packets without a source yet,
/// R the one for relayed packets; M, A and R are the marks of <see cref="RoutingOptions"/>.
/// <code>
/// IPv4                                          IPv6
/// P    fwmark M            → P+4                P    fwmark M            → P+4     ours, and what is exempt
/// P    fwmark A iif lo     → P+4                P    fwmark A iif lo     → P+4     way back to the source of what
/// P    fwmark A iif TUN    → P+4                                                   arrives (rp_filter)
/// P    fwmark R            : table R                                               and of what is relayed through lo
/// P+1  from S1 … Sn        : table T            P+1  from S1 … Sn        : table T source inside a policy's selector
/// P+3  from 0.0.0.0/32     : table U            P+2  from ::/1           → P+4     source outside, or not
/// P+4  nop                                      P+2  from 8000::/1       → P+4     caught by T
///                                               P+3  any                 : table U no source yet
///                                               P+4  nop
/// </code>
/// IPv6 needs the detour, because there no prefix matches a packet without a source. Where the sources are all addresses, the rule of T is
/// <c>not from 0.0.0.0/32</c>, and <c>from ::/1</c> with <c>from 8000::/1</c>.
/// In the look-up of rp_filter the kernel puts the output interface in the place of the input interface: the loopback device for a packet that is delivered
/// here, for one that is forwarded the device that it goes to. So the rules of A meet these look-ups alone, and none of a packet on its way.
/// The nop of IPv4 has the mark M where src_valid_mark was 0 before the first Espalier came (<see cref="Settings.SourceValidation"/>).
/// The table number stands in each rule, also where the kernel does not look at it: by it and the protocol a later start finds what a crash left.
/// </summary>
internal sealed class RulePlan(IpVersion version, RoutingOptions options)
{
    private static readonly AddressPrefix NoSourceIPv4 = new(InternetAddress.AnyIPv4, 32);
    private static readonly AddressPrefix LowerHalf = AddressPrefix.Parse("::/1");
    private static readonly AddressPrefix UpperHalf = AddressPrefix.Parse("8000::/1");

    private uint First => options.RulePriority;

    private uint Last => options.RulePriority + RoutingOptions.RulePriorities - 1;

    /// <summary>The rules that stand as long as Espalier runs. The target of the jumps comes first.</summary>
    internal IReadOnlyList<RuleEntry> Permanent(bool validationWasOff)
    {
        var nop = new RuleEntry(version, Last) { Action = RuleAction.Nop, Table = options.Table, Protocol = options.Protocol };
        var exempt = Jump(First) with { Mark = options.Mark };
        var arrived = Jump(First) with { Mark = options.ArrivalMark };
        var delivered = arrived with { InputInterface = "lo" };
        var unspecified = new RuleEntry(version, First + 3) { Table = options.UnspecifiedSourceTable, Protocol = options.Protocol };
        return version == IpVersion.IPv4
            ?
            [
                validationWasOff ? nop with { Mark = options.Mark } : nop,
                exempt,
                delivered,
                arrived with { InputInterface = options.TunnelName },
                new RuleEntry(version, First) { Mark = options.RelayMark, Table = options.RelayTable, Protocol = options.Protocol },
                unspecified with { Source = NoSourceIPv4 },
            ]
            : [nop, exempt, delivered, Jump(First + 2) with { Source = LowerHalf }, Jump(First + 2) with { Source = UpperHalf }, unspecified];
    }

    /// <summary>True for the nop of any Espalier that records that src_valid_mark was 0.</summary>
    internal static bool RecordsThatValidationWasOff(RuleEntry rule) => rule is { Action: RuleAction.Nop, Mark: not null };

    /// <summary>The rules for a cover of sources.</summary>
    internal IReadOnlyList<RuleEntry> ForSources(IReadOnlyList<AddressPrefix> cover)
    {
        var lookup = new RuleEntry(version, First + 1) { Table = options.Table, Protocol = options.Protocol };
        if (cover.Count == 1 && cover[0].Length == 0)
        {
            return version == IpVersion.IPv4
                ? [lookup with { Source = NoSourceIPv4, Invert = true }]
                : [lookup with { Source = LowerHalf }, lookup with { Source = UpperHalf }];
        }

        return [.. cover.Select(prefix => lookup with { Source = prefix })];
    }

    private RuleEntry Jump(uint priority) =>
        new(version, priority) { Action = RuleAction.Goto, GotoPriority = Last, Table = options.Table, Protocol = options.Protocol };
}
