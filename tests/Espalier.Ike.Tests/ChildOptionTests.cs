using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Options of children in swanctl.conf that reach the data plane: what it can, works; what it cannot, is refused.</summary>
public sealed class ChildOptionTests
{
    [Theory]
    [InlineData("copy_df = no\n copy_ecn = no\n copy_dscp = no\n tfc_padding = 500\n replay_window = 0")]
    [InlineData("copy_dscp = yes\n tfc_padding = mtu\n replay_window = 4096\n priority = 100\n reqid = 77")]
    [InlineData("ipcomp = yes\n sha256_96 = yes\n hw_offload = auto\n replay_window = 64\n life_packets = 1000000\n life_bytes = 1000000000")]
    public void Child_WithOptions_CarriesPingBothWays(string options)
    {
        using var site = new Site(Plane.Espalier, Plane.Espalier);
        site.Connect(Site.NetToNet with { ChildOptions = options });

        site.AliceHost.Sh("ping -c 3 -i 0.02 -W 2 10.2.0.10").Expect();
        site.BobHost.Sh("ping -c 3 -i 0.02 -W 2 -s 3000 10.1.0.10").Expect();
    }

    [Theory]
    [InlineData("mark_out = 42", "Marks other than 0")]
    [InlineData("if_id_in = 7\n if_id_out = 7", "XFRM interfaces")]
    [InlineData("set_mark_out = 5", "Output marks")]
    public void Child_WithWhatEspalierLacks_IsRefusedByNameAndLeavesNothing(string options, string name)
    {
        using var site = new Site(Plane.Espalier, Plane.Espalier);
        site.Load(Site.NetToNet with { ChildOptions = options });

        Assert.NotEqual(0, site.Moon.Swanctl("--initiate --child net-net --timeout 5").ExitCode);

        // The responder installs first. charon's own log has the errno only.
        Assert.Contains($"A request was refused: {name}", site.Sun.Espalier!.Log, StringComparison.Ordinal);
        Assert.All([site.Moon.Espalier!, site.Sun.Espalier], plane =>
        {
            Assert.Empty(plane.Exec("ip xfrm state").Output);
            Assert.Empty(plane.Exec("ip xfrm policy").Output);
        });
    }
}
