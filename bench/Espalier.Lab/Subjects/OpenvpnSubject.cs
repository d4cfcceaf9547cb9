using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>OpenVPN point to point over UDP, AES-128-GCM, without the kernel's data channel; certificates are made for each start.</summary>
internal sealed class OpenvpnSubject() : Subject("openvpn", "")
{
    /// <inheritdoc/>
    public override Task<string?> WhatIsMissingAsync(CancellationToken cancellation) => Task.FromResult(MissingProgram("openvpn", "openvpn"));

    /// <inheritdoc/>
    public override async Task<string> VersionAsync(CancellationToken cancellation) =>
        (await Shell.TryAsync(["openvpn", "--version"], cancellation).ConfigureAwait(false)).Output.Split('\n')[0]; // its exit code is 1

    /// <inheritdoc/>
    protected override async Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        var prints = bed.Hosts.ToDictionary(host => host, WriteCertificate);
        foreach (var (host, other) in ((NetHost, NetHost)[])[(bed.Moon, bed.Sun), (bed.Sun, bed.Moon)])
        {
            bool server = host == bed.Sun;
            string[] role = server ? ["--tls-server", "--dh", "none"] : ["--tls-client"];
            StartDaemon(
                host, options, null,
                ["openvpn", "--dev", "ovpn0", "--dev-type", "tun", "--proto", "udp", "--local", host.Outer, "--remote", other.Outer, "--port", "1194",
                    .. role, "--cert", host.File("cert.pem"), "--key", host.File("key.pem"), "--peer-fingerprint", prints[other],
                    "--data-ciphers", "AES-128-GCM", "--disable-dco", "--ifconfig", server ? "10.9.0.2" : "10.9.0.1", server ? "10.9.0.1" : "10.9.0.2",
                    "--tun-mtu", "1400", "--mssfix", "0", "--verb", "1"]);
        }

        foreach (var (host, other) in ((NetHost, NetHost)[])[(bed.Moon, bed.Sun), (bed.Sun, bed.Moon)])
        {
            await WaitForStartAsync(host, "openvpn", () => IsUpAsync(host, cancellation), cancellation).ConfigureAwait(false);
            await RouteAsync(host, other, "ovpn0", cancellation).ConfigureAwait(false);
        }
    }

    private static async Task<bool> IsUpAsync(NetHost host, CancellationToken cancellation) =>
        (await Shell.TryAsync(["ip", "-n", host.Namespace, "link", "show", "up", "dev", "ovpn0"], cancellation).ConfigureAwait(false)).Output.Length > 0;

    private static string WriteCertificate(NetHost host)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest($"CN={host.Name}", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(7));
        File.WriteAllText(host.File("cert.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(host.File("key.pem"), key.ExportPkcs8PrivateKeyPem());
        File.SetUnixFileMode(host.File("key.pem"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return string.Join(':', certificate.GetCertHash(HashAlgorithmName.SHA256).Select(b => b.ToString("X2", System.Globalization.CultureInfo.InvariantCulture)));
    }
}
