using Espalier.Io.Netlink;
using Espalier.Routing.Rules;

namespace Espalier.Routing.Settings;

/// <summary>
/// net.ipv4.conf.all.src_valid_mark: lets rp_filter look at the marks of what arrives. It is 1 while an Espalier runs in the network namespace; a clean stop
/// of the last one restores it.
/// <code>
/// start   read it ─ look for records in the rules of all Espaliers ─ remove what a crash left ─ install own rules, with the record ─ set 1
/// stop    remove own rules ─ no other Espalier has rules? ─ set 0, if the record says so
/// </code>
/// That it was 0 is recorded in a routing rule of each instance: that lives and dies with the network namespace, as the setting does, and outlives a crash. An
/// instance that starts beside another one reads the setting before it looks for the record, and the other one recorded before it set 1; so it finds one of both.
/// </summary>
internal sealed class SourceValidation
{
    private const string Setting = "ipv4/conf/all/src_valid_mark";
    private const string Off = "0";

    /// <summary>Reads the setting.</summary>
    internal SourceValidation() => WasOff = KernelSetting.Read(Setting) == Off;

    /// <summary>True where it was 0 before the first Espalier came.</summary>
    internal bool WasOff { get; private set; }

    /// <summary>Why it could not be switched on, or null.</summary>
    internal string? Problem { get; private set; }

    /// <summary>Takes over what an earlier run, or another instance, recorded.</summary>
    internal void TakeOver(IEnumerable<RuleEntry> rulesOfEspalier) => WasOff |= rulesOfEspalier.Any(RulePlan.RecordsThatValidationWasOff);

    /// <summary>Switches it on, once the record stands.</summary>
    internal void SwitchOn() => Problem = KernelSetting.Write(Setting, "1") is { } reason ? $"{KernelSetting.Name(Setting)}: {reason}" : null;

    /// <summary>Restores the old value.</summary>
    /// <param name="others">True where another Espalier has rules here.</param>
    internal void Restore(bool others)
    {
        if (WasOff && !others)
        {
            KernelSetting.Write(Setting, Off);
        }
    }
}
