using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Events;

/// <summary>
/// ACQUIRE (the end of the kernel's xfrm_state_find, and build_acquire): a larval SA for template and addresses, and one message that asks key
/// managers to fill it. While the larval SA lives, packets of the same policy ask for nothing more. Workers frozen.
/// </summary>
internal sealed class Acquisition
{
    private readonly XfrmContext _context;

    public Acquisition(XfrmContext context) => _context = context;

    /// <summary>ACQUIREs sent.</summary>
    public long Sent { get; private set; }

    /// <summary>Given up because too many larval SAs wait.</summary>
    public long Errors { get; private set; }

    /// <summary>Asks for the SA that a packet under a policy lacks.</summary>
    public void Acquire(SecurityPolicy policy, in FlowKey flow)
    {
        var sad = _context.Database.Sad;
        if (!policy.Protects || !IsCurrent(policy) || sad.Resolve(policy, flow) is not null)
        {
            return;
        }

        // Without a listener the kernel makes no larval SA: the next packet asks again.
        if (!_context.Listeners.Has(XfrmGroup.Acquire))
        {
            return;
        }

        var template = policy.Templates[0];
        var source = Real(template.Source, flow.Source, template.Family);
        var destination = Real(template.Destination, flow.Destination, template.Family);
        var id = new SaIdentity(template.Spi, destination);
        if (template.Spi.Value != 0 ? sad.Find(id) is not null : sad.FindAcquiring(source, destination, template.ReqId, template.Mode) is not null)
        {
            return;
        }

        if (_context.AcquiringCount >= _context.Options.MaximumAcquiring)
        {
            Errors++;
            return;
        }

        var larval = CreateLarval(id, source, template, flow);
        if (sad.TryAdd(larval))
        {
            _context.CountAcquiring(larval);
            Sent++;
            Notify(larval, policy, template);
        }
    }

    private bool IsCurrent(SecurityPolicy policy) =>
        ReferenceEquals(_context.Database.Spd.FindByIndex(policy.Index, policy.Direction), policy);

    // A template without addresses (pluto's) stands for the packet's own.
    private static InternetAddress Real(InternetAddress template, InternetAddress packet, IpVersion family) =>
        template.IsUnspecified && packet.Version == family ? packet : template;

    private SecurityAssociation CreateLarval(SaIdentity id, InternetAddress source, PolicyTemplate template, in FlowKey flow)
    {
        var larval = new SecurityAssociation
        {
            Id = id,
            Source = source,
            ReqId = template.ReqId,
            Mode = template.Mode,
            KeyManagerSequence = _context.NextAcquireSequence(),
            SaDirection = XfrmValue.DirectionOut,
            Selector = SelectorOf(flow),
            Limits = _context.LarvalLimits,
        };
        larval.Usage.AddTime = _context.Now;
        return larval;
    }

    // xfrm_init_tempsel: the packet's own session and nothing else.
    private static TrafficSelector SelectorOf(in FlowKey flow) => new(
        new AddressPrefix(flow.Source, flow.Source.BitLength),
        new AddressPrefix(flow.Destination, flow.Destination.BitLength),
        flow.Protocol,
        flow.PortsKnown ? flow.SourcePort : (ushort)0,
        ushort.MaxValue,
        flow.PortsKnown ? flow.DestinationPort : (ushort)0,
        ushort.MaxValue);

    private void Notify(SecurityAssociation larval, SecurityPolicy policy, PolicyTemplate template)
    {
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.Acquire, 0, 0, 0);
        ref var acquire = ref writer.Reserve<XfrmUserAcquire>();
        SaWriter.FillId(ref acquire.Id, larval);
        acquire.SourceAddress = XfrmConversions.FromAddress(larval.Source);
        XfrmConversions.FromSelector(larval.Selector, ref acquire.Selector);
        PolicyWriter.Fill(ref acquire.Policy, policy);
        acquire.AuthenticationAlgorithms = template.AuthenticationAlgorithms;
        acquire.EncryptionAlgorithms = template.EncryptionAlgorithms;
        acquire.CompressionAlgorithms = template.CompressionAlgorithms;
        acquire.Sequence = larval.KeyManagerSequence;
        PolicyWriter.WriteAttributes(writer, policy);
        writer.End();
        _context.Publish(XfrmGroup.Acquire);
    }
}
