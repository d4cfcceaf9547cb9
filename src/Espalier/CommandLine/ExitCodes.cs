namespace Espalier.CommandLine;

/// <summary>Exit codes of every command; `espalier exec` ends with its program's own.</summary>
internal static class ExitCodes
{
    /// <summary>Done.</summary>
    internal const int Success = 0;

    /// <summary>It could not be done; one line on standard error says why and what to do.</summary>
    internal const int Failure = 1;

    /// <summary>Bad option or argument.</summary>
    internal const int Usage = 2;

    /// <summary>`run` ended because of an error of its own (a bug); the log says which.</summary>
    internal const int Internal = 70;

    /// <summary>`exec`: itself failed before the program, as env(1) has it.</summary>
    internal const int ExecFailed = 125;

    /// <summary>`exec`: the program was found but cannot be run.</summary>
    internal const int ProgramNotExecutable = 126;

    /// <summary>`exec`: the program was not found.</summary>
    internal const int ProgramNotFound = 127;
}
