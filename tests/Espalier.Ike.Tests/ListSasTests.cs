using System.Globalization;
using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>What `swanctl --list-sas` says of traffic is what has passed.</summary>
public sealed class ListSasTests
{
    [Theory]
    [MemberData(nameof(Pairs.All), MemberType = typeof(Pairs))]
    public void ListSas_AfterPings_ShowsPacketsBytesAndTimesOfUse(Plane moon, Plane sun)
    {
        using var site = new Site(moon, sun);
        site.Connect(Site.NetToNet);
        var own = moon == Plane.Espalier ? site.Moon : site.Sun;
        var fresh = own.Child();
        Assert.Equal((0, 0, 0, 0), (fresh.PacketsIn, fresh.PacketsOut, fresh.BytesIn, fresh.BytesOut));
        Assert.Null(fresh.UseIn);
        Assert.Null(fresh.UseOut);

        site.AliceHost.Sh("ping -c 7 -i 0.02 -W 2 -s 100 10.2.0.10").Expect();

        var used = own.Child();
        Assert.Equal((7, 7), (used.PacketsIn, used.PacketsOut));
        Assert.NotNull(used.UseIn);
        Assert.NotNull(used.UseOut);
        // As `ip -s xfrm state` counts them: outbound the ESP packet without its outer header, inbound what was in it.
        string xfrm = own.Espalier!.Exec("ip -s xfrm state").Expect().Output;
        foreach (long bytes in new[] { used.BytesIn, used.BytesOut })
        {
            Assert.InRange(bytes, 7 * 128, 7 * 220);
            Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"{bytes}(bytes), 7(packets)"), xfrm, StringComparison.Ordinal);
        }

        // Time since the last packet grows while there is none, and starts afresh with the next.
        Wait.Until(() => own.Child().UseOut >= 2, "two idle seconds are shown");
        site.AliceHost.Sh("ping -c 1 -W 2 10.2.0.10").Expect();
        Assert.True(own.Child() is { PacketsOut: 8 } again && again.UseOut < used.UseOut + 2, "the last packet is shown as the last one");
    }
}
