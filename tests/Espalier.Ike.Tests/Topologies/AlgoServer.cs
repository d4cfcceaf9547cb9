using System.Text.RegularExpressions;
using Espalier.Ike.Tests.Daemons;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Topologies;

/// <summary>docs/algo.md as written, as the gateway of <see cref="RoadWarriors"/>: strongswan.conf, ipsec.conf and the firewall.</summary>
internal static class AlgoServer
{
    /// <summary>Name of its connection, for `ipsec down`: all IKE_SAs of it.</summary>
    public const string AllOfIt = "ikev2-pubkey[*]";

    /// <summary>The resolver's address, on the gateway's loopback.</summary>
    public const string Resolver = "172.16.0.1";

    /// <summary>Its address, which is its identity, too.</summary>
    public const string Address = "192.0.2.1";

    /// <summary>What Algo's clients propose.</summary>
    public static Connection Client => RoadWarriors.Warrior with
    {
        IkeProposals = "aes256gcm16-prfsha512-ecp384",
        EspProposals = "aes256gcm16-ecp384",
        Options = "mobike = yes\n    dpd_delay = 35s",
    };

    /// <summary>Starts it.</summary>
    /// <param name="net">Where.</param>
    /// <param name="changes">Keys of ipsec.conf that have another value than the document's.</param>
    /// <param name="settings">Further lines for charon in strongswan.conf.</param>
    /// <param name="firewall">With its firewall.</param>
    public static Starter Start(RoadWarriors net, IEnumerable<(string Key, string Value)>? changes = null, string settings = "", bool firewall = true)
    {
        Assert.SkipUnless(File.Exists("/usr/lib/ipsec/starter") && File.Exists("/usr/lib/ipsec/charon"), "needs strongswan-starter and strongswan-charon");
        net.MoonHost.Ip($"addr add {Resolver}/32 dev lo");
        if (firewall)
        {
            net.Load(net.MoonHost, Block("nftables"));
        }

        string configuration = Block("ipsec.conf");
        foreach (var (key, value) in changes ?? [])
        {
            configuration = Regex.Replace(configuration, $@"\n    {key}=[^\n]*", "").Replace("conn %default\n", $"conn %default\n    {key}={value}\n", StringComparison.Ordinal);
        }

        return net.Own(new Starter(net.MoonHost, "moon", Address, configuration, Logged(Block("strongswan.conf"), settings), "strongswan"));
    }

    /// <summary>A block of docs/algo.md by its language.</summary>
    public static string Block(string language)
    {
        string text = File.ReadAllText(Path.Combine(EspalierProgram.Root(), "docs/algo.md"));
        string rest = text.Split($"```{language}\n")[1];
        return rest[..rest.IndexOf("```", StringComparison.Ordinal)];
    }

    /// <summary>With a log that the test keeps; {log} is its path.</summary>
    private static string Logged(string configuration, string settings) => configuration + $$"""

        charon {
          {{settings}}
          filelog {
            file {
              path = {log}
              default = 1
              knl = 2
              flush_line = yes
            }
          }
        }

        """;
}
