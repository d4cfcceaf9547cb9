using System.Security.Cryptography;
using Espalier.Crypto.IpsecMb;
using Espalier.Crypto.OpenSsl;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto;

/// <summary>
/// The crypto engines and the choice among them. None is used before it passed <see cref="EngineSelfTest"/>; one that cannot be had, or fails,
/// is replaced by `system`, and the choice says why. At start; any thread.
/// </summary>
public static class CryptoEngines
{
    /// <summary>The name that stands for the fastest engine that is there and passes its self-test.</summary>
    public const string Auto = "auto";

    // Fastest first, as measured (docs/crypto-engines.md).
    private static readonly EngineCandidate[] s_candidates =
    [
        new(IpsecMbEngine.EngineName, IpsecMbEngine.Lacks, static () => IpsecMbEngine.Open()),
        new(OpenSslEngine.EngineName, OpenSslEngine.Lacks, OpenSslEngine.Open),
        new(CryptoEngine.System.Name, static () => null, static () => CryptoEngine.System),
        new(CryptoEngine.BouncyCastle.Name, static () => null, static () => CryptoEngine.BouncyCastle),
    ];

    /// <summary>
    /// Why no engine can be used, as a sentence with what to do, or null: without OpenSSL's library System.Security.Cryptography does nothing, ends the process when
    /// it is asked for some things, and no engine can be tested against it.
    /// </summary>
    public static string? Lacks { get; } = AesGcm.IsSupported ? null : "OpenSSL's library is not installed: install it (libssl.so.3; Debian and Ubuntu: libssl3)";

    /// <summary>What `--crypto` takes.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [CryptoEngine.System.Name, .. s_candidates.Select(candidate => candidate.Name).Where(name => name != CryptoEngine.System.Name), Auto];

    /// <summary>The engine for a name of <see cref="Names"/>. Where the host <see cref="Lacks"/> what all need, it is one that cannot be used.</summary>
    public static EngineChoice Choose(string name) => Choose(name, s_candidates);

    /// <summary>Every engine, fastest first: itself, tested, or why it cannot be used here.</summary>
    public static IEnumerable<(string Name, CryptoEngine? Engine, string? Reason)> Survey()
    {
        foreach (var candidate in s_candidates)
        {
            yield return (candidate.Name, TryOpen(candidate, out string? reason), reason);
        }
    }

    internal static EngineChoice Choose(string name, IReadOnlyList<EngineCandidate> candidates)
    {
        string? refused = null;
        foreach (var candidate in candidates.Where(candidate => name == Auto ? candidate.Name != CryptoEngine.BouncyCastle.Name : candidate.Name == name))
        {
            if (TryOpen(candidate, out string? reason) is { } engine)
            {
                return new EngineChoice(engine, refused, name == Auto ? null : Faster(name, candidates));
            }

            // With auto, an engine that is not installed is no news.
            if (name != Auto || candidate.Lacks() is null)
            {
                refused = refused is null ? $"{candidate.Name}: {reason}" : $"{refused}; {candidate.Name}: {reason}";
            }
        }

        return new EngineChoice(CryptoEngine.System, refused, null);
    }

    private static string? Faster(string name, IReadOnlyList<EngineCandidate> candidates) =>
        candidates.TakeWhile(candidate => candidate.Name != name).FirstOrDefault(candidate => candidate.Lacks() is null)?.Name;

    private static CryptoEngine? TryOpen(EngineCandidate candidate, out string? reason)
    {
        reason = Lacks ?? candidate.Lacks();
        if (reason is not null)
        {
            return null;
        }

        try
        {
            var engine = candidate.Open();
            reason = ReferenceEquals(engine, CryptoEngine.System) ? null : EngineSelfTest.Check(engine);
            return reason is null ? engine : null;
        }
        catch (CryptographicException failure)
        {
            reason = failure.Message;
            return null;
        }
    }
}
