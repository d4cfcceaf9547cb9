using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto.Tests;

/// <summary>The engines by name, for theories.</summary>
internal static class Engines
{
    public static readonly string[] Names = ["system", "openssl", "ipsec-mb", "bouncycastle"];

    /// <summary>Those that allocate nothing and whose memory is native.</summary>
    public static readonly string[] Native = ["openssl", "ipsec-mb"];

    /// <summary>The engine; skips where the machine lacks its library. An engine that is there and fails its self-test fails the test.</summary>
    public static CryptoEngine Open(string name)
    {
        var (_, engine, reason) = CryptoEngines.Survey().Single(found => found.Name == name);
        Assert.SkipWhen(reason is not null && !reason.Contains("self-test", StringComparison.Ordinal), $"needs crypto engine {name}: {reason}");
        Assert.True(engine is not null, reason);
        return engine;
    }
}
