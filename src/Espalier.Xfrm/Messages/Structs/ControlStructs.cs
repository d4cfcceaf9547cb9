using System.Runtime.InteropServices;

namespace Espalier.Xfrm.Messages.Structs;

/// <summary>What an ENCAP message asks for.</summary>
internal enum EncapsulationOperation : uint
{
    /// <summary>Take back what this client has opened; one that it has not is no error.</summary>
    Close = 0,

    /// <summary>Receive ESP there, until it is closed or the client's connection is.</summary>
    Open = 1,

    /// <summary>May a program bind there beside the data plane: has no client opened it?</summary>
    MayShare = 2,
}

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
