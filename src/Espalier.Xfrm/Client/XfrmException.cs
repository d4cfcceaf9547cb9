namespace Espalier.Xfrm.Client;

/// <summary>The data plane answered a request with an error.</summary>
public sealed class XfrmException : Exception
{
    /// <summary>With the errno and the text of the extended acknowledgement.</summary>
    public XfrmException(int errno, string? text)
        : base(text ?? Io.Interop.Errno.Text(errno)) => Error = errno;

    /// <summary>With a message and its cause.</summary>
    public XfrmException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    /// <summary>With a message.</summary>
    public XfrmException(string message)
        : base(message)
    {
    }

    /// <summary>Without a message.</summary>
    public XfrmException()
    {
    }

    /// <summary>The errno, positive.</summary>
    public int Error { get; }
}
