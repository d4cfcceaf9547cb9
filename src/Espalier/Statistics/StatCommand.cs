using System.CommandLine;
using System.Text;
using System.Text.Json;
using Espalier.CommandLine;
using Espalier.Io;
using Espalier.Xfrm.Client;

namespace Espalier.Statistics;

/// <summary>`espalier stat`: what a running data plane has done.</summary>
internal static class StatCommand
{
    private const string Notes = """
        Traffic each way, SAs with their counters, policies, drops by reason with the nearest counter of the kernel's
        /proc/net/xfrm_stat, packets that the kernel dropped before they came here (full socket and TUN queues), packets that
        arrived in clear although a policy protects them, memory, workers. Counters start with the data plane.

        With --json the same, and every counter that is zero, as one JSON object; names are stable.

        Examples:
          espalier stat
          espalier stat --json | jq .drops

        Exit codes: 0; 1 no data plane, or it refuses (one line says why); 2 bad option.
        """;

    /// <summary>The command.</summary>
    internal static Command Create()
    {
        var control = Defaults.ControlOption();
        var json = new Option<bool>("--json") { Description = "Print the JSON object" };
        var command = new Command("stat", "Show traffic, drops, SAs, policies and memory of a running data plane.") { control, json };
        NotedHelp.AddTo(command, Notes);
        command.SetAction(parsed => Show(
            Defaults.Absolute(parsed.GetValue(control)!), parsed.GetValue(json), parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error));
        return command;
    }

    private static int Show(string control, bool json, TextWriter output, TextWriter error)
    {
        try
        {
            using var connection = new XfrmClient(control, Defaults.PatienceMilliseconds);
            byte[] statistics = connection.Stat();
            if (json)
            {
                output.WriteLine(Encoding.UTF8.GetString(statistics));
            }
            else
            {
                using var document = JsonDocument.Parse(statistics);
                StatText.Write(document.RootElement, output);
            }

            return ExitCodes.Success;
        }
        catch (Exception exception) when (exception is DeviceException or XfrmException or JsonException)
        {
            error.WriteLine(exception is JsonException
                ? "espalier stat: the data plane's answer is cut off: is it of another version?"
                : $"espalier stat: {exception.Message}");
            return ExitCodes.Failure;
        }
    }
}
