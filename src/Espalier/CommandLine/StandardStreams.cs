using Microsoft.Win32.SafeHandles;

namespace Espalier.CommandLine;

/// <summary>Standard input, output and error: descriptors 0 to 2.</summary>
internal static class StandardStreams
{
    private const int StandardError = 2;

    /// <summary>
    /// Opens /dev/null in the place of each that this process was started without. Otherwise the next file or socket would get its number, and what is printed.
    /// A program of `exec` finds them closed, as they came. Before anything else is opened.
    /// </summary>
    internal static void OpenWhatIsClosed()
    {
        while (true)
        {
            SafeFileHandle opened;
            try
            {
                opened = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                return;
            }

            // The kernel gives the lowest number that is free.
            if ((int)opened.DangerousGetHandle() > StandardError)
            {
                opened.Dispose();
                return;
            }

            opened.SetHandleAsInvalid(); // stays open
        }
    }
}
