using System.Runtime.InteropServices;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Messages;

/// <summary>
/// Payload of ENCAP: a UDP socket's address.
/// <code>
///  0        4        6        8                      24
///  | operation | family | port | address              |
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EncapsulationRequest
{
    /// <summary>Bytes.</summary>
    public const int Size = 24;

    /// <summary>What is asked for, host byte order.</summary>
    public EncapsulationOperation Operation;

    /// <summary>AF_INET, AF_INET6, or AF_UNSPEC: every address of both. Host byte order.</summary>
    public ushort Family;

    /// <summary>UDP port, network byte order.</summary>
    public ushort Port;

    /// <summary>Address of the family, network byte order; all zero for every address.</summary>
    public XfrmAddress Address;
}
