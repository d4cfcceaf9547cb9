namespace Espalier.Routing.Settings;

/// <summary>
/// net.ipv4.conf.all.src_valid_mark: lets rp_filter look at the mark that the guard sets on arrival. It is set to 1 while Espalier runs. The old value is
/// restored by a clean stop of the only Espalier in the network namespace; where there were or are others it stays 1, which does no harm: it only
/// makes rp_filter see marks.
/// </summary>
internal sealed class SourceValidation
{
    private const string Setting = "ipv4/conf/all/src_valid_mark";

    private readonly string? _before;

    /// <summary>Switches it on.</summary>
    /// <param name="alone">False where another Espalier may have switched it on.</param>
    internal SourceValidation(bool alone)
    {
        string? before = KernelSetting.Read(Setting);
        Problem = KernelSetting.Write(Setting, "1");
        _before = alone && Problem is null && before != "1" ? before : null;
    }

    /// <summary>Why it could not be switched on, or null.</summary>
    internal string? Problem { get; }

    /// <summary>Restores the old value.</summary>
    /// <param name="others">True where another Espalier runs.</param>
    internal void Restore(bool others)
    {
        if (_before is not null && !others)
        {
            KernelSetting.Write(Setting, _before);
        }
    }
}
