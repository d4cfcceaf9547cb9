using Espalier.Io.Interop;

namespace Espalier.Io.Netlink;

/// <summary>The kernel refused a netlink request. The message names the request, the errno's text and the kernel's own words (extended ACK) where it gave some.</summary>
public sealed class NetlinkException : IOException
{
    /// <summary>Creates the exception; <paramref name="errno"/> is positive.</summary>
    public NetlinkException(string operation, int errno, string? kernelText)
        : base($"{operation}: {Errno.Text(errno)}{(string.IsNullOrEmpty(kernelText) ? "" : $" ({kernelText})")}")
    {
        ErrorNumber = errno;
        KernelText = kernelText;
    }

    /// <summary>The errno, positive.</summary>
    public int ErrorNumber { get; }

    /// <summary>NLMSGERR_ATTR_MSG, or null.</summary>
    public string? KernelText { get; }
}

/// <summary>What the kernel said about one message of several: <see cref="Index"/> counts from 0.</summary>
public readonly record struct NetlinkError(int Index, int ErrorNumber, string? KernelText)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Errno.Text(ErrorNumber)}{(string.IsNullOrEmpty(KernelText) ? "" : $" ({KernelText})")}";
}
