using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Testing;

namespace Espalier.Ipsec.Tests.Lifetimes;

public sealed class LifetimeClockTests : IDisposable
{
    private readonly ManualClock time = new() { Now = 1_000 };
    private readonly IpsecDatabase database;
    private readonly LifetimeClock clock;
    private readonly List<string> told = [];

    public LifetimeClockTests()
    {
        database = new IpsecDatabase { Clock = time };
        clock = new LifetimeClock(database);
    }

    public void Dispose() => clock.Dispose();

    [Fact]
    public void NothingLimited_NothingIsDue()
    {
        Add(0x100, LifetimeLimits.None);
        Assert.Null(clock.NextDue);
        Collect(ulong.MaxValue);
        Assert.Empty(told);
    }

    [Fact]
    public void AddTime_SoftThenHard_AreToldOnceEachAtTheirSecond()
    {
        var sa = Add(0x100, LifetimeLimits.None with { SoftAddSeconds = 10, HardAddSeconds = 20 });
        Assert.Equal(1_010UL, clock.NextDue);
        Collect(1_009);
        Assert.Empty(told);
        Collect(1_010);
        Assert.Equal(["soft 0x00000100"], told);
        Assert.True(sa.Dying);
        Assert.Equal(1_020UL, clock.NextDue);
        Collect(1_019);
        Collect(1_020);
        Assert.Equal(["soft 0x00000100", "hard 0x00000100"], told);
        Assert.Equal(SaState.Dead, sa.State);
        Assert.Equal(0, database.Sad.Count);
        Assert.Null(clock.NextDue);
    }

    [Fact]
    public void SoftAndHardBothPastWhenAdded_OnlyHardIsTold()
    {
        time.Now = 2_000;
        var sa = Build.Sa(0x100, addTime: 1_000, limits: LifetimeLimits.None with { SoftAddSeconds = 10, HardAddSeconds = 20 });
        database.Sad.TryAdd(sa);
        Collect(2_000);
        Assert.Equal(["hard 0x00000100"], told);
    }

    // The kernel's xfrm_timer_handler: "enter hard expire without soft expire first?! setting a new date could trigger this".
    [Fact]
    public void ClockSetPastBothLimits_SoftIsToldFirst_AndHardComesAsMuchLaterAsItWasTo()
    {
        var sa = Add(0x100, LifetimeLimits.None with { SoftAddSeconds = 100, HardAddSeconds = 130 });
        Collect(1_000_000);
        Assert.Equal(["soft 0x00000100"], told);
        Assert.Equal(SaState.Valid, sa.State);
        Assert.True(sa.Dying);
        Assert.Equal(1_000_030UL, clock.NextDue);
        Collect(1_000_029);
        Collect(1_000_030);
        Assert.Equal(["soft 0x00000100", "hard 0x00000100"], told);
    }

    [Theory]
    [InlineData(0UL, 20UL)]
    [InlineData(20UL, 20UL)]
    [InlineData(30UL, 20UL)]
    public void ClockSetPastAHardLimitWithoutAnEarlierSoftOne_HardIsTold(ulong soft, ulong hard)
    {
        Add(0x100, LifetimeLimits.None with { SoftAddSeconds = soft, HardAddSeconds = hard });
        Collect(1_000_000);
        Assert.Equal(["hard 0x00000100"], told);
    }

    [Fact]
    public void ClockSetPastTheHardLimitAfterTheSoftOne_HardIsTold()
    {
        Add(0x100, LifetimeLimits.None with { SoftAddSeconds = 10, HardAddSeconds = 20 });
        Collect(1_010);
        Collect(1_000_000);
        Assert.Equal(["soft 0x00000100", "hard 0x00000100"], told);
    }

    [Fact]
    public void DyingByBytes_SoftTimeIsNotToldAgain()
    {
        var sa = Add(0x100, LifetimeLimits.None with { SoftAddSeconds = 10, HardAddSeconds = 20 });
        sa.Dying = true;
        Collect(1_015);
        Assert.Empty(told);
        Assert.Equal(1_020UL, clock.NextDue);
    }

    [Fact]
    public void Soft_TurnsOutboundTrafficToANewerSa()
    {
        var policy = Build.Policy(template: Build.Template());
        var other = Add(0x101, LifetimeLimits.None);
        var sa = Add(0x100, LifetimeLimits.None with { SoftAddSeconds = 10 });
        Assert.Same(sa, database.Sad.Resolve(policy, Build.Flow()));
        Collect(1_010);
        Assert.Same(other, database.Sad.Resolve(policy, Build.Flow()));
    }

    [Fact]
    public void UseTime_RunsFromTheFirstUse_AlsoWhereItComesLater()
    {
        var sa = Add(0x100, LifetimeLimits.None with { HardUseSeconds = 30 });

        // Not used: looked at again, nothing told.
        Assert.Equal(1_030UL, clock.NextDue);
        Collect(1_030);
        Assert.Equal(1_060UL, clock.NextDue);
        sa.Usage.UseTime = 1_055;
        Collect(1_060);
        Assert.Equal(1_085UL, clock.NextDue);
        Collect(1_084);
        Assert.Empty(told);
        Collect(1_085);
        Assert.Equal(["hard 0x00000100"], told);
    }

    [Fact]
    public void LarvalSa_TimesOutByItsHardLimit()
    {
        var larval = Build.Sa(0, state: SaState.Larval, addTime: 1_000, sequence: 3, limits: LifetimeLimits.None with { HardAddSeconds = 30 });
        database.Sad.TryAdd(larval);
        Collect(1_030);
        Assert.Equal(["hard 0x00000000"], told);
        Assert.Null(database.Sad.FindLarval(3));
    }

    [Fact]
    public void RemovedByHand_IsNotTold()
    {
        var sa = Add(0x100, LifetimeLimits.None with { HardAddSeconds = 20 });
        database.Sad.Remove(sa);
        Assert.Null(clock.NextDue);
        Collect(2_000);
        Assert.Empty(told);
    }

    [Fact]
    public void Reschedule_NewLimits_Count()
    {
        var sa = Add(0x100, LifetimeLimits.None with { HardAddSeconds = 20 });
        sa.Limits = LifetimeLimits.None with { HardAddSeconds = 50 };
        clock.Reschedule(sa);
        Assert.Equal(1_050UL, clock.NextDue);
        sa.Limits = LifetimeLimits.None;
        clock.Reschedule(sa);
        Assert.Null(clock.NextDue);
        sa.Limits = LifetimeLimits.None with { HardAddSeconds = 5 };
        clock.Reschedule(sa);
        Collect(1_005);
        Assert.Equal(["hard 0x00000100"], told);
        clock.Reschedule(sa);
        Assert.Null(clock.NextDue);
    }

    [Fact]
    public void Policies_LimitedByUse_EndWhenIdleSinceTheLastPacketOrTheStart()
    {
        // xfrm_policy_timer: use_time of a policy is its last use, and where there was none its add_time counts.
        var used = IdlePolicy("10.1.0.0/16");
        IdlePolicy("10.2.0.0/16");
        used.Usage.UseTime = 1_000;
        used.Usage.LastUsed = 1_015;
        Assert.Equal(1_010UL, clock.NextDue);
        Collect(1_019);
        Assert.Equal(["soft policy"], told);
        Collect(1_020);
        Assert.Equal([used], database.Spd.Policies);
        used.Usage.LastUsed = 1_030;
        Collect(1_049);
        Assert.Equal([used], database.Spd.Policies);
        Collect(1_050);
        Assert.Equal(["soft policy", "hard policy", "soft policy", "hard policy"], told);
        Assert.Empty(database.Spd.Policies);
    }

    private SecurityPolicy IdlePolicy(string source)
    {
        var policy = new SecurityPolicy
        {
            Selector = Build.Selector(source, "10.0.0.0/8"),
            Direction = PolicyDirection.Out,
            Priority = 1,
            Limits = LifetimeLimits.None with { SoftUseSeconds = 10, HardUseSeconds = 20 },
        };
        policy.Usage.AddTime = 1_000;
        database.Spd.TryAdd(policy);
        return policy;
    }

    [Fact]
    public void Policies_SoftOnceThenRemoved()
    {
        var policy = new SecurityPolicy
        {
            Selector = Build.Selector("10.0.0.0/8", "10.0.0.0/8"),
            Direction = PolicyDirection.Out,
            Priority = 1,
            Limits = LifetimeLimits.None with { SoftAddSeconds = 10, HardAddSeconds = 20 },
        };
        policy.Usage.AddTime = 1_000;
        database.Spd.TryAdd(policy);
        Collect(1_010);
        Collect(1_011);
        Assert.True(policy.SoftExpired);
        Collect(1_020);
        Assert.Equal(["soft policy", "hard policy"], told);
        Assert.Empty(database.Spd.Policies);
    }

    [Fact]
    public void WhatWasThereBefore_IsWatched()
    {
        var other = new IpsecDatabase { Clock = time };
        other.Sad.TryAdd(Build.Sa(0x100, addTime: 1_000, limits: LifetimeLimits.None with { HardAddSeconds = 20 }));
        using var late = new LifetimeClock(other);
        Assert.Equal(1_020UL, late.NextDue);
    }

    [Fact]
    public void LimitNearTheEndOfTime_IsNever()
    {
        Add(0x100, LifetimeLimits.None with { HardAddSeconds = ulong.MaxValue, SoftAddSeconds = ulong.MaxValue - 5 });
        Assert.Null(clock.NextDue);
    }

    [Fact]
    public void LostEvent_SaPastItsByteLimit_IsCollectedAllTheSame()
    {
        var sa = Add(0x100, LifetimeLimits.None);
        var kept = Add(0x101, LifetimeLimits.None);
        sa.State = SaState.Expired;
        while (database.Events.TryPost(default))
        {
        }

        Assert.Equal(0UL, clock.NextDue);
        Collect(1_000);
        Assert.Equal(["hard 0x00000100"], told);
        Assert.Equal([kept], database.Sad.All);
        Assert.Null(clock.NextDue);
    }

    [Fact]
    public void Callback_MayChangeTheDatabase()
    {
        for (uint i = 0; i < 10; i++)
        {
            Add(0x100 + i, LifetimeLimits.None with { HardAddSeconds = 20 });
        }

        uint next = 0x200;
        clock.CollectDue(1_020, (sa, hard) =>
        {
            told.Add($"{sa.Id.Spi}");
            if (database.Sad.All.FirstOrDefault(other => other.Id.Spi.Value < 0x200) is { } another)
            {
                database.Sad.Remove(another);
            }

            Add(next++, LifetimeLimits.None with { HardAddSeconds = 100 });
        });
        Assert.Equal(5, told.Count);
        Assert.Equal(5, database.Sad.Count);
        Assert.Equal(1_100UL, clock.NextDue);
    }

    [Fact]
    public void TenThousand_AddedAndRemovedOverAndOver_KeepTheHeapSmallAndInOrder()
    {
        for (uint round = 0; round < 5; round++)
        {
            for (uint i = 0; i < 10_000; i++)
            {
                Add(0x1000 + i, LifetimeLimits.None with { HardAddSeconds = 10 + (i % 977) });
            }

            if (round < 4)
            {
                foreach (var sa in database.Sad.All)
                {
                    database.Sad.Remove(sa);
                }
            }
        }

        Assert.True(clock.QueueLength <= 20_064, $"{clock.QueueLength} entries");
        int expected = 0;
        for (ulong now = 1_000; now < 2_000; now += 7)
        {
            expected += database.Sad.All.Count(sa => 1_000 + sa.Limits.HardAddSeconds <= now);
            Collect(now);
            Assert.Equal(expected, told.Count);
        }

        Assert.Equal(10_000, told.Count);
    }

    private SecurityAssociation Add(uint spi, LifetimeLimits limits)
    {
        var sa = Build.Sa(spi, addTime: 1_000, limits: limits);
        Assert.True(database.Sad.TryAdd(sa));
        return sa;
    }

    private void Collect(ulong now)
    {
        time.Now = Math.Min(now, 1UL << 32);
        clock.CollectDue(
            now, (sa, hard) => told.Add($"{(hard ? "hard" : "soft")} {sa.Id.Spi}"), (_, hard) => told.Add($"{(hard ? "hard" : "soft")} policy"));
    }
}
