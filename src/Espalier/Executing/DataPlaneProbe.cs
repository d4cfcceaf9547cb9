using Espalier.CommandLine;
using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Xfrm.Client;

namespace Espalier.Executing;

/// <summary>Asks whether the data plane would serve a program of this user.</summary>
internal static class DataPlaneProbe
{
    /// <summary>
    /// The mark that the data plane exempts (null: the default), and null; or, where it does not serve, a line that says why and what to do.
    /// </summary>
    internal static (uint? Mark, string? Absence) Ask(string control)
    {
        try
        {
            using var connection = new XfrmClient(control, Defaults.PatienceMilliseconds);
            return (connection.Probe(), null);
        }
        catch (XfrmException refusal)
        {
            return (null, $"the data plane at {control} refuses: {refusal.Message} ({Errno.Text(refusal.Error)})");
        }
        catch (DeviceException absence)
        {
            return (null, $"no data plane: {absence.Message}");
        }
    }
}
