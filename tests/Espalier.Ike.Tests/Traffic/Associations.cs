using Espalier.Testing;

namespace Espalier.Ike.Tests.Traffic;

/// <summary>SAs as `espalier stat` shows them.</summary>
internal static class Associations
{
    /// <summary>Packets of the SA with an SPI as swanctl prints it.</summary>
    public static long Packets(EspalierProgram daemon, string spi) =>
        (long)daemon.Stat()["associations"]!.AsArray().Single(sa => SameSpi((string)sa!["spi"]!, spi))!["packets"]!;

    /// <summary>How many there are that packets may use; without those that only say that an IKE daemon has been asked.</summary>
    public static int Count(EspalierProgram daemon) => daemon.Stat()["associations"]!.AsArray().Count(sa => (string)sa!["state"]! == "valid");

    /// <summary>There is one with an SPI as swanctl prints it.</summary>
    public static bool Contains(EspalierProgram daemon, string spi) => daemon.Stat()["associations"]!.AsArray().Any(sa => SameSpi((string)sa!["spi"]!, spi));

    private static bool SameSpi(string shown, string spi) => Convert.ToUInt32(shown.Replace("0x", "", StringComparison.Ordinal), 16) == Convert.ToUInt32(spi, 16);
}
