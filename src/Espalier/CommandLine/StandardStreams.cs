using System.Text;
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

    /// <summary>Writes a line to standard error where no thread is to be had: <see cref="Console"/> starts one before its first line.</summary>
    internal static void WriteError(string line)
    {
        try
        {
            using var handle = new SafeFileHandle(StandardError, ownsHandle: false);
            using var stream = new FileStream(handle, FileAccess.Write, bufferSize: 0);
            stream.Write(Encoding.UTF8.GetBytes(line + Environment.NewLine));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Nobody reads it; the exit code says that it failed.
        }
    }
}
