using System.CommandLine;
using Espalier.Lab.Cli;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;
using Espalier.Lab.Quick;
using Spectre.Console;

var agent = new Command("agent", "Serves a second host of the lab over standard input and output; started by the lab itself.") { Hidden = true };
agent.SetAction(async _ => await new HostAgent(new LocalHost(), Console.In, Console.Out).RunAsync().ConfigureAwait(false));

const int FileWidth = 200; // lines of a file are not broken as a terminal of 80 columns would have it
Shell.CompletePath();
if (Console.IsOutputRedirected)
{
    AnsiConsole.Profile.Width = FileWidth;
}

var root = new RootCommand("The Espalier lab: what IPsec in userland costs, measured on real programs.")
{
    QuickCommand.Create(),
    RunCommand.Create(),
    ListCommand.Create(),
    CompareCommand.Create(),
    ReportCommand.Create(),
    agent,
};

var parsed = root.Parse(args);
if (args.Length > 0 && parsed.Errors.Count > 0)
{
    string message = parsed.Errors[^1].Message.ReplaceLineEndings(" ").Split(" as expected type")[0]; // a type of .NET says nothing to users
    Console.Error.WriteLine($"espalier-lab: {message} (--help says more)");
    return 2;
}

// Ctrl-C cancels; removing namespaces, processes and control groups takes a moment.
return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(30) }).ConfigureAwait(false);
