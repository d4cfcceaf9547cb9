using Espalier.Routing.Settings;
using Microsoft.Extensions.Logging;

namespace Espalier.Routing.Guard;

/// <summary>Says in the log what the guard does, once for each change. Called by the guard's thread, and by the control thread once it waited for that.</summary>
internal sealed class GuardReport(SourceValidation validation, ILogger logger)
{
    private GuardStatus? _reported;

    /// <summary>Another program removed tables, or changed something of them; they are as they must be.</summary>
    internal void TellPutBack(string table, int times) => RoutingLog.GuardPutBack(logger, table, times);

    /// <summary>Takes the status of now.</summary>
    internal void Tell(GuardStatus status)
    {
        if (Interlocked.Exchange(ref _reported, status) == status)
        {
            return;
        }

        if (status.Clear.IsActive)
        {
            RoutingLog.ClearGuardOn(logger);
        }
        else
        {
            RoutingLog.ClearGuardOff(logger, status.Clear.Reason ?? "");
        }

        foreach (string reason in new[] { status.Arrival.Reason, status.Neighbors.Reason }.OfType<string>().Distinct())
        {
            RoutingLog.ArrivalMarkOff(logger, reason);
        }

        if (validation.Problem is { } problem)
        {
            RoutingLog.ValidationOff(logger, problem);
        }
    }
}
