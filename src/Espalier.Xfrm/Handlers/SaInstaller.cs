using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Handlers;

/// <summary>Puts the SAs that NEWSA and UPDSA ask for into the SAD, or changes the ones that are there. Control thread, the database frozen.</summary>
internal sealed class SaInstaller(XfrmContext context, SaExpiry expiry)
{
    private SecurityAssociationDatabase Sad => context.Database.Sad;

    /// <summary>xfrm_state_add: one that is there already is left; the larval SA that an ACQUIRE made for this one goes.</summary>
    /// <param name="sa">The candidate.</param>
    /// <param name="kept">True where the SAD has it now; else it is the caller's to dispose of.</param>
    public XfrmError Insert(SecurityAssociation sa, out bool kept)
    {
        kept = false;
        if (Sad.Find(sa.Id) is not null)
        {
            return new XfrmError(LinuxError.Exists);
        }

        if (Admit(context.Database, sa) is { Failed: true } refusal)
        {
            return refusal;
        }

        var larval = FindLarval(Sad, sa.KeyManagerSequence, sa.Source, sa.Id.Destination, sa.ReqId, sa.Mode);
        kept = Sad.TryAdd(sa);
        if (larval is not null)
        {
            Sad.Remove(larval);
        }

        return XfrmError.None;
    }

    /// <summary>xfrm_state_update: a larval SA is replaced by the new one, of a valid one some things are changed.</summary>
    /// <param name="sa">What is asked for.</param>
    /// <param name="kept">True where the SAD has it now; else it is the caller's to dispose of.</param>
    public XfrmError Update(SecurityAssociation sa, out bool kept)
    {
        kept = false;
        if (Sad.Find(sa.Id) is not { } old)
        {
            return new XfrmError(LinuxError.NoProcess);
        }

        if (old.State == SaState.Larval)
        {
            if (sa.SaDirection != 0 && old.SaDirection != sa.SaDirection)
            {
                return new XfrmError(LinuxError.NoProcess);
            }

            if (Admit(context.Database, sa) is { Failed: true } refusal)
            {
                return refusal;
            }

            Sad.Remove(old);
            kept = Sad.TryAdd(sa);
            return XfrmError.None;
        }

        if (old.SaDirection != sa.SaDirection)
        {
            return new XfrmError(LinuxError.NoProcess);
        }

        if (old.State != SaState.Valid || old.Encapsulation is null != sa.Encapsulation is null)
        {
            return new XfrmError(LinuxError.Invalid);
        }

        if (old.Encapsulation != sa.Encapsulation && ChangePorts(old, sa.Encapsulation) is { Failed: true } refused)
        {
            return refused;
        }

        Change(old, sa);
        return XfrmError.None;
    }

    /// <summary>Asks the data plane whether it can carry an SA: its sockets must be had.</summary>
    public static XfrmError Admit(IpsecDatabase database, SecurityAssociation sa) =>
        database.Admission?.Invoke(sa) is { } reason ? new XfrmError(LinuxError.AddressInUse, reason) : XfrmError.None;

    /// <summary>
    /// xfrm_find_acq: the larval SA that waits for one of these addresses, by the number of its ACQUIRE (0 = none was named), else by ReqId and mode; or null.
    /// </summary>
    public static SecurityAssociation? FindLarval(
        SecurityAssociationDatabase sad, uint sequence, InternetAddress source, InternetAddress destination, uint reqId, IpsecMode mode)
    {
        var larval = sequence != 0 ? sad.FindLarval(sequence) : null;
        if (larval?.Id.Destination == destination)
        {
            return larval;
        }

        return sad.FindAcquiring(source, destination, reqId, mode);
    }

    // Asked for the SA that stands in the SAD, because it is the one that holds sockets.
    private XfrmError ChangePorts(SecurityAssociation old, UdpEncapsulation? encapsulation)
    {
        var before = old.Encapsulation;
        old.Encapsulation = encapsulation;
        if (Admit(context.Database, old) is { Failed: true } refused)
        {
            old.Encapsulation = before;
            return refused;
        }

        // A new port is a new peer as far as MAPPING is concerned.
        old.MappedAddress = default;
        old.MappedPort = 0;
        Sad.NotifyPortsChanged(old);
        return XfrmError.None;
    }

    private void Change(SecurityAssociation old, SecurityAssociation sa)
    {
        if (old.CareOfAddress is not null && sa.CareOfAddress is not null)
        {
            old.CareOfAddress = sa.CareOfAddress;
        }

        old.Limits = sa.Limits;
        old.Dying = false;
        Sad.Touch();
        context.LimitsChanged(old);
        if (old.Usage.UseTime != 0)
        {
            expiry.CheckUsage(old);
        }
    }
}
