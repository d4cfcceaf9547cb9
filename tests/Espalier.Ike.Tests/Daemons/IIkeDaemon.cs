using Espalier.Testing;

namespace Espalier.Ike.Tests.Daemons;

/// <summary>An IKE daemon of strongSwan, whatever steers it: vici and swanctl, or stroke and ipsec(8).</summary>
internal interface IIkeDaemon : IDisposable
{
    /// <summary>The data plane; null on kernel-libipsec.</summary>
    EspalierProgram? Espalier { get; }

    /// <summary>Starts Espalier again, after its end.</summary>
    void StartEspalier();

    /// <summary>What it has logged.</summary>
    string Log { get; }

    /// <summary>All IKE_SAs.</summary>
    IReadOnlyList<IkeSa> Sas();

    /// <summary>The only established IKE_SA.</summary>
    IkeSa Sa() => Assert.Single(Sas(), sa => sa.State == "ESTABLISHED");

    /// <summary>The installed CHILD_SAs, of all IKE_SAs.</summary>
    IReadOnlyList<ChildSa> Children() => [.. Sas().SelectMany(sa => sa.Children).Where(c => c.State == "INSTALLED")];

    /// <summary>The only installed CHILD_SA.</summary>
    ChildSa Child() => Assert.Single(Children());

    /// <summary>Terminates the IKE_SAs of a name.</summary>
    void Terminate(string ike);

    /// <summary>Stops the daemon by SIGTERM, starts it again, and gives it its configuration.</summary>
    void StopAndStart();
}
