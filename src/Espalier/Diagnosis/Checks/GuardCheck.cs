using Espalier.Io;
using Espalier.Io.Processes;

namespace Espalier.Diagnosis.Checks;

/// <summary>nftables, which drops what arrives in clear although a policy protects it.</summary>
internal static class GuardCheck
{
    private const string Consequence = "packets that arrive in clear for a protected selector will not be dropped, and strict rp_filter will get in the way";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    internal static IEnumerable<Finding> Examine(HostView host)
    {
        if (host.FindProgram("nft") is not { } nft)
        {
            yield return new Finding(Severity.Warning, "nftables", $"the program nft is not installed: {Consequence}", "install nftables (Debian: apt-get install nftables)");
            yield break;
        }

        string? refusal = Try(nft);
        yield return refusal is null
            ? new Finding(Severity.Good, "nftables", "works: packets that arrive in clear for a protected selector are dropped")
            : new Finding(Severity.Warning, "nftables", $"{refusal}: {Consequence}", "a kernel with nf_tables ('modprobe nf_tables'), and CAP_NET_ADMIN");
    }

    private static string? Try(string nft)
    {
        try
        {
            var result = ChildProgram.Run(nft, ["list", "tables"], "", Patience);
            return result.Succeeded ? null : $"'nft list tables' fails ({result.Output.Trim().ReplaceLineEndings(" ")})";
        }
        catch (DeviceException exception)
        {
            return exception.Message;
        }
    }
}
