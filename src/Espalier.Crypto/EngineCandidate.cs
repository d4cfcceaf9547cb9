using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto;

/// <summary>An engine that may or may not be had on this machine.</summary>
/// <param name="Name">As `--crypto` names it.</param>
/// <param name="Lacks">Why it cannot be had, as the end of a sentence, or null. Cheap.</param>
/// <param name="Open">Makes it, where nothing is lacking.</param>
internal sealed record EngineCandidate(string Name, Func<string?> Lacks, Func<CryptoEngine> Open);
