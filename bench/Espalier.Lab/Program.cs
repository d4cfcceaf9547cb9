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
    agent,
};

// Ctrl-C cancels; removing namespaces, processes and control groups takes a moment.
return await root.Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = TimeSpan.FromSeconds(30) }).ConfigureAwait(false);
