using Espalier.Io.Host;
using Espalier.Io.Interop;

namespace Espalier.Routing.Settings;

/// <summary>One setting below /proc/sys/net, of the network namespace of the calling thread.</summary>
internal static class KernelSetting
{
    private const string Root = "/proc/sys/net/";

    /// <summary>True where this kernel has IPv6 switched on at all.</summary>
    internal static bool HasIPv6 => Directory.Exists($"{Root}ipv6");

    /// <summary>The value, trimmed; null where there is no such setting or it cannot be read.</summary>
    internal static string? Read(string path)
    {
        try
        {
            return File.ReadAllText(Root + path).Trim();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The name that sysctl(8) has for it.</summary>
    internal static string Name(string path) => $"net.{path.Replace('/', '.')}";

    /// <summary>Writes a value; null, or why it could not be done (below a read-only /proc/sys, as containers have it, nothing can be).</summary>
    internal static string? Write(string path, string value)
    {
        if (Read(path) == value)
        {
            return null;
        }

        if (DeviceAccess.TryOpen(Root + path) is not 0 and int errno)
        {
            return Errno.Text(errno);
        }

        try
        {
            File.WriteAllText(Root + path, value);
            return null;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return failure.Message;
        }
    }
}
