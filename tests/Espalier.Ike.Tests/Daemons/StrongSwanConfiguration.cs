using System.Globalization;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>Who does ESP for an IKE daemon.</summary>
public enum Plane
{
    /// <summary>The published daemon, through `espalier exec`.</summary>
    Espalier,

    /// <summary>strongSwan's own kernel-libipsec.</summary>
    Libipsec,
}

/// <summary>What differs between the strongSwan daemons of the tests.</summary>
internal sealed record CharonOptions
{
    /// <summary>Further lines for the daemon's section of strongswan.conf.</summary>
    public string Settings { get; init; } = "";

    /// <summary>Further plugins to load.</summary>
    public string Load { get; init; } = "";

    /// <summary>Further lines for its plugins section.</summary>
    public string Plugins { get; init; } = "";

    /// <summary>Options of `espalier run`.</summary>
    public IReadOnlyList<string> EspalierOptions { get; init; } = [];

    /// <summary>User that charon becomes; null = stays root.</summary>
    public string? User { get; init; }
}

/// <summary>strongswan.conf of a test's charon-systemd.</summary>
internal static class StrongSwanConfiguration
{
    /// <summary>What docs/strongswan.md asks for: charon neither looks for routes in Espalier's tables nor takes the TUN for a way to the peer.</summary>
    private const string ForEspalier = "interfaces_ignore = esp0\n  ignore_routing_tables = 4550 70086 135622";

    private const string Crypto =
        "random nonce openssl pem pkcs1 pkcs8 x509 pubkey constraints revocation curve25519 aes des sha1 sha2 md5 hmac gcm ccm ctr chapoly xcbc cmac kdf gmp";

    /// <summary>The file's text.</summary>
    public static string Text(string folder, Plane plane, CharonOptions options) => string.Create(CultureInfo.InvariantCulture, $$"""
        charon-systemd {
          load = {{Crypto}} {{(plane == Plane.Libipsec ? "kernel-libipsec" : "")}} kernel-netlink socket-default vici updown {{options.Load}}
          {{(plane == Plane.Espalier ? ForEspalier : "")}}
          {{(options.User is null ? "" : $"user = {options.User}\n  group = nogroup")}}
          # Retransmissions after 0.5, 1, 2 s: the hosts stand beside each other.
          retransmit_timeout = 0.5
          retransmit_base = 2
          retransmit_tries = 3
          {{options.Settings}}
          plugins {
            vici {
              socket = unix://{{folder}}/vici
            }
            {{options.Plugins}}
          }
          filelog {
            file {
              path = {{folder}}/charon.log
              default = 1
              knl = 2
              flush_line = yes
              time_format = %H:%M:%S
              time_add_ms = yes
            }
          }
          journal {
            default = -1
          }
        }
        """);
}
