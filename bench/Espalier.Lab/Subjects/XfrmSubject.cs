using Espalier.Lab.Net;

namespace Espalier.Lab.Subjects;

/// <summary>The kernel's own ESP, where the running kernel has it.</summary>
internal sealed class XfrmSubject() : Subject("xfrm", "")
{
    /// <inheritdoc/>
    public override bool HasProcesses => false;

    /// <inheritdoc/>
    public override bool Scales => true;

    /// <summary>Found by trying, in a namespace of its own.</summary>
    public override async Task<string?> WhatIsMissingAsync(CancellationToken cancellation)
    {
        string name = $"{Leftovers.Stem}{Environment.ProcessId}-try";
        await Shell.RunAsync($"ip netns add {name}", cancellation).ConfigureAwait(false);
        try
        {
            var tried = await Shell.TryAsync(
                ["ip", "-n", name, "xfrm", "state", "add", "src", "192.0.2.1", "dst", "192.0.2.2", "proto", "esp", "spi", "0x1000", "mode", "tunnel",
                    "aead", "rfc4106(gcm(aes))", "0x" + new string('1', 40), "128"], cancellation).ConfigureAwait(false);
            return tried.ExitCode == 0 ? null : $"this kernel has no ESP with AES-GCM (ip xfrm state add: {tried.OneLine}): modprobe esp4 xfrm_user gcm, or boot a kernel that has them";
        }
        finally
        {
            await Leftovers.RemoveNamespaceAsync(name).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    protected override async Task StartDaemonsAsync(Testbed bed, StartOptions options, CancellationToken cancellation)
    {
        var keys = new XfrmKeys(options.Associations);
        await bed.Moon.IpBatchAsync(keys.Lines(bed.Moon, bed.Sun, encapsulated: false), cancellation).ConfigureAwait(false);
        await bed.Sun.IpBatchAsync(keys.Lines(bed.Sun, bed.Moon, encapsulated: false), cancellation).ConfigureAwait(false);
        await bed.Moon.IpAsync($"route add {bed.Sun.InnerPrefix} via {bed.Sun.Outer} src {bed.Moon.Inner}", cancellation).ConfigureAwait(false);
        await bed.Sun.IpAsync($"route add {bed.Moon.InnerPrefix} via {bed.Moon.Outer} src {bed.Sun.Inner}", cancellation).ConfigureAwait(false);
    }
}
