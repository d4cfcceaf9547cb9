using Espalier.Testing;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>
/// libreswan's pluto on Espalier. Its package and strongSwan's cannot be installed beside each other, so tests/run unpacks it into artifacts/libreswan.
/// </summary>
internal sealed class Pluto : IDisposable
{
    private static readonly string Programs = Path.Combine(EspalierProgram.Root(), "artifacts/libreswan/usr/libexec/ipsec");

    /// <summary>pluto runs helpers by their installed paths; in the mount namespace of `ip netns exec` they are there.</summary>
    private static readonly string Mounts =
        $"mount -t tmpfs none /usr/libexec && mkdir /usr/libexec/ipsec && mount --bind {Programs} /usr/libexec/ipsec && exec \"$@\"";

    private readonly NetworkNamespace _host;
    private readonly TemporaryFolder _folder = new("pluto");
    private readonly string _role;

    /// <summary>Starts Espalier and pluto with a connection that is loaded as its <c>auto</c> says.</summary>
    public Pluto(NetworkNamespace host, string role, string connection, string secrets)
    {
        _host = host;
        _role = role;
        Directory.CreateDirectory(_folder.FilePath("nss/x")[..^2]);
        Directory.CreateDirectory(_folder.FilePath("run/x")[..^2]);
        Shell.Run($"certutil -N -d sql:{_folder.Path}/nss --empty-password").Expect();
        Configuration = _folder.Write("ipsec.conf", connection);
        _folder.Write("ipsec.secrets", secrets);
        Espalier = EspalierProgram.Start(host);
        Process = new DaemonProcess(host,
        [
            "sh", "-c", Mounts, "sh", EspalierProgram.Path, "exec", "--control", Espalier.Control, "--", $"{Programs}/pluto", "--nofork", "--stderrlog", "--use-xfrm", "--no-dnssec",
            "--config", Configuration, "--rundir", $"{_folder.Path}/run", "--ipsecdir", _folder.Path, "--nssdir", $"{_folder.Path}/nss",
            "--secretsfile", $"{_folder.Path}/ipsec.secrets",
        ]);
        try
        {
            Wait.Until(() => Process.HasExited || File.Exists(Socket), () => $"pluto's control socket\n{Process.Printed}");
            Assert.False(Process.HasExited, Process.Printed);
            // It loads its connections by a program of its own.
            Wait.Until(() => Process.HasExited || Run("whack", "--status").Output.Contains("\"net\"", StringComparison.Ordinal), () => $"pluto's connection\n{Process.Printed}");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The data plane.</summary>
    public EspalierProgram Espalier { get; }

    /// <summary>pluto.</summary>
    public DaemonProcess Process { get; }

    private string Socket => Path.Combine(_folder.Path, "run/pluto.ctl");

    private string Configuration { get; }

    /// <summary>Skips unless pluto has been unpacked.</summary>
    public static void Need()
    {
        Requirements.Need("charon-systemd", "swanctl", "certutil", "ping");
        Assert.SkipUnless(File.Exists($"{Programs}/pluto"), "needs libreswan's pluto, which tests/run unpacks into artifacts/libreswan");
    }

    /// <summary>whack or addconn, on its control socket.</summary>
    public ShellResult Run(string program, params string[] arguments) => Shell.Run(
        ["ip", "netns", "exec", _host.Name, $"{Programs}/{program}", "--ctlsocket", Socket, .. arguments]);

    /// <summary>What it says of its connections and SAs.</summary>
    public string Traffic => Run("whack", "--trafficstatus").Text;

    /// <inheritdoc/>
    public void Dispose()
    {
        Process.Dispose();
        KeptLogs.Keep($"{_role}-pluto", Process.Printed);
        if (!Espalier.Process.HasExited)
        {
            Espalier.Stop();
        }

        KeptLogs.Keep($"{_role}-espalier", Espalier.Log);
        Espalier.Dispose();
        _folder.Dispose();
    }
}
