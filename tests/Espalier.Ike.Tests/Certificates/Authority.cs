using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Espalier.Ike.Tests.Certificates;

/// <summary>Kind of key in a certificate.</summary>
internal enum KeyKind
{
    /// <summary>ECDSA with P-256.</summary>
    Ecdsa,

    /// <summary>RSA with 2,048 bits.</summary>
    Rsa,
}

/// <summary>A certificate and its private key, both in PEM.</summary>
internal sealed record Credential(string Identity, KeyKind Kind, string CertificatePem, string KeyPem);

/// <summary>A certification authority of the tests, made once a run, and the certificates that it has issued.</summary>
internal sealed class Authority : IDisposable
{
    private static readonly Lazy<Authority> Shared = new(() => new Authority());
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _certificate;
    private readonly Dictionary<(string, KeyKind), Credential> _issued = [];

    private Authority()
    {
        var request = new CertificateRequest("C=CH, O=Espalier tests, CN=Root", _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        _certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(7));
    }

    /// <summary>The authority of this run.</summary>
    public static Authority Instance => Shared.Value;

    /// <summary>The authority's own certificate.</summary>
    public string CertificatePem => _certificate.ExportCertificatePem();

    /// <summary>The credential of an identity, which its certificate bears as a DNS name, a mail address or an IP address: issued once, then the same.</summary>
    public Credential Issue(string identity, KeyKind kind = KeyKind.Ecdsa)
    {
        lock (_issued)
        {
            if (!_issued.TryGetValue((identity, kind), out var credential))
            {
                _issued[(identity, kind)] = credential = Make(identity, kind);
            }

            return credential;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _key.Dispose();
        _certificate.Dispose();
    }

    private Credential Make(string identity, KeyKind kind)
    {
        using AsymmetricAlgorithm key = kind == KeyKind.Rsa ? RSA.Create(2048) : ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string subject = $"C=CH, O=Espalier tests, CN={identity}";
        var request = key is RSA rsa
            ? new CertificateRequest(subject, rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            : new CertificateRequest(subject, (ECDsa)key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        if (IPAddress.TryParse(identity, out var address))
        {
            names.AddIpAddress(address);
        }
        else if (identity.Contains('@', StringComparison.Ordinal))
        {
            names.AddEmailAddress(identity);
        }
        else
        {
            names.AddDnsName(identity);
        }

        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_certificate, true, false));
        using var certificate = request.Create(
            _certificate.SubjectName, X509SignatureGenerator.CreateForECDsa(_key), _certificate.NotBefore, _certificate.NotAfter, RandomNumberGenerator.GetBytes(8));
        string pem = key is RSA ? ((RSA)key).ExportRSAPrivateKeyPem() : ((ECDsa)key).ExportECPrivateKeyPem();
        return new Credential(identity, kind, certificate.ExportCertificatePem(), pem);
    }
}
