using Espalier.DataPlane;
using Espalier.Io.Netlink;
using Espalier.Running.Logging;
using Microsoft.Extensions.Logging;

namespace Espalier.Running.Composition;

/// <summary>
/// Tells the data plane the interfaces on which packets come from outside, at start and whenever they change; and that the TUN is no longer among them: it can still be read and
/// written where another program has moved it to another network namespace, but no route leads into it. Control thread.
/// </summary>
internal sealed class InterfaceFollower(DataPlaneHost dataPlane, int tunnel, Action tunnelGone, ILogger logger) : IDisposable
{
    /// <summary>How often what failed is tried again.</summary>
    internal static readonly TimeSpan RetryPeriod = TimeSpan.FromSeconds(30);

    private readonly RouteMonitor _monitor = new(ignoredProtocol: 0, RouteChanges.Links);
    private readonly RouteNetlink _netlink = new();
    private string[] _told = [];
    private bool _failed;

    /// <summary>Descriptor to poll for reading; <see cref="Follow"/> reads it.</summary>
    internal int PollDescriptor => _monitor.PollDescriptor;

    /// <summary>Lists the interfaces and tells them.</summary>
    internal void Start() => Tell();

    /// <summary>Tells the interfaces if they have changed.</summary>
    internal void Follow()
    {
        if (_monitor.Drain() != RouteChanges.None)
        {
            Tell();
        }
    }

    /// <summary>To be called every <see cref="RetryPeriod"/>.</summary>
    internal void Retry()
    {
        if (_failed)
        {
            Tell();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _monitor.Dispose();
        _netlink.Dispose();
    }

    private void Tell()
    {
        string[] problems;
        try
        {
            var links = _netlink.GetLinks();
            if (!links.Any(link => link.Index == tunnel))
            {
                tunnelGone();
            }

            dataPlane.FollowInterfaces([.. links.Where(link => !link.IsLoopback && link.Index != tunnel)]);
            problems = [.. dataPlane.SocketProblems];
        }
        catch (NetlinkException failure)
        {
            problems = [failure.Message];
        }

        _failed = problems.Length > 0;
        foreach (string problem in problems.Except(_told))
        {
            RunLog.NotReceived(logger, problem);
        }

        _told = problems;
    }
}
