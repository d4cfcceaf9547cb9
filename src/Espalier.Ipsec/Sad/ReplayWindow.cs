namespace Espalier.Ipsec.Sad;

/// <summary>Result of a replay check.</summary>
public enum ReplayVerdict : byte
{
    /// <summary>May be new: verify the ICV, then commit.</summary>
    Acceptable,

    /// <summary>Received before.</summary>
    Replayed,

    /// <summary>Left of the window, or sequence number zero.</summary>
    OutsideWindow,
}

/// <summary>
/// The anti-replay window of one inbound SA (RFC 4303 §3.4.3 and appendix A), 1 to 4,096 packets, with 32- or 64-bit sequence numbers.
/// Owned by the worker that handles the SA; never checked and changed by two threads at once.
/// </summary>
public sealed class ReplayWindow
{
    /// <summary>Creates an empty window.</summary>
    public ReplayWindow(int size, bool extendedSequenceNumbers) => throw new NotImplementedException();

    /// <summary>Size in packets.</summary>
    public int Size => throw new NotImplementedException();

    /// <summary>Highest 64-bit sequence number committed.</summary>
    public ulong Highest => throw new NotImplementedException();

    /// <summary>Infers the 64-bit sequence number and checks it. Changes nothing.</summary>
    public ReplayVerdict Check(uint sequenceLow, out ulong sequence) => throw new NotImplementedException();

    /// <summary>Checks a full number again after its ICV verified (another packet of the batch may have had it) and marks it; changes nothing unless Acceptable.</summary>
    public ReplayVerdict Commit(ulong sequence) => throw new NotImplementedException();

    /// <summary>Sets the state (NEWAE, UPDSA): highest number and the kernel's bitmap, where bit (seq-1) mod size of the words is packet seq.</summary>
    public void Restore(ulong highest, ReadOnlySpan<uint> kernelBitmap) => throw new NotImplementedException();

    /// <summary>Gives the bitmap in the kernel's layout of xfrm_replay_state_esn (or, for up to 32, of xfrm_replay_state).</summary>
    public void Save(Span<uint> kernelBitmap) => throw new NotImplementedException();
}
