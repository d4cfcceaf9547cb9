namespace Espalier.Ipsec.Tunnel;

/// <summary>
/// What RFC 6040 §4.2 says of a combination of inner and outer ECN field: its figure 4 marks those that no current mechanism makes.
/// A worker counts them; one that is dropped also counts as <see cref="DropReason.InboundEcnForbidden"/>.
/// </summary>
public enum EcnAlert : byte
{
    /// <summary>A combination in use.</summary>
    None = 0,

    /// <summary>Marked '(!)': currently unused, and possibly dangerous.</summary>
    PossiblyDangerous = 1,

    /// <summary>Marked '(!!!)': currently unused, and always potentially dangerous.</summary>
    AlwaysDangerous = 2,
}
