using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto;

/// <summary>What `--crypto` led to.</summary>
/// <param name="Engine">The engine to use; it passed its self-test, unless it is `system`, which is the reference.</param>
/// <param name="Refused">Why an engine that was asked for, or would have been faster, is not used; null where none was refused.</param>
/// <param name="Faster">The name of a faster engine that is there and was not asked for, or null.</param>
public sealed record EngineChoice(CryptoEngine Engine, string? Refused, string? Faster);
