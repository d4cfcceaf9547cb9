namespace Espalier.Xfrm.Messages;

/// <summary>
/// What a request came to: success, or an error number with the sentence that goes into the extended acknowledgement.
/// </summary>
/// <param name="Errno">Positive Linux error number, 0 for success.</param>
/// <param name="Text">One sentence for NLMSGERR_ATTR_MSG, or null. Never contains key material.</param>
/// <param name="AttributeOffset">Where the offending attribute stands in the message (NLMSGERR_ATTR_OFFS), 0 if none is named.</param>
internal readonly record struct XfrmError(int Errno, string? Text = null, int AttributeOffset = 0)
{
    /// <summary>Success.</summary>
    public static XfrmError None => default;

    /// <summary>True for an error.</summary>
    public bool Failed => Errno != 0;

    /// <summary>EINVAL with a sentence.</summary>
    public static XfrmError Invalid(string text) => new(LinuxError.Invalid, text);

    /// <summary>EOPNOTSUPP: the kernel can, Espalier cannot.</summary>
    public static XfrmError Unsupported(string text) => new(LinuxError.NotSupported, text);

    /// <summary>EPROTONOSUPPORT: the protocol is not Espalier's.</summary>
    public static XfrmError Protocol(string text) => new(LinuxError.ProtocolNotSupported, text);
}
