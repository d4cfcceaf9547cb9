using System.Text;
using Espalier.Io.Interop;

namespace Espalier.Io.UnixSockets;

/// <summary>Turns a path, or <c>@name</c> for the abstract namespace, into a <see cref="sockaddr_un"/>.</summary>
internal static unsafe class UnixSocketAddress
{
    private const int PathOffset = 2;
    private const int PathCapacity = 108;

    /// <summary>Fills <paramref name="address"/>; returns the length to hand to the kernel, or 0 where the path is empty or too long.</summary>
    internal static uint Fill(string path, sockaddr_un* address)
    {
        *address = default;
        address->sun_family = Socket.AF_UNIX;
        bool isAbstract = path.StartsWith('@');
        int length = Encoding.UTF8.GetByteCount(path);
        if (length == 0 || length > PathCapacity - (isAbstract ? 0 : 1) || path.Contains('\0', StringComparison.Ordinal))
        {
            return 0;
        }

        Encoding.UTF8.GetBytes(path, new Span<byte>(address->sun_path, PathCapacity));
        if (isAbstract)
        {
            // unix(7): an abstract name starts with a zero byte and ends where the length says.
            address->sun_path[0] = 0;
            return (uint)(PathOffset + length);
        }

        return (uint)(PathOffset + length + 1);
    }
}
