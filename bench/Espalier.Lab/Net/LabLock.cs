using Espalier.Lab.Hosts;

namespace Espalier.Lab.Net;

/// <summary>
/// One lab at a time: two would take each other's processors, and the second would take the first one's size of socket buffers for the host's own. The kernel
/// gives the lock back when a lab ends, however it does.
/// </summary>
internal static class LabLock
{
    /// <summary>The file that is locked.</summary>
    public const string Path = "/run/espalier-lab.lock";

    /// <summary>Takes it, or throws with one line. <paramref name="beside"/>: shares it with others that do, and does without where it is not to be had.</summary>
    public static IDisposable? Take(bool beside)
    {
        try
        {
            return beside
                ? new FileStream(Path, FileMode.OpenOrCreate, FileAccess.Read, FileShare.Read)
                : new FileStream(Path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException) when (beside)
        {
            return null;
        }
        catch (IOException exception) when (File.Exists(Path))
        {
            throw new LabException($"another lab is measuring on this machine, and two disturb each other: try again when it has ended (it holds {Path})", exception);
        }
    }
}
