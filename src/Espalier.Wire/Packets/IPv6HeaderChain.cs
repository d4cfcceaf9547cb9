using System.Buffers.Binary;

namespace Espalier.Wire.Packets;

/// <summary>
/// What a walk over the extension headers of an IPv6 packet found (RFC 8200 §4).
/// Skipped are Hop-by-Hop Options, Routing, Fragment and Destination Options; everything else, AH and ESP among it, is the
/// next layer protocol (RFC 4301 §4.4.1.1). In a non-initial fragment the walk ends at the Fragment header: what follows is
/// not a header but a piece of payload.
/// </summary>
public readonly struct IPv6HeaderChain
{
    /// <summary>Most extension headers that a packet may have here (RFC 8504 §5.3 lets a node limit them).</summary>
    public const int MaximumHeaders = 16;

    private const int FragmentHeaderLength = 8;
    private const int NoFragment = -1;

    private readonly int _fragmentOffset;

    private IPv6HeaderChain(byte protocol, int length, int fragmentOffset, bool moreFragments, uint identification)
    {
        Protocol = protocol;
        Length = length;
        _fragmentOffset = fragmentOffset;
        MoreFragments = moreFragments;
        Identification = identification;
    }

    /// <summary>
    /// The next layer protocol. In a non-initial fragment it is what its Fragment header says, which may be an extension header
    /// (see <see cref="IsProtocolKnown"/>) and binds nobody: reassembly goes by the first fragment (RFC 8200 §4.5).
    /// </summary>
    public byte Protocol { get; }

    /// <summary>Bytes of the extension headers that were walked: the next layer header stands at 40 plus this.</summary>
    public int Length { get; }

    /// <summary>The M flag of the Fragment header.</summary>
    public bool MoreFragments { get; }

    /// <summary>Identification of the Fragment header; 0 where there is none.</summary>
    public uint Identification { get; }

    /// <summary>Offset of the piece in bytes; 0 where there is no Fragment header.</summary>
    public int FragmentOffset => Math.Max(_fragmentOffset, 0);

    /// <summary>True where there is a Fragment header, that of an atomic fragment included.</summary>
    public bool HasFragmentHeader => _fragmentOffset != NoFragment;

    /// <summary>True for a piece of a larger packet. An atomic fragment (offset 0, M clear) is a whole packet (RFC 6946 §4).</summary>
    public bool IsFragment => MoreFragments || _fragmentOffset > 0;

    /// <summary>False in a non-initial fragment whose Fragment header names a further extension header.</summary>
    public bool IsProtocolKnown => _fragmentOffset <= 0 || !IpProtocol.IsSkippedExtensionHeader(Protocol);

    /// <summary>
    /// Walks the headers in <paramref name="payload"/> (the packet behind its fixed header), the first of which is <paramref name="nextHeader"/>.
    /// False where a header is cut off, there are more than <see cref="MaximumHeaders"/>, Hop-by-Hop Options are not first
    /// (RFC 8200 §4.1), or a second Fragment header follows a first. A first fragment without the whole chain is refused
    /// by the same rule (RFC 7112 §5).
    /// </summary>
    public static bool TryWalk(byte nextHeader, ReadOnlySpan<byte> payload, out IPv6HeaderChain chain)
    {
        int offset = 0;
        int fragmentOffset = NoFragment;
        bool moreFragments = false;
        uint identification = 0;
        for (int count = 0; IpProtocol.IsSkippedExtensionHeader(nextHeader); count++)
        {
            chain = default;
            if (count == MaximumHeaders || payload.Length - offset < 8)
            {
                return false;
            }

            var header = payload[offset..];
            if (nextHeader == IpProtocol.Fragment)
            {
                if (fragmentOffset != NoFragment)
                {
                    return false;
                }

                ushort word = BinaryPrimitives.ReadUInt16BigEndian(header[2..]);
                fragmentOffset = word & 0xFFF8;
                moreFragments = (word & 1) != 0;
                identification = BinaryPrimitives.ReadUInt32BigEndian(header[4..]);
                nextHeader = header[0];
                offset += FragmentHeaderLength;
                if (fragmentOffset > 0)
                {
                    break;
                }

                continue;
            }

            // RFC 8200 §4.3, §4.4, §4.6: length in units of 8 bytes, the first 8 not counted.
            int length = (header[1] + 1) * 8;
            if (length > header.Length || (nextHeader == IpProtocol.HopByHopOptions && count > 0))
            {
                return false;
            }

            nextHeader = header[0];
            offset += length;
        }

        chain = new IPv6HeaderChain(nextHeader, offset, fragmentOffset, moreFragments, identification);
        return true;
    }
}
