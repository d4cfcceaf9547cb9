using Espalier.CommandLine;
using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Xfrm.Client;

namespace Espalier.Diagnosis.Checks;

/// <summary>A data plane that runs already.</summary>
internal static class ControlCheck
{
    internal static IEnumerable<Finding> Examine(string control)
    {
        yield return Ask(control);
    }

    private static Finding Ask(string control)
    {
        try
        {
            using var connection = new XfrmClient(control, Defaults.PatienceMilliseconds);
            connection.Probe();
            return new Finding(Severity.Note, "control", $"a data plane answers on {control}: a second one needs another --control, --tun, --encap-port, --table, --rule-priority and --mark");
        }
        catch (XfrmException refusal)
        {
            return new Finding(
                Severity.Warning, "control", $"a data plane on {control} refuses this user or network namespace: {refusal.Message}",
                "run programs in its network namespace, and allow their user with --allow-user or --allow-group");
        }
        catch (DeviceException exception)
        {
            return exception.Error is Errno.ENOENT or Errno.ECONNREFUSED
                ? new Finding(Severity.Good, "control", $"no data plane on {control} yet")
                : new Finding(Severity.Warning, "control", exception.Message);
        }
    }
}
