using System.Globalization;
using Espalier.Ike.Tests.Certificates;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>
/// `ipsec start` of strongswan-starter on Espalier: charon steered by stroke from /etc/ipsec.conf. The files of /etc and /run are the test's own, by mounts in
/// the mount namespace of `ip netns exec`.
/// </summary>
internal sealed class Starter : IIkeDaemon
{
    private readonly TemporaryFolder _folder = new("starter");
    private readonly string _role;
    private readonly NetworkNamespace _host;
    private readonly string _user;

    /// <summary>Starts Espalier and starter.</summary>
    /// <param name="host">Where they run.</param>
    /// <param name="role">Name for the logs.</param>
    /// <param name="identity">Whose certificate it has.</param>
    /// <param name="ipsecConf">/etc/ipsec.conf.</param>
    /// <param name="strongSwanConf">/etc/strongswan.conf; {log} stands for the path of its log.</param>
    /// <param name="user">User that charon becomes.</param>
    public Starter(NetworkNamespace host, string role, string identity, string ipsecConf, string strongSwanConf, string user)
    {
        _role = role;
        _host = host;
        var credential = Authority.Instance.Issue(identity);
        foreach (string name in (string[])["certs", "cacerts", "private", "aacerts", "acerts", "crls", "ocspcerts", "policies"])
        {
            Directory.CreateDirectory(Path.Combine(_folder.Path, "ipsec.d", name));
        }

        _folder.Write("ipsec.conf", ipsecConf);
        _folder.Write("strongswan.conf", strongSwanConf.Replace("{log}", LogFile, StringComparison.Ordinal));
        _folder.Write($"ipsec.d/certs/{identity}.crt", credential.CertificatePem);
        _folder.Write("ipsec.d/cacerts/cacert.pem", Authority.Instance.CertificatePem);
        _folder.Write($"ipsec.d/private/{identity}.key", credential.KeyPem);
        _folder.Write("ipsec.secrets", $": ECDSA {identity}.key\n");
        _folder.Write("mounts", $$"""
            #!/bin/sh
            mount -t tmpfs none /run
            for file in ipsec.conf ipsec.secrets strongswan.conf ipsec.d; do mount --bind {{_folder.Path}}/$file /etc/$file; done
            exec "$@"

            """);
        Shell.Run(["chown", "-R", user, _folder.Path]).Expect();
        _user = user;
        StartEspalier();
        try
        {
            Process = StartDaemons();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public EspalierProgram? Espalier { get; private set; }

    /// <summary>starter; charon is its child.</summary>
    public DaemonProcess Process { get; private set; }

    /// <summary>What charon has logged.</summary>
    public string Log => File.Exists(LogFile) ? File.ReadAllText(LogFile) : "(no log)";

    /// <summary>The effective user of charon.</summary>
    public string CharonUser => Shell.Run(string.Create(CultureInfo.InvariantCulture, $"ps -o user= --ppid {Process.Id}")).Output.Trim();

    private string LogFile => Path.Combine(_folder.Path, "charon.log");

    /// <inheritdoc/>
    public void StartEspalier()
    {
        Espalier?.Dispose();
        Espalier = EspalierProgram.Start(_host, "--allow-user", _user);
    }

    /// <inheritdoc/>
    public IReadOnlyList<IkeSa> Sas() => StatusAll.Parse(Run("ipsec statusall").Expect().Output);

    /// <inheritdoc/>
    public void Terminate(string ike) => Run($"ipsec down {ike}").Expect();

    /// <inheritdoc/>
    public void StopAndStart()
    {
        Assert.True(Process.Terminate(), $"starter has not ended\n{Log}");
        Process.Dispose();
        Process = StartDaemons();
    }

    /// <summary>A command where starter runs: `ipsec up …`, `ipsec statusall`.</summary>
    public ShellResult Run(string command) => Shell.Run(
        ["nsenter", "-t", Process.Id.ToString(CultureInfo.InvariantCulture), "-m", "-n", .. command.Split(' ')]);

    /// <inheritdoc/>
    public void Dispose()
    {
        Process?.Dispose();
        KeptLogs.Keep($"{_role}-charon", $"{Process?.Printed}\n{Log}");
        if (!Espalier!.Process.HasExited)
        {
            Espalier.Stop();
        }

        KeptLogs.Keep($"{_role}-espalier", Espalier.Log);
        Espalier.Dispose();
        _folder.Dispose();
    }

    private DaemonProcess StartDaemons()
    {
        Process = new DaemonProcess(_host,
        [
            "unshare", "-m", "sh", $"{_folder.Path}/mounts", EspalierProgram.Path, "exec", "--control", Espalier!.Control, "--", "ipsec", "start", "--nofork",
        ]);
        Wait.Until(
            () => Process.HasExited || Run("ipsec statusall") is { ExitCode: 0 } status && status.Output.Contains("Connections:\n", StringComparison.Ordinal),
            () => $"charon has its connection\n{Process.Printed}\n{Log}");
        Assert.False(Process.HasExited, $"{Process.Printed}\n{Log}");
        return Process;
    }
}
