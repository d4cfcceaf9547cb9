using Espalier.DataPlane.Tests.Harness;
using Espalier.DataPlane.Workers;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>Which of several workers owns an SA, and policies that several count.</summary>
public sealed class SaClaimTests
{
    [Fact]
    public void TryTake_OfAnothersSa_RefusedUntilGivenBack()
    {
        var (first, second) = (new SaClaims(1, 4), new SaClaims(2, 4));
        using var association = Association();
        Assert.True(first.TryTake(association));
        Assert.True(first.TryTake(association));
        Assert.False(second.TryTake(association));
        Assert.True(second.IsEmpty);
        first.Release();
        Assert.Equal(0, association.Owner);
        Assert.True(second.TryTake(association));
        Assert.False(second.IsEmpty);
        second.Release();
    }

    [Fact]
    public void Claims_OfManyWorkersOverFewSas_ExcludeEachOtherAndEnd()
    {
        const int Workers = 4, Rounds = 20_000;
        SecurityAssociation[] associations = [Association(), Association(), Association()];
        var threads = Enumerable.Range(0, Workers).Select(worker => new Thread(() => Run(worker))).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal((ulong)(Workers * Rounds), associations.Aggregate(0ul, (sum, association) => sum + association.OutboundSequence));
        Assert.All(associations, association => Assert.Equal(association.OutboundSequence, association.Usage.Packets));
        Assert.All(associations, association => Assert.Equal(0, association.Owner));

        // As a pipeline does it: several SAs at once, given back before it waits.
        void Run(int worker)
        {
            var claims = new SaClaims(worker + 1, associations.Length);
            var random = new Random(worker);
            for (int round = 0; round < Rounds; round++)
            {
                var association = associations[random.Next(associations.Length)];
                if (!claims.TryTake(association))
                {
                    claims.Release();
                    claims.Wait(association);
                }

                association.OutboundSequence++;
                association.Usage.Packets++;
                if (round % 5 == 0)
                {
                    claims.Release();
                }
            }

            claims.Release();
        }
    }

    [Fact]
    public void PolicyUse_OfSeveralWorkers_IsExact()
    {
        const int Workers = 4, Rounds = 10_000;
        SecurityPolicy[] policies = [Policy(), Policy()];
        var threads = Enumerable.Range(0, Workers).Select(worker => new Thread(() =>
        {
            var use = new PolicyUse(isShared: true);
            for (int round = 0; round < Rounds; round++)
            {
                use.Count(policies[round / 3 % 2], 100, 7);
            }

            use.Settle(7);
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Equal((ulong)(Workers * Rounds), policies[0].Usage.Packets + policies[1].Usage.Packets);
        Assert.All(policies, policy => Assert.Equal(policy.Usage.Packets * 100, policy.Usage.Bytes));
        Assert.All(policies, policy => Assert.Equal((7ul, 7ul), (policy.Usage.UseTime, policy.Usage.LastUsed)));
    }

    private static SecurityAssociation Association() => new()
    {
        Id = new SaIdentity(new Spi(0x100), InternetAddress.Parse("192.0.2.2")),
        Source = InternetAddress.Parse("192.0.2.1"),
    };

    private static SecurityPolicy Policy() => Pair.Policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection.Out);
}
