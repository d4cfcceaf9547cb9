using Espalier.Ike.Tests.Certificates;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>
/// An unmodified charon-systemd in a namespace, on Espalier's published daemon or on kernel-libipsec, with its own configuration, credentials and vici
/// socket; steered by swanctl.
/// </summary>
internal sealed class Charon : IIkeDaemon
{
    private readonly CharonOptions _options;
    private readonly TemporaryFolder _folder;
    private readonly string _role;

    /// <summary>Starts Espalier, where it is the plane, and charon.</summary>
    public Charon(NetworkNamespace host, string role, Plane plane, CharonOptions? options = null)
    {
        Host = host;
        Plane = plane;
        _role = role;
        _options = options ?? new CharonOptions();
        _folder = new TemporaryFolder(role);
        foreach (string name in (string[])["x509", "x509ca", "private"])
        {
            Directory.CreateDirectory(Path.Combine(_folder.Path, "swanctl", name));
        }

        _folder.Write("strongswan.conf", StrongSwanConfiguration.Text(_folder.Path, plane, _options));
        if (_options.User is { } user)
        {
            Shell.Run(["chown", "-R", user, _folder.Path]).Expect();
        }

        try
        {
            if (plane == Plane.Espalier)
            {
                StartEspalier();
            }

            Process = StartCharon();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where it runs.</summary>
    public NetworkNamespace Host { get; }

    /// <summary>Who does ESP.</summary>
    public Plane Plane { get; }

    /// <summary>charon.</summary>
    public DaemonProcess Process { get; private set; }

    /// <summary>The data plane; null on kernel-libipsec.</summary>
    public EspalierProgram? Espalier { get; private set; }

    /// <summary>The TUN that the tunnel's traffic goes through.</summary>
    public string Tun => Plane == Plane.Espalier ? "esp0" : "ipsec0";

    /// <summary>What charon has logged.</summary>
    public string Log => File.Exists(LogFile) ? File.ReadAllText(LogFile) : Process?.Printed ?? "";

    private string LogFile => Path.Combine(_folder.Path, "charon.log");

    private string Vici => Path.Combine(_folder.Path, "vici");

    /// <summary>Starts Espalier again, after a stop or a kill.</summary>
    public void StartEspalier()
    {
        Espalier?.Dispose();
        Espalier = null;
        Espalier = EspalierProgram.Start(Host, [.. _options.EspalierOptions, .. _options.User is { } user ? (string[])["--allow-user", user] : []]);
    }

    /// <summary>Starts charon again, after its end.</summary>
    public void Restart()
    {
        Process.Dispose();
        File.Delete(Vici);
        Process = StartCharon();
    }

    /// <inheritdoc/>
    public void StopAndStart()
    {
        Assert.True(Process.Terminate(), $"charon has not ended\n{Log}");
        Restart();
        Reload();
    }

    /// <summary>Writes swanctl.conf and credentials, and loads them.</summary>
    /// <param name="connections">The connections.</param>
    /// <param name="rest">Further sections: pools, secrets.</param>
    public void Load(IReadOnlyList<Connection> connections, string rest = "")
    {
        foreach (var connection in connections.Where(c => c.Key is not null))
        {
            var credential = Authority.Instance.Issue(connection.Local.Identity, connection.Key!.Value);
            _folder.Write($"swanctl/x509/{credential.Identity}.pem", credential.CertificatePem);
            _folder.Write($"swanctl/private/{credential.Identity}.pem", credential.KeyPem);
            _folder.Write("swanctl/x509ca/ca.pem", Authority.Instance.CertificatePem);
        }

        _folder.Write("swanctl/swanctl.conf", $$"""
            connections {
            {{string.Concat(connections.Select(c => c.Section()))}}
            }
            secrets {
              ike {
                secret = "0123456789abcdef"
              }
            }
            {{rest}}
            """);
        Swanctl("--load-all").Expect();
    }

    /// <summary>Loads a single connection.</summary>
    public void Load(Connection connection, string rest = "") => Load([connection], rest);

    /// <summary>Loads what was loaded before: after a restart.</summary>
    public void Reload() => Swanctl("--load-all").Expect();

    /// <summary>swanctl with arguments split at blanks.</summary>
    public ShellResult Swanctl(string arguments, int seconds = 30) => Shell.Run(
        ["ip", "netns", "exec", Host.Name, "env", $"SWANCTL_DIR={_folder.Path}/swanctl", $"STRONGSWAN_CONF={_folder.Path}/strongswan.conf",
            "swanctl", .. arguments.Split(' '), "--uri", $"unix://{Vici}"], seconds);

    /// <summary>Initiates a CHILD_SA, and its IKE_SA where there is none.</summary>
    public void Initiate(string child) => Swanctl($"--initiate --child {child} --timeout 10").Expect();

    /// <summary>Terminates an IKE_SA.</summary>
    public void Terminate(string ike) => Swanctl($"--terminate --ike {ike} --timeout 10").Expect();

    /// <summary>Rekeys the CHILD_SA and waits until only a new one is left.</summary>
    public void RekeyChild(string name = "net-net")
    {
        string before = Child().SpiIn;
        Swanctl($"--rekey --child {name}").Expect();
        Wait.Until(() => Children() is [var child] && child.SpiIn != before, () => $"one new CHILD_SA\n{Log}", 20);
    }

    /// <summary>Rekeys the IKE_SA and waits until only a new one is left.</summary>
    public void RekeyIke(string name = "gw-gw")
    {
        string before = Sa().UniqueId;
        Swanctl($"--rekey --ike {name}").Expect();
        Wait.Until(() => Sas() is [{ State: "ESTABLISHED" } sa] && sa.UniqueId != before, () => $"one new IKE_SA\n{Log}", 20);
    }

    /// <summary>All IKE_SAs.</summary>
    public IReadOnlyList<IkeSa> Sas() => IkeSa.Parse(Swanctl("--list-sas --raw").Expect().Output);

    /// <summary>The only established IKE_SA.</summary>
    public IkeSa Sa() => Assert.Single(Sas(), sa => sa.State == "ESTABLISHED");

    /// <summary>The installed CHILD_SAs, of all IKE_SAs.</summary>
    public IReadOnlyList<ChildSa> Children() => [.. Sas().SelectMany(sa => sa.Children).Where(c => c.State == "INSTALLED")];

    /// <summary>The only installed CHILD_SA.</summary>
    public ChildSa Child() => Assert.Single(Children());

    /// <inheritdoc/>
    public void Dispose()
    {
        Process?.Dispose();
        KeptLogs.Keep($"{_role}-charon", Log);
        if (Espalier is not null)
        {
            if (!Espalier.Process.HasExited)
            {
                Espalier.Stop();
            }

            KeptLogs.Keep($"{_role}-espalier", Espalier.Log);
            Espalier.Dispose();
        }

        _folder.Dispose();
    }

    private DaemonProcess StartCharon()
    {
        string[] exec = Espalier is null ? [] : [EspalierProgram.Path, "exec", "--control", Espalier.Control, "--"];
        var process = new DaemonProcess(Host, ["env", $"STRONGSWAN_CONF={_folder.Path}/strongswan.conf", .. exec, Requirement.Find("charon-systemd")!]);
        try
        {
            Wait.Until(() => process.HasExited || File.Exists(Vici), () => $"charon's vici socket\n{process.Printed}\n{Log}");
            Assert.False(process.HasExited, $"charon has ended\n{process.Printed}\n{Log}");
            return process;
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }
}
