using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>No tunnel: the inner networks are routed over the veth pair.</summary>
internal sealed class DirectSubject() : Subject("direct", "")
{
    /// <inheritdoc/>
    public override string Crypto => "none";

    /// <inheritdoc/>
    public override bool HasProcesses => false;

    /// <inheritdoc/>
    public override Task<string?> WhatIsMissingAsync(CancellationToken cancellation) => Task.FromResult<string?>(null);

    /// <inheritdoc/>
    protected override async Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        await bed.Moon.IpAsync($"route add {bed.Sun.InnerPrefix} via {bed.Sun.Outer} src {bed.Moon.Inner}", cancellation).ConfigureAwait(false);
        await bed.Sun.IpAsync($"route add {bed.Moon.InnerPrefix} via {bed.Moon.Outer} src {bed.Sun.Inner}", cancellation).ConfigureAwait(false);
    }
}
