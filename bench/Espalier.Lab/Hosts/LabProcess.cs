namespace Espalier.Lab.Hosts;

/// <summary>How this program starts itself again, and where the daemon stands that was built with it.</summary>
internal static class LabProcess
{
    /// <summary>Command and arguments that run this program.</summary>
    public static string[] Self { get; } =
        Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet"
            ? [Environment.ProcessPath!, typeof(LabProcess).Assembly.Location]
            : [Environment.ProcessPath!];

    /// <summary>The daemon beside this program, a JIT build.</summary>
    public static string Daemon { get; } = Path.Combine(AppContext.BaseDirectory, "espalier");

    /// <summary>True for the superuser of the present user namespace.</summary>
    public static bool IsRoot => Environment.IsPrivilegedProcess;
}
