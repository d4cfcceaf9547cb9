namespace Espalier.Io.Tun;

/// <summary>An offload that the kernel refused to a TUN.</summary>
/// <param name="Rung">The kernel's name for what was asked.</param>
/// <param name="Error">The errno.</param>
/// <param name="Consequence">What is done instead, as the end of a sentence.</param>
public readonly record struct TunRefusal(string Rung, int Error, string Consequence);
