using Espalier.Ike.Tests.Certificates;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>One end of a connection.</summary>
/// <param name="Identity">IKE identity; with certificates also the name in the certificate.</param>
/// <param name="Address">Outer address; %any for peers that come from anywhere.</param>
/// <param name="Selector">Traffic selectors; null = the end's own address (or the virtual one).</param>
internal sealed record Endpoint(string Identity, string Address, string? Selector = null);

/// <summary>A connection as swanctl.conf takes it, seen from <see cref="Local"/>, with one CHILD_SA.</summary>
internal sealed record Connection(Endpoint Local, Endpoint Remote)
{
    /// <summary>Name of the IKE_SA.</summary>
    public string Name { get; init; } = "gw-gw";

    /// <summary>Name of the CHILD_SA.</summary>
    public string Child { get; init; } = "net-net";

    /// <summary>Proposals for IKE.</summary>
    public string IkeProposals { get; init; } = "aes128-sha256-x25519";

    /// <summary>Proposals for ESP.</summary>
    public string EspProposals { get; init; } = "aes128gcm128-x25519";

    /// <summary>Kind of key in the certificates; null = a pre-shared key.</summary>
    public KeyKind? Key { get; init; } = KeyKind.Ecdsa;

    /// <summary>Further lines of the connection, the same at both ends.</summary>
    public string Options { get; init; } = "mobike = no";

    /// <summary>Further lines of the child, the same at both ends.</summary>
    public string ChildOptions { get; init; } = "";

    /// <summary>Further lines of the connection at this end only.</summary>
    public string OwnOptions { get; init; } = "";

    /// <summary>Further lines of the child at this end only.</summary>
    public string OwnChildOptions { get; init; } = "";

    /// <summary>The same connection seen from the other end, without what is said of this end only.</summary>
    public Connection Mirrored => this with { Local = Remote, Remote = Local, OwnOptions = "", OwnChildOptions = "" };

    /// <summary>The connection's section.</summary>
    public string Section()
    {
        string auth = Key is null ? "psk" : "pubkey";
        return $$"""
              {{Name}} {
                version = 2
                local_addrs = {{Local.Address}}
                remote_addrs = {{Remote.Address}}
                proposals = {{IkeProposals}}
                {{Options}}
                {{OwnOptions}}
                local {
                  auth = {{auth}}
                  id = {{Local.Identity}}
                  {{(Key is null ? "" : $"certs = {Local.Identity}.pem")}}
                }
                remote {
                  auth = {{auth}}
                  {{(Remote.Identity == "%any" ? "cacerts = ca.pem" : $"id = {Remote.Identity}")}}
                }
                children {
                  {{Child}} {
                    {{(Local.Selector is null ? "" : $"local_ts = {Local.Selector}")}}
                    {{(Remote.Selector is null ? "" : $"remote_ts = {Remote.Selector}")}}
                    esp_proposals = {{EspProposals}}
                    {{ChildOptions}}
                    {{OwnChildOptions}}
                  }
                }
              }

            """;
    }
}
