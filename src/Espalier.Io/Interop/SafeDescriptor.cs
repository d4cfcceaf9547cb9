using Microsoft.Win32.SafeHandles;

namespace Espalier.Io.Interop;

/// <summary>
/// A file descriptor that is closed exactly once. A call that runs while another thread disposes of it keeps the
/// descriptor's number reserved until it returns, so that no call can reach a descriptor that was opened meanwhile.
/// </summary>
/// <remarks>
/// Native calls return an int and this class wraps it: as the return type of an import it would read the whole register,
/// whose upper half C leaves undefined, and take -1 for a descriptor.
/// </remarks>
public sealed class SafeDescriptor : SafeHandleMinusOneIsInvalid
{
    /// <summary>Takes over <paramref name="descriptor"/> (-1: invalid); with <paramref name="ownsHandle"/> false it is only borrowed.</summary>
    public SafeDescriptor(int descriptor, bool ownsHandle = true)
        : base(ownsHandle) => SetHandle(descriptor);

    /// <summary>The descriptor's number, for poll sets and messages; valid while this object is not disposed.</summary>
    public int Number => (int)handle;

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Libc.close((int)handle) == 0;
}
