using System.CommandLine;
using Espalier.Diagnosis;
using Espalier.Executing;
using Espalier.Running;
using Espalier.Statistics;

namespace Espalier.CommandLine;

/// <summary>`espalier` and its commands.</summary>
internal static class RootCommandFactory
{
    private const string Notes = """
        A host whose kernel has no ESP, from nothing to a tunnel:
          espalier doctor                                      what this host has and lacks
          espalier run &                                       the data plane; ready when it prints 'ready'
          espalier exec -- ip xfrm state add …                 keys by hand
          espalier exec -- /usr/lib/ipsec/charon               or by an IKE daemon, unmodified
          espalier stat                                        what goes through, and what was dropped for which reason

        'espalier COMMAND --help' says more about each.

        Files:
          /run/espalier.sock    control socket (run --control, or the variable ESPALIER_CONTROL, name another)
          /dev/net/tun          must exist, and be open to the user who runs the data plane
        """;

    /// <summary>The whole command line.</summary>
    internal static RootCommand Create()
    {
        var root = new RootCommand(
            "Espalier: an IPsec ESP data plane in userland, driven through the kernel's XFRM interface by unmodified programs (ip xfrm, strongSwan, libreswan).")
        {
            RunCommand.Create(),
            ExecCommand.Create(),
            StatCommand.Create(),
            DoctorCommand.Create(),
        };
        NotedHelp.AddTo(root, Notes);
        return root;
    }

    /// <summary>Parses and runs a command line; the exit code. A bad one gets one line, not the whole help; so does output that cannot be written.</summary>
    internal static int Invoke(string[] arguments, TextWriter output, TextWriter error)
    {
        try
        {
            return ParseAndRun(arguments, output, error);
        }
        catch (IOException exception)
        {
            return Unwritten(error, exception);
        }
    }

    private static int Unwritten(TextWriter error, IOException exception)
    {
        try
        {
            error.WriteLine($"espalier: {exception.Message}");
        }
        catch (IOException)
        {
            // There is nobody to tell; the exit code does.
        }

        return ExitCodes.Failure;
    }

    private static int ParseAndRun(string[] arguments, TextWriter output, TextWriter error)
    {
        var parsed = Create().Parse(arguments, new ParserConfiguration { EnablePosixBundling = false, ResponseFileTokenReplacer = null });
        bool asksForHelp = parsed.Action is NotedHelp;
        if (parsed.Errors.Count > 0 && !asksForHelp)
        {
            var command = parsed.CommandResult.Command;
            string name = command is RootCommand ? "espalier" : $"espalier {command.Name}";
            string reason = parsed.UnmatchedTokens.Count > 0 ? $"'{parsed.UnmatchedTokens[0]}' is not known here" : parsed.Errors[0].Message;
            error.WriteLine($"{name}: {reason.TrimEnd('.').ReplaceLineEndings(" ")} (see '{name} --help')");
            return ExitCodes.Usage;
        }

        return parsed.Invoke(new InvocationConfiguration
        {
            Output = output,
            Error = error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = null,
        });
    }
}
