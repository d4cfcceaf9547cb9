using System.Security.Cryptography;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>ALLOCSPI (xfrm_alloc_userspi): reserves an SPI in a range by a larval SA, which lives for xfrm_acq_expires seconds.</summary>
internal sealed class SpiHandler
{
    // RFC 4303 §2.1 reserves 1 to 255 too; who asks for them gets them, as from the kernel.
    private const uint FirstSpi = 1;

    private const int RandomTries = 64;

    private readonly XfrmContext _context;
    private readonly SaHandlers _associations;

    public SpiHandler(XfrmContext context, SaHandlers associations)
    {
        _context = context;
        _associations = associations;
    }

    /// <summary>Handles the request; the answer is the larval SA.</summary>
    public XfrmError Allocate(in XfrmRequest request)
    {
        var info = request.Body<XfrmUserSpiInfo>();
        var error = Verify(info);
        error = error.Failed ? error : Refusals.OfSpiRequest(info, request);
        if (error.Failed)
        {
            return error;
        }

        // The kernel does not look at the family here; without one there are no addresses, so nothing could be found again.
        var version = XfrmConversions.ToVersion(info.Info.Family);
        if (version == IpVersion.None)
        {
            return new XfrmError(LinuxError.Invalid, "Invalid address family");
        }

        byte direction = request.Attributes.Has(XfrmAttribute.SaDirection) ? request.Attributes[XfrmAttribute.SaDirection][0] : (byte)0;
        error = Reserve(info, version, direction, out var sa);
        if (error.Failed)
        {
            return error;
        }

        _associations.ReplyWith(request, sa!);
        return XfrmError.None;
    }

    private static XfrmError Verify(in XfrmUserSpiInfo info) => info.Info.Id.Protocol switch
    {
        XfrmValue.ProtocolIpComp when info.Maximum >= 0x10000 => XfrmError.Invalid("IPCOMP SPI must be <= 65535"),
        XfrmValue.ProtocolEsp or XfrmValue.ProtocolAh or XfrmValue.ProtocolIpComp =>
            info.Minimum > info.Maximum ? XfrmError.Invalid("Invalid SPI range: min > max") : XfrmError.None,
        _ => XfrmError.Invalid("Invalid protocol, must be one of AH, ESP, IPCOMP"),
    };

    private XfrmError Reserve(in XfrmUserSpiInfo info, IpVersion version, byte direction, out SecurityAssociation? result)
    {
        var sad = _context.Database.Sad;
        var source = XfrmConversions.ToAddress(info.Info.SourceAddress, version);
        var destination = XfrmConversions.ToAddress(info.Info.Id.DestinationAddress, version);
        var mode = (IpsecMode)info.Info.Mode;
        using (_context.Database.Freeze())
        {
            var larval = SaInstaller.FindLarval(sad, info.Info.Sequence, source, destination, info.Info.ReqId, mode);
            result = larval;
            if (larval is { Id.Spi.Value: not 0 })
            {
                // It has one already (xfrm_alloc_spi): that is the answer.
                larval.SaDirection = direction != 0 ? direction : larval.SaDirection;
                return XfrmError.None;
            }

            if (!TryChoose(info.Minimum, info.Maximum, destination, out var spi))
            {
                return new XfrmError(LinuxError.NoEntry, "No SPI available in the requested range");
            }

            result = larval is null
                ? Create(spi, source, destination, mode, info.Info.ReqId, direction)
                : WithSpi(larval, spi, direction);
            if (larval is not null)
            {
                sad.Remove(larval);
            }

            sad.TryAdd(result);
            return XfrmError.None;
        }
    }

    // As the kernel: at random, so that an SPI tells nothing of the others. A range that is nearly full is then gone through from a random start.
    private bool TryChoose(uint minimum, uint maximum, InternetAddress destination, out Spi spi)
    {
        var sad = _context.Database.Sad;
        minimum = Math.Max(minimum, FirstSpi);
        spi = default;
        if (minimum > maximum)
        {
            return false;
        }

        ulong range = (ulong)maximum - minimum + 1;
        for (int i = 0; i < RandomTries; i++)
        {
            spi = new Spi(minimum + Random(range));
            if (sad.Find(new SaIdentity(spi, destination)) is null)
            {
                return true;
            }
        }

        // At most as many SPIs are taken as there are SAs, so this ends after that many steps.
        ulong steps = Math.Min(range, (ulong)sad.Count + 1);
        uint start = Random(range);
        for (ulong i = 0; i < steps; i++)
        {
            spi = new Spi(minimum + (uint)((start + i) % range));
            if (sad.Find(new SaIdentity(spi, destination)) is null)
            {
                return true;
            }
        }

        return false;
    }

    private static uint Random(ulong range)
    {
        Span<byte> bytes = stackalloc byte[8];
        RandomNumberGenerator.Fill(bytes);
        return (uint)(BitConverter.ToUInt64(bytes) % range);
    }

    private SecurityAssociation Create(Spi spi, InternetAddress source, InternetAddress destination, IpsecMode mode, uint reqId, byte direction)
    {
        var sa = new SecurityAssociation
        {
            Id = new SaIdentity(spi, destination),
            Source = source,
            Mode = mode,
            ReqId = reqId,
            SaDirection = direction,
            Limits = _context.LarvalLimits,
        };
        sa.Usage.AddTime = _context.Now;
        return sa;
    }

    private static SecurityAssociation WithSpi(SecurityAssociation larval, Spi spi, byte direction)
    {
        var sa = new SecurityAssociation
        {
            Id = new SaIdentity(spi, larval.Id.Destination),
            Source = larval.Source,
            Mode = larval.Mode,
            ReqId = larval.ReqId,
            SaDirection = direction != 0 ? direction : larval.SaDirection,
            Selector = larval.Selector,
            KeyManagerSequence = larval.KeyManagerSequence,
            Limits = larval.Limits,
        };
        sa.Usage = larval.Usage;
        return sa;
    }
}
