using System.CommandLine;
using Espalier.Lab.Cli;
using Espalier.Lab.Hosts;
using Espalier.Lab.Quick;

var agent = new Command("agent", "Serves a second host of the lab over standard input and output; started by the lab itself.") { Hidden = true };
agent.SetAction(async _ => await new HostAgent(new LocalHost(), Console.In, Console.Out).RunAsync().ConfigureAwait(false));

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
