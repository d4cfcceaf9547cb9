namespace Espalier.Xfrm.Messages;

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
