using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Espalier.CommandLine;

/// <summary>A command's help, followed by what the list of options cannot say: examples, files, exit codes.</summary>
internal sealed class NotedHelp : SynchronousCommandLineAction
{
    private const int Width = 110;
    private readonly HelpAction _standard = new() { MaxWidth = Width };
    private readonly string _notes;

    private NotedHelp(string notes) => _notes = notes;

    /// <summary>Gives <paramref name="command"/> a help option with these notes.</summary>
    internal static void AddTo(Command command, string notes)
    {
        var existing = command.Options.OfType<HelpOption>().FirstOrDefault();
        if (existing is null)
        {
            existing = new HelpOption();
            command.Options.Add(existing);
        }

        existing.Action = new NotedHelp(notes);
    }

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        int code = _standard.Invoke(parseResult);
        parseResult.InvocationConfiguration.Output.WriteLine(_notes.Trim('\n'));
        return code;
    }
}
