using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text;

namespace Espalier.CommandLine;

/// <summary>What all commands agree on.</summary>
internal static class Defaults
{
    /// <summary>The control socket where neither --control nor the environment names one.</summary>
    internal const string ControlPath = "/run/espalier.sock";

    private const int LongestControlPath = 107;

    /// <summary>Environment variable that names the control socket, also for the preload library.</summary>
    internal const string ControlVariable = "ESPALIER_CONTROL";

    /// <summary>Environment variable that tells the preload library which mark the routing rules exempt.</summary>
    internal const string MarkVariable = "ESPALIER_MARK";

    /// <summary>The mark: 0x4550, "EP".</summary>
    internal const uint Mark = 0x4550;

    /// <summary>Number of the routing table.</summary>
    internal const uint Table = 4550;

    /// <summary>Preference of the routing rules: before 220, charon's.</summary>
    internal const uint RulePriority = 210;

    /// <summary>How long a command waits for an answer of the data plane.</summary>
    internal const int PatienceMilliseconds = 5000;

    /// <summary>--control of the commands that talk to a running data plane.</summary>
    internal static Option<string> ControlOption()
    {
        var option = new Option<string>("--control", "-c")
        {
            Description = "Control socket of the data plane; @NAME is an abstract one",
            HelpName = "PATH",
            DefaultValueFactory = _ => Environment.GetEnvironmentVariable(ControlVariable) is { Length: > 0 } path ? path : ControlPath,
        };
        option.Validators.Add(CheckControl);
        return option;
    }

    /// <summary>The same path for a program with another working directory.</summary>
    internal static string Absolute(string control) => control.StartsWith('@') ? control : Path.GetFullPath(control);

    // unix(7): sun_path has 108 bytes, the last of a path is zero, as is the first of an abstract name.
    private static void CheckControl(OptionResult result)
    {
        string control = result.GetValueOrDefault<string>() ?? "";
        if (control is "" or "@" || Encoding.UTF8.GetByteCount(Absolute(control)) > LongestControlPath)
        {
            result.AddError($"--control takes a path of 1 to {LongestControlPath} bytes, or @NAME, not '{control}'");
        }
    }
}
