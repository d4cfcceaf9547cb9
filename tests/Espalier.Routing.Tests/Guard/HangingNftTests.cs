using Espalier.Routing.Guard;
using Espalier.Routing.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.Routing.Tests.Guard;

/// <summary>An nft that does not answer must not hold the control thread, which reads the counters for `espalier stat`, for long.</summary>
public sealed class HangingNftTests
{
    // The answer comes after 20 s: before a write would be given up, after a service manager's watchdog has bitten.
    private const string AnswersLate = "[ \"$1\" = list ] && { sleep 20; echo 'counter in_clear { packets 5 bytes 500 }'; exit 0; }";

    [Fact]
    public void Counters_NftHangs_AreThoseReadLast()
    {
        using var host = new RoutedHost(start: false);
        host.Host.Ip("tuntap add esp0 mode tun");
        using var folder = new TemporaryFolder("nft");
        string program = folder.FilePath("nft");
        File.WriteAllText(program, $"#!/bin/sh\n{AnswersLate}\nexec nft \"$@\"\n");
        Command.Run("chmod", "755", program);
        using var guard = host.Host.Run(() => new ClearGuard(host.Options, static _ => { }, nft: program));
        Assert.True(guard.Flush(TimeSpan.FromSeconds(60)));
        Assert.Equal("on", guard.Status.Clear.ToString());

        Assert.Equal(default, host.Host.Run(guard.ReadCounters));
    }
}
