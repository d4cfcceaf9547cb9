using System.Security.Cryptography;
using Espalier.Lab.Cli;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Quick;

/// <summary>
/// The two-minute tour: two hosts, a daemon on each, a tunnel, real traffic.
/// <code>
///  moon (this namespace)                                  sun (the agent's namespace)
///  10.1.0.1 ── esp0 ══ ESP in UDP ══ 192.168.0.1 ─veth─ 192.168.0.2 ══ esp0 ── 10.2.0.1
/// </code>
/// </summary>
internal static class QuickTour
{
    private const string MoonOuter = "192.168.0.1", SunOuter = "192.168.0.2", MoonInner = "10.1.0.1", SunInner = "10.2.0.1";
    private const int Echoes = 200, TcpLoads = 2;
    private const double HostsSeconds = 1, DaemonsSeconds = 2, KeysSeconds = 0.5, TripsSeconds = 0.5, AfterLoadSeconds = 0.5, StopSeconds = 0.5;
    private static readonly (string Name, int Size, double Rate)[] _udpLoads = [("UDP 1,300 B, 5,000/s", 1300, 5000), ("UDP 64 B, 10,000/s", 64, 10000), ("UDP 64 B, flood", 64, 0)];

    /// <summary>About how long it takes.</summary>
    public static double EstimateSeconds(double seconds) =>
        HostsSeconds + DaemonsSeconds + KeysSeconds + TripsSeconds + StopSeconds + ((TcpLoads + _udpLoads.Length) * (seconds + AfterLoadSeconds));

    /// <summary>Runs the tour inside the first host's namespace; both hosts end when <paramref name="cancellation"/> comes.</summary>
    public static async Task<QuickFindings> RunAsync(string daemon, double seconds, LabProgress progress, CancellationToken cancellation)
    {
        string folder = Directory.CreateTempSubdirectory("espalier-lab-").FullName;
        try
        {
            progress.Next("making two hosts", HostsSeconds);
            await using var moon = new LocalHost();
            await using var sun = RemoteHost.Start();
            LabLinks.CreatePair("vmoon", "vsun", await sun.ProcessIdAsync().ConfigureAwait(false));
            await moon.ConfigureAsync("vmoon", $"{MoonOuter}/24", $"{MoonInner}/16").ConfigureAwait(false);
            await sun.ConfigureAsync("vsun", $"{SunOuter}/24", $"{SunInner}/16").ConfigureAwait(false);

            return await BetweenAsync(moon, sun, daemon, folder, seconds, progress).WaitAsync(cancellation).ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<QuickFindings> BetweenAsync(ILabHost moon, ILabHost sun, string daemon, string folder, double seconds, LabProgress progress)
    {
        progress.Next("starting Espalier on both", DaemonsSeconds);
        await StartDaemonAsync(moon, daemon, Path.Combine(folder, "moon.sock")).ConfigureAwait(false);
        await StartDaemonAsync(sun, daemon, Path.Combine(folder, "sun.sock")).ConfigureAwait(false);

        progress.Next("keying the tunnel", KeysSeconds);
        await KeyAsync(moon, sun).ConfigureAwait(false);
        var findings = await TrafficAsync(moon, sun, seconds, progress).ConfigureAwait(false);

        progress.Next("stopping", StopSeconds);
        int[] exits = [await moon.StopDaemonAsync().ConfigureAwait(false), await sun.StopDaemonAsync().ConfigureAwait(false)];
        progress.End();
        return exits is [0, 0] ? findings : throw new LabException($"a daemon ended with exit code {exits.First(e => e != 0)} on SIGTERM");
    }

    private static Task StartDaemonAsync(ILabHost host, string daemon, string control) =>
        host.StartDaemonAsync([daemon, "run", "--control", control, "--tun", "esp0"], control);

    private static async Task KeyAsync(ILabHost moon, ILabHost sun)
    {
        static string Key() => Convert.ToHexString(RandomNumberGenerator.GetBytes(20)); // AES-128 and the 32-bit salt
        LabAssociation[] associations =
        [
            new(MoonOuter, SunOuter, 0x10000001, 1, Key(), UdpEncapsulated: true),
            new(SunOuter, MoonOuter, 0x10000002, 1, Key(), UdpEncapsulated: true),
        ];
        await moon.KeyAsync(associations, Policies("10.1.0.0/16", "10.2.0.0/16", MoonOuter, SunOuter)).ConfigureAwait(false);
        await sun.KeyAsync(associations, Policies("10.2.0.0/16", "10.1.0.0/16", SunOuter, MoonOuter)).ConfigureAwait(false);
    }

    private static LabPolicy[] Policies(string here, string there, string outerHere, string outerThere) =>
    [
        new(here, there, "out", outerHere, outerThere, 1),
        new(there, here, "in", outerThere, outerHere, 1),
        new(there, here, "fwd", outerThere, outerHere, 1),
    ];

    private static async Task<QuickFindings> TrafficAsync(ILabHost moon, ILabHost sun, double seconds, LabProgress progress)
    {
        progress.Next("round trips", TripsSeconds);
        int echo = await sun.StartEchoServerAsync(SunInner).ConfigureAwait(false);
        double[] trips = await moon.EchoAsync(MoonInner, SunInner, echo, Echoes).ConfigureAwait(false);
        var before = (Moon: await moon.MemoryAsync().ConfigureAwait(false), Sun: await sun.MemoryAsync().ConfigureAwait(false));

        var loads = new List<QuickLoad>();
        progress.Next("TCP moon → sun", seconds + AfterLoadSeconds);
        loads.Add(await TcpAsync("TCP, one stream", "moon → sun", moon, MoonInner, sun, SunInner, seconds).ConfigureAwait(false));
        progress.Next("TCP sun → moon", seconds + AfterLoadSeconds);
        loads.Add(await TcpAsync("TCP, one stream", "sun → moon", sun, SunInner, moon, MoonInner, seconds).ConfigureAwait(false));
        foreach (var (name, size, rate) in _udpLoads)
        {
            progress.Next($"{name}, moon → sun", seconds + AfterLoadSeconds);
            loads.Add(await UdpAsync(name, moon, sun, size, rate, seconds).ConfigureAwait(false));
        }

        QuickHost[] hosts =
        [
            new("moon", before.Moon, await moon.MemoryAsync().ConfigureAwait(false), await moon.StatAsync().ConfigureAwait(false)),
            new("sun", before.Sun, await sun.MemoryAsync().ConfigureAwait(false), await sun.StatAsync().ConfigureAwait(false)),
        ];
        return new QuickFindings("two network namespaces joined by a veth pair, AES-128-GCM in UDP", loads, trips, Echoes, hosts);
    }

    private static async Task<QuickLoad> TcpAsync(
        string name, string direction, ILabHost from, string local, ILabHost to, string remote, double seconds)
    {
        int port = await to.StartTcpSinkAsync(remote).ConfigureAwait(false);
        await from.TcpSourceAsync(local, remote, port, seconds).ConfigureAwait(false);
        return QuickLoad.Of(name, direction, await to.TcpSinkResultAsync().ConfigureAwait(false));
    }

    private static async Task<QuickLoad> UdpAsync(string name, ILabHost moon, ILabHost sun, int size, double rate, double seconds)
    {
        int port = await sun.StartUdpSinkAsync(SunInner).ConfigureAwait(false);
        var sent = await moon.UdpSourceAsync(MoonInner, SunInner, port, size, rate, seconds).ConfigureAwait(false);
        return QuickLoad.Of(name, "moon → sun", sent, await sun.UdpSinkResultAsync().ConfigureAwait(false));
    }
}
