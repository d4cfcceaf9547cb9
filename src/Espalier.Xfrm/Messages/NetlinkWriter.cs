using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Messages;

/// <summary>
/// Builds netlink messages in a buffer of its own. Padding is zero. One thread. <see cref="Clear"/> zeroes what was written,
/// because answers carry keys.
/// </summary>
internal sealed class NetlinkWriter
{
    private readonly byte[] _buffer;
    private int _message = -1;
    private int _last;

    public NetlinkWriter(int capacity) => _buffer = GC.AllocateArray<byte>(capacity, pinned: true);

    /// <summary>Bytes written.</summary>
    public int Length { get; private set; }

    /// <summary>What was written.</summary>
    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    /// <summary>Starts a message; its length is set by <see cref="End"/>.</summary>
    public void Begin(XfrmMessage type, int flags, uint sequence, uint portId) => Begin((ushort)type, flags, sequence, portId);

    /// <summary>Starts a message; its length is set by <see cref="End"/>.</summary>
    public void Begin(ushort type, int flags, uint sequence, uint portId)
    {
        _message = Length;
        ref var header = ref Reserve<NetlinkHeader>();
        header.Type = type;
        header.Flags = (ushort)flags;
        header.Sequence = sequence;
        header.PortId = portId;
    }

    /// <summary>Ends the message that was begun. Its length counts padding as the kernel's nlmsg_end does, except the last <paramref name="padding"/> bytes.</summary>
    public void End(int padding = 0)
    {
        ref var header = ref MemoryMarshal.AsRef<NetlinkHeader>(_buffer.AsSpan(_message));
        header.Length = (uint)(Length - _message - padding);
        _last = _message;
        _message = -1;
    }

    /// <summary>Takes back the message that was ended last.</summary>
    public void StepBack()
    {
        CryptographicOperations.ZeroMemory(_buffer.AsSpan(_last, Length - _last));
        Length = _last;
    }

    /// <summary>Takes back the message that was begun and not ended.</summary>
    public void Cancel()
    {
        CryptographicOperations.ZeroMemory(_buffer.AsSpan(_message, Length - _message));
        Length = _message;
        _message = -1;
    }

    /// <summary>Reserves a zeroed struct at the end, padded to 4, to be filled in place.</summary>
    public ref T Reserve<T>()
        where T : unmanaged
    {
        var place = Take(Unsafe.SizeOf<T>());
        return ref MemoryMarshal.AsRef<T>(place);
    }

    /// <summary>Appends bytes as they are, padded to 4.</summary>
    public void Append(ReadOnlySpan<byte> bytes) => bytes.CopyTo(Take(bytes.Length));

    /// <summary>Appends an attribute whose value is a struct to be filled in place.</summary>
    public ref T ReserveAttribute<T>(XfrmAttribute type)
        where T : unmanaged => ref MemoryMarshal.AsRef<T>(ReserveAttribute((ushort)type, Unsafe.SizeOf<T>()));

    /// <summary>Appends an attribute and gives its zeroed value to be filled.</summary>
    public Span<byte> ReserveAttribute(ushort type, int length)
    {
        ref var header = ref Reserve<NetlinkAttributeHeader>();
        header.Type = type;
        header.Length = (ushort)(NetlinkAttributeHeader.Size + length);
        return Take(length);
    }

    /// <summary>Appends an attribute.</summary>
    public void Attribute(XfrmAttribute type, ReadOnlySpan<byte> value) => value.CopyTo(ReserveAttribute((ushort)type, value.Length));

    /// <summary>Appends an attribute of a struct.</summary>
    public void Attribute<T>(XfrmAttribute type, in T value)
        where T : unmanaged => MemoryMarshal.Write(ReserveAttribute((ushort)type, Unsafe.SizeOf<T>()), value);

    /// <summary>Appends a string attribute, ended by a zero.</summary>
    public void TextAttribute(ushort type, string text)
    {
        int length = Encoding.UTF8.GetByteCount(text);
        Encoding.UTF8.GetBytes(text, ReserveAttribute(type, length + 1));
    }

    /// <summary>Forgets and zeroes everything.</summary>
    public void Clear()
    {
        CryptographicOperations.ZeroMemory(_buffer.AsSpan(0, Length));
        Length = 0;
        _message = -1;
    }

    private Span<byte> Take(int length)
    {
        var place = _buffer.AsSpan(Length, length);
        Length = Math.Min(Length + Netlink.Align(length), _buffer.Length);
        return place;
    }
}
