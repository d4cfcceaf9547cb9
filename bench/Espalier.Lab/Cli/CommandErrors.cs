using Espalier.Lab.Hosts;

namespace Espalier.Lab.Cli;

/// <summary>A wrong option; the message is one line.</summary>
internal sealed class UsageException(string message) : Exception(message);

/// <summary>Errors become one line and an exit code: 1 could not be done, 2 wrong option, 130 ended by the user.</summary>
internal static class CommandErrors
{
    /// <summary>Runs a command.</summary>
    public static async Task<int> GuardAsync(Func<Task<int>> command)
    {
        try
        {
            return await command().ConfigureAwait(false);
        }
        catch (UsageException exception)
        {
            Console.Error.WriteLine($"espalier-lab: {exception.Message}");
            return 2;
        }
        catch (LabException exception)
        {
            Console.Error.WriteLine($"espalier-lab: {exception.Message}");
            return 1;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("espalier-lab: ended; namespaces, processes and control groups are removed");
            return 130;
        }
    }
}
