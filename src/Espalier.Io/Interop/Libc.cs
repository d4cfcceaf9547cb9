namespace Espalier.Io.Interop;

/// <summary>
/// The calls into the C library, one a file in Calls/, under their own names. They give what C gives: -1 (or an invalid
/// <see cref="SafeDescriptor"/>) says that <see cref="Errno.Last"/> holds the errno. Calls with variable arguments are declared with the
/// arguments in use, which the calling conventions of x86-64 and arm64 Linux pass in the same places.
/// </summary>
internal static unsafe partial class Libc
{
}
