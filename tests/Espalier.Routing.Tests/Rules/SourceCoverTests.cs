using CsCheck;
using Espalier.Routing.Rules;
using Espalier.Wire.Addresses;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests.Rules;

public sealed class SourceCoverTests
{
    private readonly SourceCover _cover = new(IpVersion.IPv4);

    [Fact]
    public void Prefix_InsideAnother_NeedsNoRule()
    {
        Assert.True(_cover.Add(Net("10.0.0.0/8")));
        Assert.False(_cover.Add(Net("10.1.0.0/16")));

        Assert.Equal([Net("10.0.0.0/8")], _cover.Prefixes);
    }

    [Fact]
    public void Prefix_AroundOthers_TakesTheirPlace()
    {
        _cover.Add(Net("10.1.0.0/16"));
        _cover.Add(Net("10.2.0.0/16"));
        _cover.Add(Net("10.0.0.0/8"));

        Assert.Equal([Net("10.0.0.0/8")], _cover.Prefixes);
    }

    [Fact]
    public void Prefixes_MoreThanEight_BecomeOne()
    {
        for (int i = 0; i < 9; i++)
        {
            _cover.Add(Net($"10.{2 * i}.0.0/16"));
        }

        Assert.Equal([AddressPrefix.AllIPv4], _cover.Prefixes);
        _cover.Remove(Net("10.0.0.0/16"));
        Assert.True(_cover.IsStale);
        Assert.True(_cover.Recompute());
        Assert.Equal(8, _cover.Prefixes.Count);
    }

    [Fact]
    public void Prefix_CountedTwice_StaysUntilTheSecondRemoval()
    {
        _cover.Add(Net("10.1.0.0/16"));
        _cover.Add(Net("10.1.2.3/16"));
        _cover.Remove(Net("10.1.0.0/16"));
        Assert.False(_cover.IsStale);

        _cover.Remove(Net("10.1.0.0/16"));
        _cover.Recompute();

        Assert.Empty(_cover.Prefixes);
    }

    [Fact]
    public void Cover_AnySequence_CoversExactlyWhatIsThere() =>
        Gen.Select(Gen.Int[0, 15], Gen.Int[28, 32], Gen.Bool).List[0, 60].Sample(steps =>
        {
            var cover = new SourceCover(IpVersion.IPv4);
            List<AddressPrefix> model = [];
            foreach (var (number, length, adds) in steps)
            {
                var prefix = new AddressPrefix(new InternetAddress(IpVersion.IPv4, (UInt128)(uint)number), length).Canonical;
                if (adds)
                {
                    cover.Add(prefix);
                    model.Add(prefix);
                }
                else if (model.Remove(prefix))
                {
                    cover.Remove(prefix);
                }

                Assert.All(model, wanted => Assert.Contains(cover.Prefixes, rule => rule.Length <= wanted.Length && rule.Contains(wanted.Address)));
                Assert.True(cover.Prefixes.Count <= SourceCover.LargestCover);
            }

            cover.Recompute();
            bool isAll = cover.Prefixes is [{ Length: 0 }];
            Assert.True(isAll || cover.Prefixes.All(model.Contains));
        });
}
