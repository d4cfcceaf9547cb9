using System.Runtime.CompilerServices;

namespace Espalier.Io.Interop;

/// <summary>
/// The macros CMSG_* of sys/socket.h: control messages lie one behind the other, each a <see cref="cmsghdr"/> and its data, aligned to
/// eight bytes.
/// <code>
/// | cmsg_len (8) | cmsg_level (4) | cmsg_type (4) | data … | padding | next header …
/// </code>
/// </summary>
internal static unsafe class ControlMessages
{
    /// <summary>CMSG_LEN: header and data, without padding.</summary>
    internal static int Length(int data) => sizeof(cmsghdr) + data;

    /// <summary>CMSG_SPACE: header, data and padding.</summary>
    internal static int Space(int data) => sizeof(cmsghdr) + ((data + 7) & ~7);

    /// <summary>CMSG_DATA.</summary>
    internal static byte* Data(cmsghdr* message) => (byte*)(message + 1);

    /// <summary>Bytes of data of a message.</summary>
    internal static int DataLength(cmsghdr* message) => (int)message->cmsg_len - sizeof(cmsghdr);

    /// <summary>CMSG_FIRSTHDR: null = none.</summary>
    internal static cmsghdr* First(msghdr* message) => Valid((byte*)message->msg_control, End(message));

    /// <summary>CMSG_NXTHDR: null = none.</summary>
    internal static cmsghdr* Next(msghdr* message, cmsghdr* current) =>
        Valid((byte*)current + Space(DataLength(current)), End(message));

    /// <summary>Writes a message with room for <paramref name="data"/> bytes at <paramref name="at"/>; returns where its data goes and moves past it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static byte* Write(ref byte* at, int level, int type, int data)
    {
        var header = (cmsghdr*)at;
        header->cmsg_len = (nuint)Length(data);
        header->cmsg_level = level;
        header->cmsg_type = type;
        at += Space(data);
        return (byte*)(header + 1);
    }

    private static byte* End(msghdr* message) => (byte*)message->msg_control + message->msg_controllen;

    private static cmsghdr* Valid(byte* at, byte* end)
    {
        if (at == null || end - at < sizeof(cmsghdr))
        {
            return null;
        }

        var header = (cmsghdr*)at;
        return header->cmsg_len < (nuint)sizeof(cmsghdr) || header->cmsg_len > (nuint)(end - at) ? null : header;
    }
}
