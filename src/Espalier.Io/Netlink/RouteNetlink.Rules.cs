using System.Runtime.InteropServices;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

public sealed partial class RouteNetlink
{
    private const int RuleHeaderLength = 12;

    /// <summary>All rules of a family; none where the kernel lacks the family or policy routing.</summary>
    public IReadOnlyList<RuleEntry> GetRules(IpVersion version)
    {
        var writer = Start();
        writer.Begin(Rtnetlink.RTM_GETRULE, Nl.NLM_F_DUMP, RuleHeaderLength)[0] = FamilyOf(version);
        writer.End();
        try
        {
            return _socket.Dump<RuleEntry>(writer, $"list {version} rules", TryParseRule);
        }
        catch (NetlinkException refused) when (refused.ErrorNumber is Errno.EAFNOSUPPORT or Errno.EOPNOTSUPP)
        {
            return [];
        }
    }

    /// <summary>Adds rules in their order; those that are there already are left. Returns what was refused, with the index of the rule.</summary>
    public IReadOnlyList<NetlinkError> AddRules(IReadOnlyList<RuleEntry> rules)
    {
        var errors = Batch(rules, static (writer, rule) => WriteRule(writer, Rtnetlink.RTM_NEWRULE, Nl.NLM_F_CREATE | Nl.NLM_F_EXCL, rule));
        errors.RemoveAll(static error => error.ErrorNumber == Errno.EEXIST);
        return errors;
    }

    /// <summary>Removes rules; those that are not there are left aside. Returns what was refused, with the index of the rule.</summary>
    public IReadOnlyList<NetlinkError> DeleteRules(IReadOnlyList<RuleEntry> rules)
    {
        var errors = Batch(rules, static (writer, rule) => WriteRule(writer, Rtnetlink.RTM_DELRULE, 0, rule));
        errors.RemoveAll(static error => error.ErrorNumber is Errno.ENOENT or Errno.EAFNOSUPPORT);
        return errors;
    }

    /// <summary>struct fib_rule_hdr: family, lengths of destination and source prefix, TOS, table, two reserved, action, flags (32 bits).</summary>
    private static void WriteRule(NetlinkWriter writer, ushort type, ushort flags, RuleEntry rule)
    {
        var header = writer.Begin(type, flags, RuleHeaderLength);
        header[0] = FamilyOf(rule.Version);
        header[2] = (byte)rule.Source.Length;
        header[7] = (byte)rule.Action;
        MemoryMarshal.Write(header[8..], rule.Invert ? Rtnetlink.FIB_RULE_INVERT : 0u);
        writer.Attribute(Rtnetlink.FRA_PRIORITY, rule.Priority);
        writer.Attribute(Rtnetlink.FRA_TABLE, rule.Table);
        writer.Attribute(Rtnetlink.FRA_PROTOCOL, rule.Protocol);
        if (rule.Source.Length > 0)
        {
            writer.Attribute(Rtnetlink.FRA_SRC, rule.Source.Canonical.Address);
        }

        if (rule.InputInterface is { } input)
        {
            writer.Attribute(Rtnetlink.FRA_IIFNAME, input);
        }

        if (rule.Mark is { } mark)
        {
            writer.Attribute(Rtnetlink.FRA_FWMARK, mark);
            writer.Attribute(Rtnetlink.FRA_FWMASK, uint.MaxValue);
        }

        if (rule.Action == RuleAction.Goto)
        {
            writer.Attribute(Rtnetlink.FRA_GOTO, rule.GotoPriority);
        }

        writer.End();
    }

    internal static bool TryParseRule(in NetlinkMessage message, out RuleEntry rule)
    {
        rule = default;
        if (message.Type is not (Rtnetlink.RTM_NEWRULE or Rtnetlink.RTM_DELRULE) || message.Payload.Length < RuleHeaderLength)
        {
            return false;
        }

        var header = message.Payload;
        var version = VersionOf(header[0]);
        rule = new RuleEntry(version, 0)
        {
            Action = (RuleAction)header[7],
            Table = header[4],
            Invert = (MemoryMarshal.Read<uint>(header[8..]) & Rtnetlink.FIB_RULE_INVERT) != 0,
        };
        var attributes = message.AttributesAfter(RuleHeaderLength);
        while (attributes.TryNext(out var attribute))
        {
            rule = attribute.Type switch
            {
                Rtnetlink.FRA_PRIORITY => rule with { Priority = attribute.UInt32 },
                Rtnetlink.FRA_TABLE => rule with { Table = attribute.UInt32 },
                Rtnetlink.FRA_PROTOCOL => rule with { Protocol = attribute.Byte },
                Rtnetlink.FRA_SRC => rule with { Source = new AddressPrefix(attribute.Address(version), header[2]) },
                Rtnetlink.FRA_IIFNAME => rule with { InputInterface = attribute.Text },
                Rtnetlink.FRA_FWMARK => rule with { Mark = attribute.UInt32 },
                Rtnetlink.FRA_GOTO => rule with { GotoPriority = attribute.UInt32 },
                _ => rule,
            };
        }

        return version != IpVersion.None;
    }
}
