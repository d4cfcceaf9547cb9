using System.Globalization;

namespace Espalier.Wire.Addresses;

/// <summary>
/// An address prefix in CIDR notation. The address is kept as given (the kernel's selectors do so too);
/// bits beyond <see cref="Length"/> do not count in <see cref="Contains"/>.
/// </summary>
public readonly record struct AddressPrefix(InternetAddress Address, int Length)
{
    /// <summary>0.0.0.0/0.</summary>
    public static AddressPrefix AllIPv4 => new(InternetAddress.AnyIPv4, 0);

    /// <summary>::/0.</summary>
    public static AddressPrefix AllIPv6 => new(InternetAddress.AnyIPv6, 0);

    /// <summary>IP version of the prefix.</summary>
    public IpVersion Version => Address.Version;

    /// <summary>True where <paramref name="address"/> has the same version and the same first <see cref="Length"/> bits.</summary>
    public bool Contains(InternetAddress address) =>
        address.Version == Version && ((address.Bits ^ Address.Bits) & InternetAddress.MaskOf(Version, Length)) == UInt128.Zero;

    /// <summary>The same prefix with the bits beyond <see cref="Length"/> cleared.</summary>
    public AddressPrefix Canonical => this with { Address = Address.Masked(Length) };

    /// <summary>Parses <c>address</c> or <c>address/length</c>.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is no prefix.</exception>
    public static AddressPrefix Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        var address = InternetAddress.Parse(slash < 0 ? text : text[..slash]);
        int length = address.BitLength;
        bool parsed = slash < 0 || int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out length);
        return !parsed || length > address.BitLength
            ? throw new FormatException($"'{text}' has a prefix length outside 0 to {address.BitLength}.")
            : new AddressPrefix(address, length);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Address}/{Length}";
}
