using Espalier.CommandLine;

namespace Espalier.Running;

internal static class DaemonProgram
{
    internal static int Run(RunOptions options, TextWriter output, TextWriter error)
    {
        error.WriteLine($"espalier run: not yet {options.ControlPath} {output}");
        return ExitCodes.Failure;
    }
}
