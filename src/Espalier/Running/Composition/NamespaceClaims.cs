using System.Globalization;
using Espalier.Io;
using Espalier.Io.Host;
using Espalier.Io.Interop;
using Espalier.Routing;

namespace Espalier.Running.Composition;

/// <summary>
/// What one `espalier run` of a network namespace has for itself: its routing tables, priorities of rules and marks, the derived ones included. Each is held by a
/// name of its own (<see cref="InstanceLock"/>), so that two instances which share but one of them do not harm each other: a packet of one's mark would pass by the
/// other's rules of the same priority.
/// </summary>
internal sealed class NamespaceClaims : IDisposable
{
    private readonly List<InstanceLock> _held = [];

    private NamespaceClaims()
    {
    }

    /// <summary>Takes all of them.</summary>
    /// <exception cref="DeviceException">Another process has one, or the kernel refuses; nothing is held then.</exception>
    internal static NamespaceClaims Take(RoutingOptions options)
    {
        var claims = new NamespaceClaims();
        try
        {
            claims.Take("table", [.. options.Tables], table => $"routing table {table}");
            claims.Take("rule-priority", [.. options.Priorities], priority => $"the priority {priority} of routing rules");
            claims.Take("mark", [.. options.Marks], mark => $"the mark 0x{mark:x}");
            return claims;
        }
        catch
        {
            claims.Dispose();
            throw;
        }
    }

    /// <summary>Gives all up.</summary>
    public void Dispose() => _held.ForEach(held => held.Dispose());

    private void Take(string kind, uint[] numbers, Func<uint, string> words)
    {
        foreach (uint number in numbers)
        {
            if (!InstanceLock.TryTake(string.Create(CultureInfo.InvariantCulture, $"espalier/{kind}/{number}"), out var held, out int errno))
            {
                throw new DeviceException(
                    errno == Errno.EADDRINUSE
                        ? $"{words(number)} belongs to another 'espalier run' of this network namespace: stop it, or choose others with --table, --rule-priority and --mark"
                        : $"cannot mark {words(number)} as ours: {Errno.Text(errno)}",
                    errno);
            }

            _held.Add(held);
        }
    }
}
