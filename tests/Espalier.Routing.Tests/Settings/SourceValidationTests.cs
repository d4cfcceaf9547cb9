using Espalier.Routing.Tests.Hosts;

namespace Espalier.Routing.Tests.Settings;

/// <summary>net.ipv4.conf.all.src_valid_mark: 1 while any Espalier runs, afterwards what it was before the first one came, crashes in between or not.</summary>
public sealed class SourceValidationTests
{
    private static readonly RoutingOptions Second = new() { TunnelName = "esp1", Table = 4551, Mark = 0x4551, RulePriority = 230 };

    public static TheoryData<string> Values => ["0", "1"];

    [Theory]
    [MemberData(nameof(Values))]
    public void Stop_AfterTheOnlyRun_RestoresTheValue(string before)
    {
        using var host = Host(before, new RoutingOptions { TunnelName = "esp0", UseGuard = false });

        host.Start();
        Assert.Equal("1", Value(host));
        Stop(host);

        Assert.Equal(before, Value(host));
    }

    [Theory]
    [MemberData(nameof(Values))]
    public void Stop_AfterCrashes_RestoresTheValue(string before)
    {
        using var host = Host(before);
        for (int crash = 0; crash < 2; crash++)
        {
            host.Start();
            host.Crash();
        }

        Assert.Equal("1", Value(host));
        host.Start();
        Stop(host);

        Assert.Equal(before, Value(host));
    }

    [Theory]
    [InlineData("0", true)]
    [InlineData("0", false)]
    [InlineData("1", true)]
    public void TwoInstances_TheLastToStop_RestoresTheValue(string before, bool firstStopsFirst)
    {
        using var host = Host(before);
        host.Start();
        using var second = new SecondInstance(host, Second);
        var (early, late) = firstStopsFirst ? ((Action)(() => Stop(host)), (Action)second.Dispose) : (second.Dispose, () => Stop(host));

        early();
        Assert.Equal("1", Value(host));
        late();

        Assert.Equal(before, Value(host));
    }

    [Fact]
    public void TwoInstances_OneCrashed_ItsNextStopRestoresTheValue()
    {
        using var host = Host("0");
        host.Start();
        using (new SecondInstance(host, Second))
        {
            host.Crash();
        }

        // What the crash left still counts as an instance.
        Assert.Equal("1", Value(host));
        host.Start();
        Stop(host);

        Assert.Equal("0", Value(host));
    }

    private static RoutedHost Host(string value, RoutingOptions? options = null)
    {
        var host = new RoutedHost(start: false, options);
        host.Host.Sysctl("ipv4/conf/all/src_valid_mark", value);
        return host;
    }

    private static void Stop(RoutedHost host) => host.Host.Run(host.Controller.Stop);

    private static string Value(RoutedHost host) => host.Host.Run(() => File.ReadAllText("/proc/sys/net/ipv4/conf/all/src_valid_mark").Trim());
}
