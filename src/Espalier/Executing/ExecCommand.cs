using System.CommandLine;
using System.CommandLine.Parsing;
using Espalier.CommandLine;
using Espalier.Io.Interop;
using Espalier.Io.Processes;

namespace Espalier.Executing;

/// <summary>`espalier exec`: runs a program whose XFRM sockets lead to the data plane.</summary>
internal static class ExecCommand
{
    private const string Notes = """
        The program replaces this one: same process id, same exit code. It gets two environment variables, which its
        children inherit:
          ESPALIER_CONTROL    the control socket
          LD_PRELOAD          libespalier-xfrm.so, found beside this executable, before what stood there
        Only a socket(AF_NETLINK, …, NETLINK_XFRM) and what is done with it changes; all else is the kernel's. No effect on
        statically linked programs, programs that make system calls themselves (Go), and set-user-ID programs.

        If no data plane answers, one line on standard error says why, and the program runs all the same: opening an XFRM
        socket then fails with 'Protocol not supported', as on a kernel without XFRM. A data plane that is started again
        later is found by programs that run: they attach at their next request.

        Examples:
          espalier exec -- ip xfrm state
          espalier exec -- ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel
          espalier exec -- ip xfrm monitor
          espalier exec -- charon-systemd
          espalier exec --control /run/espalier-b.sock -- swanctl --load-all

        Exit codes: the program's own; 125 if this command fails before it, 126 if the program cannot be run, 127 if there
        is none of this name, 2 for a bad option.
        """;

    /// <summary>The command.</summary>
    internal static Command Create()
    {
        var control = Defaults.ControlOption();
        var program = new Argument<string[]>("PROGRAM") { Description = "The program and its arguments, after '--'", Arity = ArgumentArity.OneOrMore };
        var command = new Command("exec", "Run a program (ip xfrm, charon, pluto …) whose XFRM sockets lead to the data plane.") { control, program };
        NotedHelp.AddTo(command, Notes);
        command.SetAction(parsed => UnknownOption(parsed, parsed.GetValue(program)!) is { } unknown
            ? Refuse(unknown, parsed.InvocationConfiguration.Error)
            : Execute(Defaults.Absolute(parsed.GetValue(control)!), parsed.GetValue(program)!, AppContext.BaseDirectory, parsed.InvocationConfiguration.Error));
        return command;
    }

    // Before '--' a word with a dash is an option that is not known, not a program.
    private static string? UnknownOption(ParseResult parsed, string[] program) =>
        program[0].StartsWith('-')
        && parsed.Tokens.TakeWhile(token => token.Type != TokenType.DoubleDash).Any(token => token.Value == program[0]) ? program[0] : null;

    private static int Refuse(string unknown, TextWriter error)
    {
        error.WriteLine($"espalier exec: '{unknown}' is not known here (see 'espalier exec --help')");
        return ExitCodes.Usage;
    }

    private static int Execute(string control, string[] program, string baseDirectory, TextWriter error)
    {
        if (PreloadLibrary.Find(baseDirectory) is not { } library)
        {
            error.WriteLine(
                $"espalier exec: {PreloadLibrary.FileName} is not beside {baseDirectory}espalier: it is built where a C compiler and make are installed when the program is built; install gcc and make and build again");
            return ExitCodes.ExecFailed;
        }

        if (!PreloadLibrary.CanBePreloaded(library))
        {
            error.WriteLine($"espalier exec: {library} cannot be preloaded, as its path has a space or a colon: install Espalier elsewhere");
            return ExitCodes.ExecFailed;
        }

        var (mark, absence) = DataPlaneProbe.Ask(control);
        if (absence is not null)
        {
            error.WriteLine($"espalier exec: {absence}");
        }

        string? file = ProgramInspection.Find(program[0], Environment.GetEnvironmentVariable("PATH"));
        if (file is not null && ProgramInspection.WhyNotPreloaded(file, UserDirectory.EffectiveUser == 0) is { } reason)
        {
            error.WriteLine($"espalier exec: no effect on {program[0]}: {reason}, so it talks to the kernel's XFRM");
        }

        error.Flush();
        int errno = ProgramReplacement.Replace(program, ChildEnvironment.Build(control, library, mark), ChildEnvironment.OpenFilesBeforeRuntime());
        error.WriteLine($"espalier exec: cannot run {program[0]}: {Errno.Text(errno)}");
        return errno == Errno.ENOENT ? ExitCodes.ProgramNotFound : ExitCodes.ProgramNotExecutable;
    }
}
