using Espalier.Io.Interop;

namespace Espalier.Io.Host;

/// <summary>The C library's heap, where OpenSSL keeps the contexts of keys.</summary>
public static class NativeHeap
{
    /// <summary>Returns what is free in it to the kernel. False: the C library cannot (musl), and need not be asked again.</summary>
    public static bool Trim()
    {
        try
        {
            _ = Libc.malloc_trim(0);
            return true;
        }
        catch (EntryPointNotFoundException)
        {
            return false;
        }
    }
}
