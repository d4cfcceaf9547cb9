namespace Espalier.Ipsec.Algorithms;

/// <summary>What a transform is for. Libraries need other key schedules for the two, and each costs memory.</summary>
public enum TransformDirection : byte
{
    /// <summary>Packets that are sent.</summary>
    Seal,

    /// <summary>Packets that arrive.</summary>
    Open,
}
